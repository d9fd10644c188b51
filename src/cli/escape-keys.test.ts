import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { KeyAction } from './escape-keys.ts';
import { EscapeKeys } from './escape-keys.ts';

const feed = (keys: EscapeKeys, text: string): KeyAction[] => keys.feed(new TextEncoder().encode(text));
const sent = (actions: readonly KeyAction[]): string =>
  actions
    .map((action) => (action.kind === 'send' ? new TextDecoder().decode(action.bytes) : `<${action.kind}>`))
    .join('');

test('what is typed goes to the guest', () => {
  assert.equal(sent(feed(new EscapeKeys(), 'ls -l\r\x03')), 'ls -l\r\x03');
});

test('Ctrl-A W is for Trapeze', () => {
  assert.deepEqual(new EscapeKeys().feed(Uint8Array.of(0x61, 1, 0x77)), [
    { kind: 'send', bytes: Uint8Array.of(0x61) },
    { kind: 'save' },
  ]);
});

test('Ctrl-A and a letter is for Trapeze, in either case', () => {
  assert.equal(
    sent(feed(new EscapeKeys(), 'a\x01Xb\x01x\x01h\x01?\x01p\x01S')),
    'a<leave>b<leave><help><help><powerButton><statistics>',
  );
});

test('Ctrl-A A and Ctrl-A Ctrl-A send one Ctrl-A; unknown keys send nothing', () => {
  assert.equal(sent(feed(new EscapeKeys(), '[\x01a|\x01\x01|\x01z]')), '[\x01|\x01|]');
});

test('pieces do not matter', () => {
  const typed = fc.array(fc.constantFrom(0x01, 0x61, 0x78, 0x68, 0x0d), { maxLength: 30 });
  const pieces = (keys: EscapeKeys, bytes: readonly number[]): string =>
    bytes.map((byte) => sent(keys.feed(Uint8Array.of(byte)))).join('');
  fc.assert(
    fc.property(typed, (bytes) => {
      assert.equal(pieces(new EscapeKeys(), bytes), sent(new EscapeKeys().feed(Uint8Array.from(bytes))));
    }),
  );
});
