import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { Probe } from '../../test/support/wires.ts';
import { A20Gate } from './a20.ts';
import { KeyboardController } from './i8042.ts';
import { SystemControlPortA } from './system-control-port-a.ts';

const FULL = 0x01;
const AUXILIARY = 0x20;

function setUp() {
  const keyboard = new Probe();
  const auxiliary = new Probe();
  const log: string[] = [];
  const a20 = new A20Gate((enabled) => log.push(`a20 ${enabled}`));
  const resetMachine = () => {
    log.push('reset');
  };
  const controller = new KeyboardController({ keyboard, auxiliary, a20, resetMachine });
  const portA = new SystemControlPortA(a20, resetMachine);
  const status = () => controller.command.read(0, 1);
  const data = () => controller.data.read(0, 1);
  const command = (value: number, parameter?: number) => {
    controller.command.write(0, 1, value);
    if (parameter !== undefined) controller.data.write(0, 1, parameter);
  };
  /** Everything that waits, as [byte, came from the mouse]. */
  const drain = () => {
    const bytes: number[] = [];
    while (status() & FULL && bytes.length < 100) bytes.push(data());
    return bytes;
  };
  const toKeyboard = (...bytes: number[]) => {
    const answers: number[] = [];
    for (const byte of bytes) {
      controller.data.write(0, 1, byte);
      answers.push(...drain());
    }
    return answers;
  };
  const toMouse = (...bytes: number[]) => {
    const answers: number[] = [];
    for (const byte of bytes) {
      command(0xd4, byte);
      assert.equal(status() & (FULL | AUXILIARY), FULL | AUXILIARY);
      answers.push(...drain());
    }
    return answers;
  };
  return { controller, portA, a20, keyboard, auxiliary, log, status, data, command, drain, toKeyboard, toMouse };
}

describe('KeyboardController', () => {
  it('answers the steps of a driver probe', () => {
    const { command, drain, status } = setUp();
    assert.equal(status(), 0x14);
    command(0xaa);
    assert.equal(status() & 0x08, 0x08);
    assert.deepEqual(drain(), [0x55]);
    command(0x20);
    assert.deepEqual(drain(), [0x65]);
    command(0x60, 0x74);
    command(0x20);
    assert.deepEqual(drain(), [0x74]);
    command(0xab);
    assert.deepEqual(drain(), [0x00]);
    command(0xa9);
    assert.deepEqual(drain(), [0x00]);
    command(0xa4);
    assert.deepEqual(drain(), [0xf1]);
    command(0xa7);
    command(0x20);
    assert.equal(drain()[0]! & 0x20, 0x20);
    command(0xa8);
    command(0xae);
    command(0x20);
    assert.equal(drain()[0]! & 0x30, 0);
  });

  it('loops a byte through the auxiliary output and interrupts', () => {
    const { command, status, data, auxiliary, keyboard } = setUp();
    command(0x60, 0x77);
    command(0xd3, 0x5a);
    assert.equal(status() & (FULL | AUXILIARY), FULL | AUXILIARY);
    assert.equal(auxiliary.level, true);
    assert.equal(data(), 0x5a);
    assert.equal(auxiliary.level, false);
    command(0xd2, 0xa5);
    assert.equal(status() & (FULL | AUXILIARY), FULL);
    assert.equal(keyboard.level, true);
    assert.equal(data(), 0xa5);
    assert.equal(data(), 0xa5, 'an empty buffer repeats');
  });

  it('identifies its keyboard, translated and not', () => {
    const { command, toKeyboard } = setUp();
    assert.deepEqual(toKeyboard(0xff), [0xfa, 0xaa]);
    assert.deepEqual(toKeyboard(0xf2), [0xfa, 0xab, 0x41]);
    command(0x60, 0x05);
    assert.deepEqual(toKeyboard(0xf2), [0xfa, 0xab, 0x83]);
    assert.deepEqual(toKeyboard(0xee), [0xee]);
    assert.deepEqual(toKeyboard(0xed, 0x02), [0xfa, 0xfa]);
    assert.deepEqual(toKeyboard(0xf3, 0x00), [0xfa, 0xfa]);
    assert.deepEqual(toKeyboard(0xf0, 0x00), [0xfa, 0xfa, 0x02]);
    assert.deepEqual(toKeyboard(0xf0, 0x03, 0xf0, 0x00), [0xfa, 0xfa, 0xfa, 0xfa, 0x03]);
    assert.deepEqual(toKeyboard(0xf6, 0xf0, 0x00), [0xfa, 0xfa, 0xfa, 0x02]);
    assert.deepEqual(toKeyboard(0xf0, 0x07), [0xfa, 0xfe]);
    assert.deepEqual(toKeyboard(0xed, 0xf4), [0xfa, 0xfa], 'a command instead of a parameter');
    assert.deepEqual(toKeyboard(0x02), [0xfe]);
    assert.deepEqual(toKeyboard(0xfe), [0xfe], 'resends');
  });

  it('delivers keys as set 1 while translating, with one edge a byte', () => {
    const { controller, command, drain, keyboard } = setUp();
    assert.equal(controller.keyboard.type([0x1c]), true); // A
    assert.equal(controller.keyboard.type([0xf0, 0x1c]), true);
    assert.equal(controller.keyboard.type([0xe0, 0xf0, 0x75]), true); // up released
    assert.deepEqual(drain(), [0x1e, 0x9e, 0xe0, 0xc8]);
    assert.equal(keyboard.rises, 4);
    command(0x60, 0x25);
    controller.keyboard.type([0xf0, 0x1c]);
    assert.deepEqual(drain(), [0xf0, 0x1c]);
  });

  it('holds keys back while the keyboard is disconnected, and drops them while it does not scan', () => {
    const { controller, command, drain, toKeyboard, status } = setUp();
    command(0xad);
    controller.keyboard.type([0x1c]);
    assert.equal(status() & FULL, 0);
    command(0xae);
    assert.deepEqual(drain(), [0x1e]);
    toKeyboard(0xf5);
    assert.equal(controller.keyboard.type([0x1c]), false);
    toKeyboard(0xf4);
    assert.equal(controller.keyboard.type([0x1c]), true);
    for (let i = 0; i < 40; i++) controller.keyboard.type([0x1c]);
    assert.equal(drain().length, 17, 'sixteen in the keyboard, one in the controller');
  });

  it('has a standard mouse', () => {
    const { toMouse, auxiliary, command } = setUp();
    command(0x60, 0x47);
    assert.deepEqual(toMouse(0xff), [0xfa, 0xaa, 0x00]);
    assert.equal(auxiliary.rises, 3);
    assert.deepEqual(toMouse(0xf2), [0xfa, 0x00]);
    assert.deepEqual(toMouse(0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2), [0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0xfa, 0x00]);
    assert.deepEqual(toMouse(0xe8, 0x03, 0xe7, 0xf4, 0xe9).slice(-4), [0xfa, 0x30, 0x03, 80]);
    assert.deepEqual(toMouse(0xeb), [0xfa, 0x08, 0x00, 0x00]);
    assert.deepEqual(toMouse(0xee, 0x55, 0xec), [0xfa, 0x55, 0xfa]);
    assert.deepEqual(toMouse(0xf6, 0xe9), [0xfa, 0xfa, 0x00, 0x02, 100]);
    assert.deepEqual(toMouse(0x01), [0xfe]);
  });

  it('resets the machine by a pulse or by the output port', () => {
    const { command, log } = setUp();
    command(0xff);
    command(0xd1, 0x03);
    assert.deepEqual(log, []);
    command(0xfe);
    command(0xd1, 0x02);
    assert.deepEqual(log, ['reset', 'reset']);
  });

  it('shares the A20 gate with port 0x92', () => {
    const { command, drain, portA, log, a20 } = setUp();
    command(0xd0);
    assert.equal(drain()[0]! & 0x03, 0x03);
    portA.write(0, 1, 0x00);
    assert.equal(a20.enabled, false);
    command(0xd0);
    assert.equal(drain()[0]! & 0x02, 0);
    command(0xd1, 0x03);
    assert.equal(portA.read(0, 1), 0x02);
    command(0xdd);
    command(0xdf);
    assert.deepEqual(log, ['a20 false', 'a20 true', 'a20 false', 'a20 true']);
    portA.write(0, 1, 0x03);
    portA.write(0, 1, 0x03);
    assert.deepEqual(log.slice(4), ['reset'], 'only a rising bit 0 resets');
  });

  it('survives any sequence of accesses', () => {
    const step = fc.tuple(fc.nat(5), fc.nat(255));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
        const { controller, keyboard, auxiliary, data, status } = setUp();
        for (const [kind, value] of steps) {
          if (kind === 0) controller.command.write(0, 1, value);
          else if (kind === 1) controller.data.write(0, 1, value);
          else if (kind === 2) assert.ok(status() <= 0xff);
          else if (kind === 3) assert.ok(data() <= 0xff);
          else if (kind === 4) controller.keyboard.type([value]);
          else controller.command.write(0, 1, 0xd4);
        }
        controller.reset();
        assert.equal(status(), 0x14);
        assert.equal(keyboard.level || auxiliary.level, false);
      }),
    );
  });
});
