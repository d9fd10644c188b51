import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import type { Alarm } from '../devices/contract.ts';
import type { Stateful, StateTransfer } from '../devices/state.ts';
import { UserError } from '../user-error.ts';
import { restoreState } from './state-reader.ts';
import type { StateFields } from './state-writer.ts';
import { saveState } from './state-writer.ts';

const COLOURS = ['red', 'green'] as const;

/** Something with a field of every type. */
class Sample implements Stateful {
  readonly clock = new SteppedClock();
  byte = 0;
  word = 0;
  doubleword = 0;
  signed = 0;
  big = 0n;
  flag = false;
  colour: (typeof COLOURS)[number] = 'red';
  maybe: number | undefined;
  bytes: Uint8Array = new Uint8Array(0);
  readonly file = new Uint8Array(4);
  list: number[] = [];
  alarm: Alarm | undefined;
  rang = 0;

  transferState(state: StateTransfer): void {
    this.byte = state.byte('byte', this.byte);
    this.word = state.word('word', this.word);
    this.doubleword = state.doubleword('doubleword', this.doubleword);
    this.signed = state.integer('signed', this.signed, -5, 5);
    state.part('inner', (part) => {
      this.big = part.big('big', this.big);
      this.flag = part.flag('flag', this.flag);
    });
    this.colour = state.choice('colour', this.colour, COLOURS);
    this.maybe = state.optional('maybe', this.maybe, 0, 9);
    this.bytes = state.bytes('bytes', this.bytes, 8);
    state.file('file', this.file);
    const list: number[] = [];
    state.list('list', this.list.length, 3, (part, i) => list.push(part.byte('item', this.list[i] ?? 0)));
    this.list = list;
    this.alarm = state.alarm('alarm', this.clock, this.alarm, () => this.rang++);
    state.require(this.byte !== 13, 'byte is unlucky');
  }
}

const values = fc.record({
  byte: fc.integer({ min: 14, max: 255 }),
  word: fc.nat(0xffff),
  doubleword: fc.nat(0xffff_ffff),
  signed: fc.integer({ min: -5, max: 5 }),
  big: fc.bigInt(-(2n ** 120n), 2n ** 120n),
  flag: fc.boolean(),
  colour: fc.constantFrom(...COLOURS),
  maybe: fc.option(fc.nat(9), { nil: undefined }),
  bytes: fc.uint8Array({ maxLength: 8 }),
  list: fc.array(fc.nat(255), { maxLength: 3 }),
});

test('state comes back as it was, by way of JSON', () => {
  fc.assert(
    fc.property(values, (fields) => {
      const first = Object.assign(new Sample(), fields);
      first.file.set([1, 2, 3, 4]);
      first.alarm = first.clock.after(500n, () => {});
      const second = new Sample();
      restoreState('sample', JSON.parse(JSON.stringify(saveState(first))), second);
      const { byte, word, doubleword, signed, big, flag, colour, maybe, bytes, list } = second;
      assert.deepEqual({ byte, word, doubleword, signed, big, flag, colour, maybe, bytes, list }, { ...fields });
      assert.deepEqual([...second.file], [1, 2, 3, 4]);
      second.clock.step(499);
      assert.equal(second.rang, 0);
      second.clock.step(1);
      assert.equal(second.rang, 1);
    }),
  );
});

const good = (): Record<string, unknown> => ({ ...(saveState(new Sample()) as StateFields) });
const refused = (fields: unknown, message: RegExp): void => {
  assert.throws(
    () => restoreState('sample', fields, new Sample()),
    (error) => {
      assert.ok(error instanceof UserError);
      assert.match(error.message, message);
      return true;
    },
  );
};

test('what is missing, unknown, of another type or out of range is refused by name', () => {
  const { byte: _, ...without } = good();
  refused(without, /sample\.byte is missing/);
  refused({ ...good(), extra: 1 }, /sample\.extra is unknown/);
  refused({ ...good(), inner: { big: '1', flag: 1 } }, /sample\.inner\.flag is not true or false/);
  refused({ ...good(), list: [{ item: 1 }, { item: 300 }] }, /sample\.list\[1\]\.item is not a whole number/);
  refused({ ...good(), list: [{}, {}, {}, {}] }, /sample\.list is not a list of at most 3/);
  refused({ ...good(), byte: 13 }, /sample: byte is unlucky/);
  refused({ ...good(), alarm: { ns: '-1', order: 0 } }, /sample\.alarm: it rings at no time/);
  for (const value of [-1, 256, 1.5, '1', null, true]) refused({ ...good(), byte: value }, /sample\.byte/);
  for (const value of ['', '1x', 5, '9'.repeat(50)]) refused({ ...good(), inner: { big: value, flag: true } }, /big/);
  for (const value of ['0', 'zz', '00'.repeat(9), 7]) refused({ ...good(), bytes: value }, /sample\.bytes/);
  refused({ ...good(), file: '00' }, /sample\.file is not 4 bytes/);
  refused({ ...good(), colour: 'blue' }, /sample\.colour is not one of red, green/);
  for (const value of [null, 5, 'text', []]) refused(value, /sample has no fields/);
});
