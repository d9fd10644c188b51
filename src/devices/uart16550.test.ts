import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SteppedClock } from '../../test/support/stepped-clock.ts';
import { Probe, Transcript } from '../../test/support/wires.ts';
import { Uart16550 } from './uart16550.ts';

const DATA = 0;
const IER = 1;
const IIR = 2;
const FCR = 2;
const LCR = 3;
const MCR = 4;
const LSR = 5;
const MSR = 6;
const SCR = 7;
const CHARACTER_NS = 86_806n; // 10 bits at 115200

function setUp() {
  const clock = new SteppedClock();
  const irq = new Probe();
  const sink = new Transcript();
  const uart = new Uart16550(clock, irq, sink);
  const get = (offset: number) => uart.read(offset, 1);
  const put = (offset: number, value: number) => uart.write(offset, 1, value);
  put(LCR, 0x83);
  put(DATA, 1);
  put(IER, 0);
  put(LCR, 0x03);
  return { clock, irq, sink, uart, get, put };
}

const bytes = (text: string) => new TextEncoder().encode(text);

describe('Uart16550', () => {
  it('keeps what a driver has not read when it stops listening', () => {
    const { get, put, uart, clock } = setUp();
    uart.receive(bytes('echo'));
    // As Linux looks which UART it is: tries the register out, then reads what may be in the receiver.
    put(IER, 0x0f);
    put(IER, 0);
    assert.equal(get(DATA), 0);
    // As it opens a port.
    put(IER, 0x05);
    put(FCR, 0x81);
    let read = '';
    for (let i = 0; i < 4; i += 1) {
      clock.step(10n * CHARACTER_NS);
      while (get(LSR) & 1) read += String.fromCharCode(get(DATA));
    }
    assert.equal(read, 'echo');
  });

  it('keeps the divisor behind DLAB, and the scratch register', () => {
    const { get, put } = setUp();
    put(LCR, 0x83);
    put(DATA, 0x34);
    put(IER, 0x12);
    assert.equal(get(DATA), 0x34);
    assert.equal(get(IER), 0x12);
    put(LCR, 0x03);
    assert.equal(get(IER), 0);
    put(SCR, 0xa5);
    assert.equal(get(SCR), 0xa5);
  });

  it('collects output and hands it over after a millisecond or at flush', () => {
    const { clock, sink, uart, put } = setUp();
    for (const byte of bytes('hello')) put(DATA, byte);
    assert.equal(sink.chunks.length, 0);
    clock.step(1_000_000);
    assert.equal(sink.text, 'hello');
    assert.equal(sink.chunks.length, 1);
    put(DATA, 0x21);
    uart.flush();
    assert.equal(sink.text, 'hello!');
    assert.equal(clock.alarms, 0);
  });

  it('loses no output however much comes at once', () => {
    const { sink, uart, put } = setUp();
    const text = 'abcdefg\n'.repeat(3000);
    for (const byte of bytes(text)) put(DATA, byte);
    uart.flush();
    assert.equal(sink.text, text);
  });

  it('interrupts when the transmitter interrupt is enabled, until IIR is read, and again after each byte', () => {
    const { irq, get, put } = setUp();
    put(IER, 2);
    assert.equal(irq.level, true);
    assert.equal(get(IIR), 0x02);
    assert.equal(irq.level, false);
    assert.equal(get(IIR), 0x01);
    put(DATA, 0x41);
    assert.equal(irq.level, true);
    assert.equal(get(IIR), 0x02);
    // Linux tells a working 16550 from a broken one by this second edge.
    put(IER, 0);
    put(IER, 2);
    assert.equal(get(IIR), 0x02);
  });

  it('raises received data at the trigger level and drops it below', () => {
    const { irq, uart, get, put } = setUp();
    put(FCR, 0x81); // trigger at 8
    put(IER, 1);
    uart.receive(bytes('12345678'));
    assert.equal(get(IIR), 0xc4);
    assert.equal(get(DATA), 0x31);
    assert.equal(irq.level, false);
    assert.equal(get(IIR), 0xc1);
    assert.equal(get(LSR) & 1, 1);
  });

  it('interrupts by time-out when fewer bytes than the trigger level wait', () => {
    const { clock, irq, uart, get, put } = setUp();
    put(FCR, 0x81);
    put(IER, 1);
    uart.receive(bytes('ab'));
    assert.equal(irq.level, false);
    clock.step(4n * CHARACTER_NS - 1000n);
    assert.equal(irq.level, false);
    clock.step(2000);
    assert.equal(get(IIR), 0xcc);
    assert.equal(get(DATA), 0x61);
    assert.equal(irq.level, false, 'reading acknowledges');
    clock.step(4n * CHARACTER_NS);
    assert.equal(get(IIR), 0xcc, 'the rest times out anew');
    assert.equal(get(DATA), 0x62);
    assert.equal(irq.level, false);
    assert.equal(clock.alarms, 0);
  });

  it('feeds the FIFO at line rate without overrun', () => {
    const { clock, uart, get, put } = setUp();
    put(FCR, 0xc1);
    put(IER, 1);
    const text = 'x'.repeat(15) + 'y'.repeat(20);
    uart.receive(bytes(text));
    let seen = '';
    const drain = () => {
      while (get(LSR) & 1) seen += String.fromCharCode(get(DATA));
    };
    drain();
    assert.equal(seen.length, 16, 'a burst is one FIFO');
    clock.step(15n * CHARACTER_NS);
    drain();
    assert.equal(seen.length, 16);
    clock.step(2n * CHARACTER_NS);
    drain();
    assert.equal(seen.length, 32);
    clock.step(30n * CHARACTER_NS);
    drain();
    assert.equal(seen, text);
    assert.equal(get(LSR), 0x60);
  });

  it('holds input back until the guest listens', () => {
    const { uart, clock, get, put } = setUp();
    uart.receive(bytes('ls\n'));
    put(FCR, 0x07); // a driver's probe clears the FIFO
    get(DATA);
    put(FCR, 0x01);
    clock.step(1_000_000_000);
    put(IER, 1);
    assert.equal(get(LSR) & 1, 1);
    assert.equal(String.fromCharCode(get(DATA), get(DATA), get(DATA)), 'ls\n');
  });

  it('takes a guest that polls LSR for a listener', () => {
    const { uart, get } = setUp();
    uart.receive(bytes('k'));
    let polls = 0;
    while (!(get(LSR) & 1) && polls < 100) polls++;
    assert.ok(polls < 100);
    assert.equal(get(DATA), 0x6b);
  });

  it('loops transmitted bytes back to its receiver with FIFO limits', () => {
    const { sink, uart, get, put } = setUp();
    put(MCR, 0x10);
    put(FCR, 0x01);
    for (let i = 0; i < 17; i++) put(DATA, i);
    assert.equal(get(LSR), 0x63, 'data ready and overrun');
    assert.equal(get(LSR), 0x61, 'reading clears the overrun');
    for (let i = 0; i < 16; i++) assert.equal(get(DATA), i);
    assert.equal(get(LSR), 0x60);
    uart.flush();
    assert.equal(sink.text, '');
    put(FCR, 0);
    put(DATA, 1);
    put(DATA, 2);
    assert.equal(get(LSR), 0x63);
    assert.equal(get(DATA), 2, 'without FIFOs the new byte wins');
  });

  it('loops modem outputs back to modem inputs with their deltas', () => {
    const { irq, get, put } = setUp();
    assert.equal(get(MSR), 0xb0);
    put(IER, 8);
    put(MCR, 0x10);
    assert.equal(irq.level, true);
    assert.equal(get(IIR), 0x00);
    assert.equal(get(MSR), 0x0b);
    assert.equal(get(IIR), 0x01);
    put(MCR, 0x1a); // Linux's probe: RTS and OUT2 come back as CTS and DCD
    assert.equal(get(MSR), 0x99);
    put(MCR, 0x14);
    assert.equal(get(MSR), 0x49, 'OUT1 raises RI without a delta');
    put(MCR, 0x10);
    assert.equal(get(MSR), 0x04, 'the trailing edge of RI');
    put(MCR, 0);
    assert.equal(get(MSR), 0xbb);
  });

  it('orders interrupts: line status, data, transmitter, modem', () => {
    const { get, put } = setUp();
    put(MCR, 0x10);
    put(IER, 0x0f);
    put(DATA, 1);
    put(DATA, 2);
    assert.equal(get(IIR), 0x06);
    get(LSR);
    assert.equal(get(IIR), 0x04);
    get(DATA);
    assert.equal(get(IIR), 0x02);
    assert.equal(get(IIR), 0x00);
    get(MSR);
    assert.equal(get(IIR), 0x01);
  });

  it('shows a 16550A to a FIFO probe', () => {
    const { get, put } = setUp();
    assert.equal(get(IIR), 0x01);
    put(FCR, 0x01);
    assert.equal(get(IIR), 0xc1);
    put(FCR, 0);
    assert.equal(get(IIR), 0x01);
  });

  it('is silent and still after reset', () => {
    const { clock, irq, uart, get, put } = setUp();
    put(FCR, 0x81);
    put(IER, 3);
    uart.receive(bytes('abc'));
    put(DATA, 0x2e);
    uart.reset();
    assert.equal(irq.level, false);
    assert.equal(get(IER), 0);
    assert.equal(get(LSR), 0x60);
    assert.equal(clock.alarms, 0);
  });

  it('survives any sequence of accesses', () => {
    const access = fc.tuple(
      fc.nat(9),
      fc.constantFrom<1 | 2 | 4>(1, 2, 4),
      fc.option(fc.nat(0xffffffff)),
      fc.nat(100_000),
    );
    fc.assert(
      fc.property(fc.array(access, { maxLength: 60 }), (accesses) => {
        const { clock, uart, irq, get } = setUp();
        uart.receive(bytes('some input that waits'));
        for (const [offset, width, value, ns] of accesses) {
          if (value === null) {
            const read = uart.read(offset, width);
            assert.ok(Number.isInteger(read) && read >= 0 && read < 2 ** (8 * width));
          } else uart.write(offset, width, value);
          clock.step(ns);
        }
        const level = irq.level;
        assert.equal((get(IIR) & 1) === 0, level);
        uart.reset();
        assert.equal(irq.level, false);
      }),
    );
  });
});
