import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Decoded, decode } from './decoder.ts';
import type { CodeSize } from './prefixes.ts';
import { DS_AT, FS_AT, IP_BASE_AT, SS_AT, ZERO_AT } from './state.ts';

const bytes = (hex: string): Uint8Array => Uint8Array.from(hex.split(' '), (b) => Number.parseInt(b, 16));

function decoded(hex: string, codeSize: CodeSize): Decoded {
  const result = decode(bytes(hex), codeSize);
  if (typeof result === 'string') assert.fail(`${hex}: ${result}`);
  return result;
}

describe('decode', () => {
  it('tells why there is no instruction', () => {
    assert.equal(decode(bytes('48'), 64), 'truncated');
    assert.equal(decode(bytes('8b 05 00 00'), 64), 'truncated');
    assert.equal(decode(bytes('0f 04'), 64), 'invalid');
    assert.equal(decode(new Uint8Array(15).fill(0x66), 64), 'tooLong');
    // 15 bytes that want a 16th.
    assert.equal(decode(bytes('66 66 66 66 66 66 66 66 66 66 66 8b 05 00 00'), 64), 'tooLong');
  });

  it('takes an instruction of 15 bytes', () => {
    assert.equal(decoded('66 66 66 66 66 66 66 66 66 66 66 66 66 01 c8', 64).fields.length, 15);
  });

  it('counts a REX prefix only right before the opcode', () => {
    assert.equal(decoded('48 01 c8', 64).parameters.operandSize, 64);
    assert.equal(decoded('48 66 01 c8', 64).parameters.operandSize, 16);
  });

  it('finds AH without REX and SPL with it', () => {
    assert.equal(decoded('88 e0', 64).fields.reg, 1);
    assert.equal(decoded('40 88 e0', 64).fields.reg, 4 * 8);
  });

  it('gives a base its segment', () => {
    assert.equal(decoded('8b 45 08', 32).fields.segment, SS_AT);
    assert.equal(decoded('8b 43 08', 32).fields.segment, DS_AT);
    assert.equal(decoded('64 3e 8b 45 08', 64).fields.segment, FS_AT);
  });

  it('reads displacements relative to the instruction pointer in 64-bit mode alone', () => {
    assert.equal(decoded('8b 05 10 00 00 00', 64).fields.rm, IP_BASE_AT);
    assert.equal(decoded('8b 05 10 00 00 00', 32).fields.rm, ZERO_AT);
  });

  it('prefers F2 and F3 to 66 as the mandatory prefix, which then sets the operand size', () => {
    const popcnt = decoded('66 f3 0f b8 c1', 64);
    assert.equal(popcnt.encoding.definition.name, 'POPCNT');
    assert.equal(popcnt.parameters.operandSize, 16);
    assert.equal(decoded('66 0f 58 c1', 64).encoding.definition.name, 'ADDPD');
  });

  it('allows LOCK only where something is written to memory', () => {
    assert.equal(decoded('f0 01 08', 64).prefixes.lock, true);
    for (const hex of ['f0 01 c8', 'f0 03 08', 'f0 39 08', 'f0 90'])
      assert.equal(decode(bytes(hex), 64), 'invalid', hex);
  });

  it('rejects registers that are none', () => {
    for (const hex of ['8c f0', '8e c8', '0f 20 c8', '0f 20 e8']) assert.equal(decode(bytes(hex), 64), 'invalid', hex);
    assert.equal(decoded('0f 20 e0', 64).fields.reg, 4);
    assert.equal(decoded('44 0f 20 c0', 64).fields.reg, 8);
    assert.equal(decode(bytes('44 0f 21 c0'), 64), 'invalid');
  });

  it('extends immediates as their codes say', () => {
    assert.equal(decoded('83 c0 ff', 64).fields.immediate, -1n);
    assert.equal(decoded('04 ff', 64).fields.immediate, 0xffn);
    assert.equal(decoded('48 b8 ff ff ff ff ff ff ff ff', 64).fields.immediate, 2n ** 64n - 1n);
    const enter = decoded('c8 10 00 01', 64);
    assert.deepEqual([enter.fields.immediate, enter.fields.displacement], [0x10n, 1]);
  });
});
