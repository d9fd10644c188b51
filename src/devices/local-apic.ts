import { isAddressed } from './apic-destination.ts';
import { ApicErrors } from './apic-errors.ts';
import { ApicVectors } from './apic-vectors.ts';
import type { Clock, Device, IrqLine, MessageSink, PhysicalAddress, Width } from './contract.ts';
import { decodeCommand } from './interrupt-command.ts';
import * as register from './local-apic-registers.ts';
import { ApicTimer, type ApicTimerMode } from './local-apic-timer.ts';
import { type Delivery, LocalVectorTable } from './local-vector-table.ts';
import type { StateTransfer } from './state.ts';
import { X2Apic } from './x2apic.ts';

export interface LocalApicOptions {
  /** Initial APIC ID. */
  readonly id: number;
  readonly clock: Clock;
  /** Hz of the time-stamp counter, an integer: TSC = clock.now() × tscFrequency / 10⁹. */
  readonly tscFrequency: number;
  /** An interrupt can be taken now: the processor should look at its next boundary. */
  readonly changed: () => void;
  /** The PIC's INTA cycle, run when an ExtINT is taken. */
  readonly acknowledgeExternal: () => number;
  /** An EOI of a level-triggered vector, for I/O APICs. */
  readonly endOfInterrupt: (vector: number) => void;
  /** IA32_APIC_BASE says where the registers are: at power-on at 0xFEE00000. */
  readonly moved?: (base: number) => void;
  /** INIT arrived. */
  readonly init?: () => void;
  /** SIPI arrived: start in real mode at `vector` << 12. */
  readonly startup?: (vector: number) => void;
}

/** Version 0x14: an integrated APIC whose last LVT entry is number 5, without EOI-broadcast suppression. */
const VERSION_VALUE = 0x00050014;
const FLAT_MODEL = 0xffffffff;
const BROADCAST = 0xff;
const BROADCAST_X2APIC = 0xffffffff;
const TIMER_MODES: readonly ApicTimerMode[] = ['one-shot', 'periodic', 'TSC-deadline', 'one-shot'];

/**
 * A processor's local APIC: xAPIC page and x2APIC registers, and what the processor itself sees (SDM vol. 3 ch. 11).
 * As a device it is 4 KiB; who maps it hears where. It is the engine's `InterruptSource`; the PIC comes in through LINT0.
 */
export class LocalApic implements Device, MessageSink {
  readonly name = 'local-apic';
  /** LINT0: the PIC's INTR. */
  readonly lint0: IrqLine;
  /** LINT1: NMI. */
  readonly lint1: IrqLine;
  /** IA32_APIC_BASE, IA32_TSC_DEADLINE and 0x800–0x8FF; others read undefined and write false. */
  readonly msrs: X2Apic;

  readonly #options: LocalApicOptions;
  readonly #timer: ApicTimer;
  readonly #vectors = new ApicVectors();
  readonly #lvt: LocalVectorTable;
  #logicalDestination = 0;
  #destinationFormat = FLAT_MODEL;
  #spuriousVector = 0xff;
  readonly #errors = new ApicErrors();
  #command = 0;
  #commandHigh = 0;
  #divideConfiguration = 0;
  #nmi = false;
  /** An ExtINT that came as a message. */
  #externalMessage = false;
  #pending = false;

  constructor(options: LocalApicOptions) {
    this.#options = options;
    this.#timer = new ApicTimer(options.clock, options.tscFrequency, () => this.#lvt.raise(register.LVT_TIMER));
    this.#lvt = new LocalVectorTable({
      accept: (delivery) => this.#accept(delivery),
      externalChanged: () => this.#update(),
    });
    this.msrs = new X2Apic({
      id: options.id,
      timer: this.#timer,
      read: (index) => this.#readRegister(index),
      write: (index, value) => this.#writeRegister(index, value),
      command: (low, destination) => this.#sendCommand(low, destination),
      selfInterrupt: (vector) => this.#sendFixed(vector, true),
      modeChanged: () => this.#modeChanged(),
      moved: (base) => options.moved?.(base),
    });
    this.lint0 = this.#lvt.lint0;
    this.lint1 = this.#lvt.lint1;
  }

  /** What PC firmware leaves behind (MP spec §3.6.2.1): enabled, LINT0 takes the PIC's interrupts, LINT1 is NMI. */
  programVirtualWire(): void {
    this.#writeRegister(register.SPURIOUS_VECTOR, register.SOFTWARE_ENABLE | 0xff);
    this.#writeRegister(register.LVT_LINT0, register.DELIVERY_EXTERNAL << 8);
    this.#writeRegister(register.LVT_LINT1, register.DELIVERY_NMI << 8);
  }

  /** A maskable interrupt is waiting that the priorities allow. */
  pending(): boolean {
    return this.#pending;
  }

  /** The processor takes the interrupt: its vector, now in service; -1 if it went away. */
  acknowledge(): number {
    if (this.#externalPending()) {
      this.#externalMessage = false;
      const vector = this.#options.acknowledgeExternal();
      this.#update();
      return vector;
    }
    const vector = this.#vectors.take();
    if (vector >= 0) this.#update();
    return vector;
  }

  /** A non-maskable interrupt is latched; taking it clears the latch. */
  takeNmi(): boolean {
    const latched = this.#nmi;
    this.#nmi = false;
    return latched;
  }

  /** CR8, the task-priority class (bits 3:0). */
  taskPriority(): number {
    return this.#vectors.taskPriority >> 4;
  }

  setTaskPriority(value: number): void {
    this.#vectors.taskPriority = (value & 15) << 4;
    this.#update();
  }

  /** A message-signalled interrupt or one of an I/O APIC: a write to 0xFEExxxxx (SDM vol. 3 §11.11). */
  message(address: PhysicalAddress, data: number): void {
    const logical = (address & 0x4) !== 0;
    const destination = (address >>> 12) & 0xff;
    if (!this.#enabled() || !this.#addressed(destination, logical, BROADCAST)) return;
    this.#accept({ mode: (data >> 8) & 7, vector: data & 0xff, level: (data & register.TRIGGER_LEVEL) !== 0 });
  }

  read(offset: number, width: Width): number {
    const ones = 2 ** (8 * width) - 1;
    if (this.msrs.mode !== 'xAPIC') return ones;
    if (offset & 0xc) return 0;
    const value = this.#readRegister(offset >> 4) ?? this.#illegalRegister();
    return ((value >>> (8 * (offset & 3))) & ones) >>> 0;
  }

  write(offset: number, width: Width, value: number): void {
    // SDM vol. 3 §11.4.1: registers are written by aligned 32-bit stores; anything else is undefined.
    if (this.msrs.mode !== 'xAPIC' || width !== 4 || offset & 0xf) return;
    if (!this.#writeRegister(offset >> 4, value >>> 0)) this.#illegalRegister();
  }

  transferState(state: StateTransfer): void {
    this.#vectors.transferState(state);
    this.#logicalDestination = state.doubleword('logicalDestination', this.#logicalDestination);
    this.#destinationFormat = state.doubleword('destinationFormat', this.#destinationFormat);
    this.#spuriousVector = state.integer('spuriousVector', this.#spuriousVector, 0, 0x1ff);
    this.#errors.transferState(state);
    this.#command = state.doubleword('command', this.#command);
    this.#commandHigh = state.doubleword('commandHigh', this.#commandHigh);
    this.#divideConfiguration = state.byte('divideConfiguration', this.#divideConfiguration);
    this.#nmi = state.flag('nmi', this.#nmi);
    this.#externalMessage = state.flag('externalMessage', this.#externalMessage);
    this.#pending = state.flag('pending', this.#pending);
    state.part('msrs', (part) => this.msrs.transferState(part));
    state.part('timer', (part) => this.#timer.transferState(part));
    state.part('lvt', (part) => this.#lvt.transferState(part));
  }

  reset(): void {
    this.msrs.reset();
    this.#clear();
    this.#modeChanged();
  }

  /** After INIT: everything but the APIC's base and ID as after power-on (SDM vol. 3 §11.4.7.3). */
  #clear(): void {
    this.#vectors.clear();
    this.#lvt.reset();
    this.#timer.reset();
    this.#logicalDestination = 0;
    this.#destinationFormat = FLAT_MODEL;
    this.#spuriousVector = 0xff;
    this.#errors.clear();
    this.#command = 0;
    this.#commandHigh = 0;
    this.#divideConfiguration = 0;
    this.#nmi = false;
    this.#externalMessage = false;
  }

  #enabled(): boolean {
    return this.msrs.mode !== 'disabled';
  }

  #softwareEnabled(): boolean {
    return this.#enabled() && (this.#spuriousVector & register.SOFTWARE_ENABLE) !== 0;
  }

  #modeChanged(): void {
    if (!this.#enabled()) this.#clear();
    this.#lvt.bypass(!this.#enabled());
    this.#update();
  }

  /** undefined: no such register, or one that cannot be read. */
  #readRegister(index: number): number | undefined {
    if (index >= register.IN_SERVICE && index < register.ERROR_STATUS) return this.#vectors.readRegister(index);
    switch (index) {
      case register.APIC_ID:
        return this.msrs.mode === 'x2APIC' ? this.#options.id : (this.#options.id << 24) >>> 0;
      case register.VERSION:
        return VERSION_VALUE;
      case register.TASK_PRIORITY:
        return this.#vectors.taskPriority;
      case register.PROCESSOR_PRIORITY:
        return this.#vectors.processorPriority();
      case register.LOGICAL_DESTINATION:
        return this.#logicalId();
      case register.DESTINATION_FORMAT:
        return this.#destinationFormat;
      case register.SPURIOUS_VECTOR:
        return this.#spuriousVector;
      case register.ERROR_STATUS:
        return this.#errors.shown;
      case register.INTERRUPT_COMMAND:
        return this.#command;
      case register.INTERRUPT_COMMAND_HIGH:
        return this.#commandHigh;
      case register.INITIAL_COUNT:
        return this.#timer.initialCount;
      case register.CURRENT_COUNT:
        return this.#timer.currentCount();
      case register.DIVIDE_CONFIGURATION:
        return this.#divideConfiguration;
      default:
        return this.#lvt.read(index);
    }
  }

  /** False: no such register, or one that cannot be written. */
  #writeRegister(index: number, written: number): boolean {
    const value = (written & (register.WRITABLE_BITS.get(index) ?? 0)) >>> 0;
    switch (index) {
      case register.TASK_PRIORITY:
        this.#vectors.taskPriority = value;
        this.#update();
        break;
      case register.END_OF_INTERRUPT:
        this.#endOfInterrupt();
        break;
      case register.LOGICAL_DESTINATION:
        this.#logicalDestination = value;
        break;
      case register.DESTINATION_FORMAT:
        this.#destinationFormat = (value | 0x0fffffff) >>> 0;
        break;
      case register.SPURIOUS_VECTOR:
        this.#writeSpuriousVector(value);
        break;
      case register.ERROR_STATUS:
        this.#errors.show();
        break;
      case register.INTERRUPT_COMMAND:
        this.#sendCommand(value, this.#commandHigh >>> 24);
        break;
      case register.INTERRUPT_COMMAND_HIGH:
        this.#commandHigh = value;
        break;
      case register.INITIAL_COUNT:
        this.#timer.setInitialCount(value);
        break;
      case register.DIVIDE_CONFIGURATION:
        this.#divideConfiguration = value;
        this.#timer.setDivider((((value >> 1) & 4) + (value & 3) + 1) & 7);
        break;
      default:
        return this.#writeLvt(index, value);
    }
    return true;
  }

  #writeLvt(index: number, value: number): boolean {
    if (this.#lvt.read(index) === undefined) return false;
    this.#lvt.write(index, value | (this.#softwareEnabled() ? 0 : register.LVT_MASKED));
    if (index === register.LVT_TIMER) this.#timer.setMode(TIMER_MODES[(value >> 17) & 3]!);
    this.#update();
    return true;
  }

  #writeSpuriousVector(value: number): void {
    this.#spuriousVector = value;
    if ((value & register.SOFTWARE_ENABLE) === 0) this.#lvt.maskAll();
    this.#update();
  }

  #illegalRegister(): number {
    this.#raiseError(register.ERROR_ILLEGAL_REGISTER);
    return 0;
  }

  /** The PIC asks: priorities do not hold it up. */
  #externalPending(): boolean {
    return this.#externalMessage || this.#lvt.externalPending();
  }

  #update(): void {
    this.#pending = this.#externalPending() || (this.#enabled() && this.#vectors.deliverable() >= 0);
    if (this.#pending) this.#options.changed();
  }

  #endOfInterrupt(): void {
    const ended = this.#vectors.end();
    if (ended === undefined) return;
    if (ended.level) {
      this.#options.endOfInterrupt(ended.vector);
      this.#lvt.endOfInterrupt(ended.vector);
    }
    this.#update();
  }

  #raiseError(error: number): void {
    // An error about the error interrupt's own vector must not raise another one.
    if (this.#errors.add(error)) this.#lvt.raise(register.LVT_ERROR);
  }

  #latchNmi(): void {
    this.#nmi = true;
    this.#options.changed();
  }

  #accept(delivery: Delivery): void {
    switch (delivery.mode) {
      case register.DELIVERY_FIXED:
      case register.DELIVERY_LOWEST_PRIORITY:
        this.#acceptFixed(delivery);
        break;
      case register.DELIVERY_NMI:
        this.#latchNmi();
        break;
      case register.DELIVERY_INIT:
        this.#clear();
        this.#update();
        this.#options.init?.();
        break;
      case register.DELIVERY_STARTUP:
        this.#options.startup?.(delivery.vector);
        break;
      case register.DELIVERY_EXTERNAL:
        this.#externalMessage = true;
        this.#update();
        break;
      default:
        // There is no system-management mode for an SMI to enter; 3 is reserved.
        break;
    }
  }

  #acceptFixed({ vector, level }: Delivery): void {
    if (!this.#softwareEnabled()) return;
    if (vector < 16) {
      this.#raiseError(register.ERROR_RECEIVE_ILLEGAL_VECTOR);
      return;
    }
    this.#vectors.request(vector, level);
    this.#update();
  }

  /** A write of ICR. `destination`: 8 bits, in x2APIC mode 32. */
  #sendCommand(command: number, destination: number): void {
    this.#command = command;
    const { vector, mode, logical, shorthand, deassert } = decodeCommand(command);
    const broadcast = this.msrs.mode === 'x2APIC' ? BROADCAST_X2APIC : BROADCAST;
    const here = shorthand === undefined ? this.#addressed(destination, logical, broadcast) : shorthand !== 'others';
    if (mode === register.DELIVERY_FIXED || mode === register.DELIVERY_LOWEST_PRIORITY) {
      this.#sendFixed(vector, here);
      return;
    }
    if (here && !deassert && mode !== register.DELIVERY_EXTERNAL) this.#accept({ mode, vector, level: false });
  }

  #sendFixed(vector: number, here: boolean): void {
    if (vector < 16) this.#raiseError(register.ERROR_SEND_ILLEGAL_VECTOR);
    else if (here) this.#acceptFixed({ mode: register.DELIVERY_FIXED, vector, level: false });
  }

  #logicalId(): number {
    if (this.msrs.mode !== 'x2APIC') return this.#logicalDestination;
    return ((this.#options.id >>> 4) << 16) | (1 << (this.#options.id & 15));
  }

  #addressed(destination: number, logical: boolean, broadcast: number): boolean {
    const { id } = this.#options;
    const logicalDestination = this.#logicalId();
    const address = { id, mode: this.msrs.mode, logicalDestination, destinationFormat: this.#destinationFormat };
    return isAddressed(address, { destination, logical, broadcast });
  }
}
