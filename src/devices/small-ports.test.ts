import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Transcript } from '../../test/support/wires.ts';
import { DebugExit } from './debug-exit.ts';
import { DebugConsole, PostPort } from './post-ports.ts';
import { RESET_VALUE, ResetControl } from './reset-control.ts';

describe('DebugExit', () => {
  it('exits with an odd code for every value', () => {
    const codes: number[] = [];
    const device = new DebugExit((code) => codes.push(code));
    device.write(0, 1, 0);
    device.write(0, 4, 0x10);
    device.write(0, 4, 0xffffffff);
    assert.deepEqual(codes, [1, 33, 0xffffffff]);
    assert.equal(device.read(), 0);
  });
});

describe('ResetControl', () => {
  it('resets on a rising RST_CPU', () => {
    let resets = 0;
    const device = new ResetControl(() => resets++);
    device.write(0, 1, 0x02);
    assert.equal(resets, 0);
    device.write(0, 1, RESET_VALUE);
    assert.equal(resets, 1);
    assert.equal(device.read(), RESET_VALUE);
    device.write(0, 1, RESET_VALUE);
    assert.equal(resets, 1);
    device.reset();
    device.write(0, 1, RESET_VALUE);
    assert.equal(resets, 2);
  });
});

describe('PostPort and DebugConsole', () => {
  it('keeps the last code', () => {
    const port = new PostPort();
    port.write(0, 1, 0x42);
    assert.equal(port.read(0, 1), 0x42);
    port.reset();
    assert.equal(port.read(0, 1), 0);
  });

  it('says that it is there and passes bytes on', () => {
    const sink = new Transcript();
    const port = new DebugConsole(sink);
    assert.equal(port.read(0, 1), 0xe9);
    for (const byte of new TextEncoder().encode('SeaBIOS')) port.write(0, 1, byte);
    assert.equal(sink.text, 'SeaBIOS');
  });
});
