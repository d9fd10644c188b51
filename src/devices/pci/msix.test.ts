import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageLog } from '../../../test/support/pci-guest.ts';
import { Msix, type MsixFunction } from './msix.ts';

const VECTORS = 5;
const CONTROL_ENABLE = 0x8000;
const CONTROL_MASK = 0x4000;

class TestFunction extends MessageLog implements MsixFunction {
  busMaster = true;
  modeChanges = 0;
  interruptModeChanged(): void {
    this.modeChanges += 1;
  }
}

function setUp(vectors = VECTORS) {
  const owner = new TestFunction();
  const msix = new Msix({ vectors, bar: 2, tableOffset: 0x1000, pendingOffset: 0x1800 }, owner);
  const setControl = (value: number) => {
    const { body, writable, written } = msix.capability;
    body[1] = (body[1]! & ~writable[1]!) | ((value >>> 8) & writable[1]!);
    written?.(0, 2);
  };
  const mask = (vector: number, masked: boolean) => msix.table.write(vector * 16 + 12, 4, masked ? 1 : 0);
  for (let vector = 0; vector < vectors; vector++) {
    msix.table.write(vector * 16, 4, 0xfee0_1000);
    msix.table.write(vector * 16 + 8, 4, vector);
  }
  return { owner, msix, setControl, mask };
}

test('the capability names table and pending bits', () => {
  const { msix } = setUp(33);
  assert.deepEqual([...msix.capability.body], [32, 0, 2, 0x10, 0, 0, 2, 0x18, 0, 0]);
  assert.throws(() => setUp(2049), RangeError);
});

test('vectors are masked after reset and the table reads back', () => {
  const { msix, owner, setControl } = setUp();
  setControl(CONTROL_ENABLE);
  msix.notify(3);
  assert.deepEqual(owner.take(), []);
  assert.equal(msix.pending.read(0, 4), 8);
  msix.pending.write(0, 4, 0);
  assert.equal(msix.pending.read(0, 1), 8, 'pending bits are read-only');
  assert.equal(msix.table.read(3 * 16 + 12, 4), 1);
  msix.table.write(3 * 16 + 4, 4, 7);
  msix.table.write(3 * 16 + 12, 1, 0);
  assert.deepEqual(owner.messages, [{ address: 7 * 2 ** 32 + 0xfee0_1000, data: 3 }]);
  assert.equal(msix.pending.read(0, 4), 0);
  assert.deepEqual([msix.table.read(VECTORS * 16, 4), msix.pending.read(8, 2)], [0xffff_ffff, 0xffff]);
});

test('a vector that does not exist, or MSI-X switched off, sends nothing', () => {
  const { msix, owner, setControl, mask } = setUp();
  mask(0, false);
  msix.notify(0);
  setControl(CONTROL_ENABLE);
  msix.notify(VECTORS);
  msix.notify(0xffff);
  assert.deepEqual(owner.take(), []);
  assert.equal(owner.modeChanges, 1);
});

type Step = { kind: 'notify' | 'mask' | 'unmask'; vector: number } | { kind: 'hide' | 'show' | 'mute' | 'unmute' };

test('no message is lost, doubled beyond merging, or sent while anything masks it', () => {
  const vector = fc.integer({ min: 0, max: VECTORS - 1 });
  const step: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constantFrom('notify' as const, 'mask' as const, 'unmask' as const), vector }),
    fc.record({ kind: fc.constantFrom('hide' as const, 'show' as const, 'mute' as const, 'unmute' as const) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const { msix, owner, setControl, mask } = setUp();
      setControl(CONTROL_ENABLE);
      const masked = new Array<boolean>(VECTORS).fill(true);
      const pending = new Set<number>();
      let hidden = false;
      for (const action of steps) {
        const expected: number[] = [];
        if (action.kind === 'notify') {
          pending.add(action.vector);
          msix.notify(action.vector);
        } else if (action.kind === 'mask' || action.kind === 'unmask') {
          masked[action.vector] = action.kind === 'mask';
          mask(action.vector, masked[action.vector]!);
        } else if (action.kind === 'hide' || action.kind === 'show') {
          hidden = action.kind === 'hide';
          setControl(CONTROL_ENABLE | (hidden ? CONTROL_MASK : 0));
        } else {
          owner.busMaster = action.kind === 'unmute';
          msix.flush();
        }
        for (let v = 0; v < VECTORS; v++)
          if (pending.has(v) && !masked[v] && !hidden && owner.busMaster && pending.delete(v)) expected.push(v);
        assert.deepEqual(owner.take(), expected);
        assert.equal(
          msix.pending.read(0, 4),
          [...pending].reduce((bits, v) => bits | (1 << v), 0),
        );
      }
    }),
  );
});
