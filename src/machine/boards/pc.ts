/** The board `pc`: an x86 PC with PCI, APICs and legacy devices. */

import { loadBootSource } from '../../boot/load.ts';
import { mebibytes } from '../../boot/placement.ts';
import type { BootSource } from '../../boot/source.ts';
import { A20Gate } from '../../devices/a20.ts';
import { ACPI_PM_SIZE, AcpiPowerManagement } from '../../devices/acpi-pm.ts';
import type { BlockBackend, ByteSink, Device, GuestMemory, IrqLine, Range } from '../../devices/contract.ts';
import { DebugExit } from '../../devices/debug-exit.ts';
import { GenerationId } from '../../devices/generation-id.ts';
import { KeyboardController } from '../../devices/i8042.ts';
import { IoApic } from '../../devices/io-apic.ts';
import { LocalApic } from '../../devices/local-apic.ts';
import { PciBus } from '../../devices/pci/bus.ts';
import { hostBridge } from '../../devices/pci/host-bridge.ts';
import { DualPic } from '../../devices/pic.ts';
import { Pit } from '../../devices/pit.ts';
import { PostPort } from '../../devices/post-ports.ts';
import { ResetControl } from '../../devices/reset-control.ts';
import { RealTimeClock } from '../../devices/rtc.ts';
import type { Stateful } from '../../devices/state.ts';
import { SystemControlPortA } from '../../devices/system-control-port-a.ts';
import { SystemControlPortB } from '../../devices/system-control-port-b.ts';
import { Uart16550 } from '../../devices/uart16550.ts';
import { BlockDevice } from '../../devices/virtio/block.ts';
import { ConsoleDevice } from '../../devices/virtio/console.ts';
import { EntropyDevice } from '../../devices/virtio/entropy.ts';
import { virtioPci } from '../../devices/virtio/transport-pci.ts';
import type { Engine, Vcpu } from '../../engine/engine.ts';
import { UserError } from '../../user-error.ts';
import type { Board, StateSection, Supervisor } from '../board.ts';
import type { AccessCount } from '../bus.ts';
import { AddressBus } from '../bus.ts';
import { ConsoleInput } from '../console-input.ts';
import type { HostServices } from '../host-services.ts';
import { LockstepIo } from '../lockstep-io.ts';
import { Machine } from '../machine.ts';
import { PlatformMsrs } from '../msrs.ts';
import { fillFrom, SplitMix64, WordPool } from '../random.ts';
import { placeAcpiTables, placeBiosDataArea } from './pc-acpi.ts';
import {
  ACPI_PM_BASE,
  ECAM,
  GENERATION_EVENT,
  GENERATION_ID,
  IO_APIC_BASE,
  IO_APIC_ID,
  IRQ,
  LOCAL_APIC_BASE,
  MAXIMUM_MEMORY,
  MINIMUM_MEMORY,
  PCI_IRQS,
  PCI_WINDOW,
  pcMemoryMap,
  TIMER_IO_APIC_INPUT,
  TSC_FREQUENCY,
} from './pc-layout.ts';

export interface PcOptions {
  /** Executes the guest; its memory is the machine's RAM, at most `MAXIMUM_MEMORY`. */
  readonly engine: Engine;
  readonly host: HostServices;
  /** Virtual: time is retired instructions and all randomness is seeded, so runs repeat bit for bit. */
  readonly clock: 'real' | 'virtual';
  /** What is loaded at power-on and when the guest restarts; a restored machine may do without until then. */
  readonly boot: BootSource | (() => Promise<BootSource>);
  /** What the guest prints on its first serial port. */
  readonly serial?: ByteSink;
  /** What the guest prints on its virtio console; without one the machine has no virtio console. */
  readonly console?: ByteSink;
  /** virtio disks in order: vda, vdb, … The caller closes them. */
  readonly disks?: readonly BlockBackend[];
  /** The I/O port of the debug-exit device; without it there is none. */
  readonly debugExitPort?: number | undefined;
  /** A reset ends the run. */
  readonly noReboot?: boolean | undefined;
  /** Host milliseconds after which the run ends. */
  readonly timeoutMs?: number | undefined;
}

/** A powered-off PC; `run()` starts it. @throws UserError when it has too little or too much memory. */
export function createPcMachine(options: PcOptions): Machine {
  const { host, clock, noReboot, timeoutMs } = options;
  const { size } = options.engine.memory;
  if (size < MINIMUM_MEMORY || size > MAXIMUM_MEMORY)
    throw new UserError(
      `a pc has ${mebibytes(MINIMUM_MEMORY)} to ${mebibytes(MAXIMUM_MEMORY)} of memory, not ${mebibytes(size)}; choose a size between`,
    );
  return new Machine({ time: host.time, clock, noReboot, timeoutMs }, (supervisor) => new PcBoard(options, supervisor));
}

/** Inputs of the PIC that are levels: those of PCI and the SCI. */
const LEVEL_INPUTS = [IRQ.sci, ...PCI_IRQS].reduce((mask, irq) => mask | (1 << irq), 0);
const NS_PER_MS = 1e6;
const VIRTUAL_SEED = 0x0074_7261_7065_7a65n;

class PcBoard implements Board {
  readonly vcpu: Vcpu;
  readonly #memory: GuestMemory;
  #boot: PcOptions['boot'];
  readonly #mmio = new AddressBus('memory');
  readonly #ports = new AddressBus('ports');
  readonly #devices: { reset(): void }[] = [];
  /** State by name; the interrupt controllers come last, since what others do while they are restored is nothing to them. */
  readonly #stateful: [name: string, of: Stateful][] = [];
  readonly #lockstep: LockstepIo | undefined;
  readonly #fill: (bytes: Uint8Array) => void;
  readonly #entropy: WordPool;
  readonly #apic: LocalApic;
  #apicWindow: Range | undefined;
  readonly #pic: DualPic;
  readonly #ioApic: IoApic;
  readonly #pm: AcpiPowerManagement;
  readonly #generation: GenerationId;
  readonly #serial: Uart16550;
  readonly #pci: PciBus;
  readonly #console: ConsoleDevice | undefined;
  readonly #consoleInput: ConsoleInput;
  #consoleSize: readonly [columns: number, rows: number] | undefined;
  readonly #disks: readonly BlockDevice[];

  constructor(options: PcOptions, supervisor: Supervisor) {
    const { engine, host, clock } = options;
    this.#memory = engine.memory;
    this.#boot = options.boot;
    this.#lockstep = clock === 'virtual' ? new LockstepIo(host.time, () => supervisor.attention()) : undefined;
    this.#fill = clock === 'virtual' ? this.#repeatableFill() : host.randomFill;
    this.#entropy = new WordPool(this.#fill);
    // Under a virtual clock a restored run is the run that was saved; under a real one nothing random is ever the same.
    if (clock === 'virtual') this.#stateful.push(['entropy', this.#entropy]);

    this.#apic = this.#add(this.#createApic(supervisor));
    this.#ioApic = this.#add(new IoApic(IO_APIC_ID, this.#apic));
    this.#pic = this.#add(new DualPic(this.#apic.lint0));
    this.#moveApic(LOCAL_APIC_BASE);
    this.#mmio.map({ base: IO_APIC_BASE, size: 0x1000 }, this.#ioApic);
    this.#mapPic();
    this.#addTimers(supervisor);
    this.#pm = this.#addPower(supervisor);
    this.#generation = this.#add(this.#createGenerationId());
    this.#serial = this.#addSerial(options, supervisor);

    this.#pci = this.#addPci(supervisor);
    this.#consoleInput = this.#add(this.#keep('console-input', this.#createConsoleInput(supervisor)));
    this.#console = options.console && new ConsoleDevice(this.#heard(options.console));
    this.#disks = (options.disks ?? []).map(
      (disk, i) => new BlockDevice(this.#lockstep?.wrap(disk) ?? disk, `disk${i}`),
    );
    this.#plugVirtio();
    this.vcpu = this.#createVcpu(options, supervisor);
    this.#keep('pci', this.#pci);
    this.#keep('pic', this.#pic);
    this.#keep('io-apic', this.#ioApic);
    this.#keep('local-apic', this.#apic);
  }

  prepare(): Promise<void> | undefined {
    const boot = this.#boot;
    if (typeof boot !== 'function') return undefined;
    return boot().then((loaded) => {
      this.#boot = loaded;
    });
  }

  powerOn(): void {
    if (typeof this.#boot === 'function') throw new Error('nothing was prepared to boot');
    for (const device of this.#devices) device.reset();
    this.#pic.edgeLevelControl.write(0, 2, LEVEL_INPUTS);
    this.#apic.programVirtualWire();
    this.#pci.assignResources(PCI_WINDOW);
    const seed = new Uint8Array(32);
    this.#fill(seed);
    placeBiosDataArea(this.#memory);
    const rsdp = placeAcpiTables(this.#memory);
    const memoryMap = pcMemoryMap(this.#memory.size);
    for (const [name, value] of loadBootSource(this.#boot, { memory: this.#memory, memoryMap, rsdp, seed }))
      this.vcpu.setRegister(name, value);
  }

  sections(): readonly StateSection[] {
    return this.#stateful.map(([name, state]) => ({ name, version: 1, state }));
  }

  restored(): void {
    if (this.#lockstep === undefined) this.#generation.renew();
  }

  serialInput(bytes: Uint8Array): void {
    this.#serial.receive(bytes);
  }

  consoleInput(bytes: Uint8Array): void {
    this.#consoleInput.type(bytes);
  }

  waitingInput(): number {
    return this.#serial.waiting + this.#consoleInput.waitingBytes;
  }

  resize(columns: number, rows: number): void {
    this.#consoleSize = [columns, rows];
    this.#console?.resize(columns, rows);
  }

  pressPowerButton(): void {
    this.#pm.pressPowerButton();
  }

  settle(): Promise<void> | undefined {
    return this.#lockstep?.settle();
  }

  async quiesce(): Promise<void> {
    this.#serial.handOver();
    await this.#lockstep?.settle();
    for (const disk of this.#disks) while (disk.busy) await disk.idle();
  }

  accesses(): ReadonlyMap<string, AccessCount> {
    return new Map([...this.#ports.accesses(), ...this.#mmio.accesses()]);
  }

  #createConsoleInput({ clock }: Supervisor): ConsoleInput {
    const take = (bytes: Uint8Array): number => this.#console?.input(bytes) ?? bytes.length;
    // Linux looks at the size only when it changes: as a change it hears it also at the start.
    return new ConsoleInput(clock, take, () => this.#consoleSize && this.#console?.resize(...this.#consoleSize));
  }

  /** The same sink; what it is given tells that the console is in use. */
  #heard(sink: ByteSink): ByteSink {
    return {
      write: (bytes) => {
        this.#consoleInput.printed();
        sink.write(bytes);
      },
    };
  }

  /** A device of the board is reset with it. */
  #add<T extends { reset(): void }>(device: T): T {
    this.#devices.push(device);
    return device;
  }

  /** A device whose state is saved. */
  #keep<T extends Stateful>(name: string, device: T): T {
    this.#stateful.push([name, device]);
    return device;
  }

  #repeatableFill(): (bytes: Uint8Array) => void {
    const random = this.#keep('random', new SplitMix64(VIRTUAL_SEED));
    return fillFrom(() => random.next());
  }

  #addPort<T extends Device>(base: number, size: number, device: T): T {
    this.#ports.map({ base, size }, device);
    return this.#add(device);
  }

  /** A wire to an input of the PIC and the same of the I/O APIC, as on every PC. */
  #isaLine(irq: number): IrqLine {
    const pic = this.#pic.line(irq);
    const ioApic = this.#ioApic.line(irq === IRQ.timer ? TIMER_IO_APIC_INPUT : irq);
    return {
      set(asserted) {
        pic.set(asserted);
        ioApic.set(asserted);
      },
    };
  }

  #createApic(supervisor: Supervisor): LocalApic {
    return new LocalApic({
      id: 0,
      clock: supervisor.clock,
      tscFrequency: TSC_FREQUENCY,
      changed: supervisor.attention,
      acknowledgeExternal: () => this.#pic.acknowledge(),
      endOfInterrupt: (vector) => this.#ioApic.endOfInterrupt(vector),
      moved: (base) => this.#moveApic(base),
    });
  }

  /** RAM and other devices go before: a local APIC that is put there cannot be reached. */
  #moveApic(base: number): void {
    if (this.#apicWindow !== undefined) this.#mmio.unmap(this.#apicWindow);
    const window = { base, size: 0x1000 };
    this.#apicWindow = this.#mmio.isFree(window) ? window : undefined;
    if (this.#apicWindow !== undefined) this.#mmio.map(window, this.#apic);
  }

  #mapPic(): void {
    this.#ports.map({ base: 0x20, size: 2 }, this.#pic.master);
    this.#ports.map({ base: 0xa0, size: 2 }, this.#pic.slave);
    this.#ports.map({ base: 0x4d0, size: 2 }, this.#pic.edgeLevelControl);
  }

  #addTimers({ clock }: Supervisor): void {
    const pit = this.#keep('pit', this.#addPort(0x40, 4, new Pit(clock, this.#isaLine(IRQ.timer))));
    this.#keep('system-control-port-b', this.#addPort(0x61, 1, new SystemControlPortB(clock, pit)));
    const options = { memorySize: this.#memory.size };
    this.#keep('rtc', this.#addPort(0x70, 2, new RealTimeClock(clock, this.#isaLine(IRQ.rtc), options)));
    this.#keep('post-code', this.#addPort(0x80, 1, new PostPort()));
  }

  #addPower(supervisor: Supervisor): AcpiPowerManagement {
    const resetMachine = (): void => supervisor.request({ kind: 'reset' });
    const a20 = this.#keep('a20', new A20Gate());
    const i8042 = this.#add(
      new KeyboardController({
        keyboard: this.#isaLine(IRQ.keyboard),
        auxiliary: this.#isaLine(IRQ.mouse),
        a20,
        resetMachine,
      }),
    );
    this.#keep('i8042', i8042);
    this.#ports.map({ base: 0x60, size: 1 }, i8042.data);
    this.#ports.map({ base: 0x64, size: 1 }, i8042.command);
    this.#keep('system-control-port-a', this.#addPort(0x92, 1, new SystemControlPortA(a20, resetMachine)));
    const powerOff = (): void => supervisor.request({ kind: 'poweredOff' });
    const pm = new AcpiPowerManagement(supervisor.clock, this.#isaLine(IRQ.sci), powerOff);
    return this.#keep('acpi-pm', this.#addPort(ACPI_PM_BASE, ACPI_PM_SIZE, pm));
  }

  #createGenerationId(): GenerationId {
    const place = { memory: this.#memory, at: GENERATION_ID };
    return new GenerationId(place, this.#fill, () => this.#pm.raiseEvent(GENERATION_EVENT));
  }

  #addSerial({ serial, debugExitPort }: PcOptions, supervisor: Supervisor): Uart16550 {
    if (debugExitPort !== undefined)
      this.#addPort(debugExitPort, 4, new DebugExit((code) => supervisor.request({ kind: 'debugExit', code })));
    const line = this.#isaLine(IRQ.serial1);
    const uart = new Uart16550(supervisor.clock, line, serial ?? { write: () => {} });
    return this.#keep('uart16550', this.#addPort(0x3f8, 8, uart));
  }

  #addPci(supervisor: Supervisor): PciBus {
    const resetControl = this.#add(new ResetControl(() => supervisor.request({ kind: 'reset' })));
    this.#keep('reset-control', resetControl);
    const [a, b, c, d] = PCI_IRQS;
    const pci = new PciBus({
      mmio: this.#mmio,
      ports: this.#ports,
      messages: this.#apic,
      intx: [this.#isaLine(a), this.#isaLine(b), this.#isaLine(c), this.#isaLine(d)],
      interruptLine: PCI_IRQS,
      resetControl,
    });
    this.#ports.map({ base: 0xcf8, size: 4 }, pci.configAddress);
    this.#ports.map({ base: 0xcfc, size: 4 }, pci.configData);
    this.#mmio.map(ECAM, pci.ecam);
    return this.#add(pci);
  }

  #plugVirtio(): void {
    const entropy = new EntropyDevice(this.#fill);
    const devices = [...(this.#console ? [this.#console] : []), entropy, ...this.#disks];
    this.#pci.plug(0, hostBridge());
    for (const [i, device] of devices.entries()) this.#pci.plug(i + 1, virtioPci(device, this.#memory));
  }

  #createVcpu({ engine, host: { time } }: PcOptions, { clock }: Supervisor): Vcpu {
    // `TSC_FREQUENCY` is a tick a nanosecond.
    const msrs = this.#keep('msrs', this.#add(new PlatformMsrs(this.#apic.msrs)));
    return engine.createVcpu({
      mmio: this.#mmio,
      ports: this.#ports,
      interrupts: this.#apic,
      msrs,
      timestamp: () => clock.now(),
      entropy: () => this.#entropy.next(),
      milliseconds: () => Number(time.nowNs()) / NS_PER_MS,
      exactStops: this.#lockstep !== undefined,
    });
  }
}
