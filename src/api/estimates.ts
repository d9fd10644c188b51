/** What each technique of virtualization would have had to do for a run: estimates in events, from what the run did. */

/** What a run did, as far as a monitor would have had a part in it. */
export interface RunCounts {
  readonly instructions: number;
  readonly kinds: readonly InstructionCount[];
  /** Changed entries of page tables: a lower bound. */
  readonly pageTableWrites: number;
  readonly pageFaults: number;
  /** Page faults included. */
  readonly exceptions: number;
  readonly interrupts: number;
  /** Accesses to device registers, by ports and in memory. */
  readonly deviceAccesses: number;
}

/** Executions of one instruction case at one privilege level. */
export interface InstructionCount {
  readonly name: string;
  readonly case: string;
  readonly class: string;
  readonly sensitive: boolean;
  readonly privileged: boolean;
  readonly level: 'user' | 'supervisor';
  readonly count: number;
  /** It exits in non-root mode with the usual controls, and with those for shadow page tables. */
  readonly exits: { readonly withEpt: boolean; readonly withoutEpt: boolean };
}

export interface EstimateRow {
  readonly event: string;
  readonly count: number;
}
export interface Estimate {
  readonly technique: string;
  readonly rows: readonly EstimateRow[];
  /** How often the monitor would have been entered. */
  readonly entries: number;
  /** What the number leaves out or gets wrong. */
  readonly caveat: string;
}

type Filter = (k: InstructionCount) => boolean;
const sum = (run: RunCounts, fits: Filter): number => run.kinds.filter(fits).reduce((total, k) => total + k.count, 0);
const named =
  (...names: readonly string[]): Filter =>
  (k) =>
    names.includes(k.name);
const inKernel: Filter = (k) => k.level === 'supervisor';
const systemCalls: Filter = (k) => k.level === 'user' && ['SYSCALL', 'SYSENTER', 'INT'].includes(k.name);
const isPort = named('IN', 'OUT', 'INS', 'OUTS');
const isCr3Write: Filter = (k) => k.name === 'MOV' && k.case === 'Cr,Rr · CR3';
const isFlag = named('CLI', 'STI', 'PUSHF', 'POPF');
const isReturn = named('IRET', 'SYSRET', 'SYSEXIT');

const entriesOf = (rows: readonly EstimateRow[]): number => rows.reduce((total, r) => total + r.count, 0);
const crossings = (run: RunCounts): readonly EstimateRow[] => [
  { event: 'system calls', count: sum(run, systemCalls) },
  { event: 'exceptions', count: run.exceptions },
  { event: 'interrupts', count: run.interrupts },
];
/** Device registers in memory: accesses that no port instruction made. */
const memoryMapped = (run: RunCounts): number => Math.max(0, run.deviceAccesses - sum(run, isPort));

function trapAndEmulate(run: RunCounts): Estimate {
  const rows = [
    { event: 'privileged instructions of the kernel', count: sum(run, (k) => inKernel(k) && k.privileged) },
    ...crossings(run),
    { event: 'page-table writes', count: run.pageTableWrites },
    { event: 'device registers in memory', count: memoryMapped(run) },
  ];
  const missed = sum(run, (k) => inKernel(k) && k.sensitive && !k.privileged);
  const inUser = sum(run, (k) => k.level === 'user' && k.sensitive && !k.privileged && !systemCalls(k));
  return {
    technique: 'trap-and-emulate (kernel at CPL 3)',
    rows,
    entries: entriesOf(rows),
    caveat: `not possible on this architecture: ${missed} sensitive instructions of the kernel and ${inUser} of programs would not have trapped`,
  };
}

function binaryTranslation(run: RunCounts): Estimate {
  const rows = [
    ...crossings(run),
    { event: 'context switches (CR3 writes)', count: sum(run, isCr3Write) },
    { event: 'page-table writes', count: run.pageTableWrites },
    { event: 'port accesses of the kernel', count: sum(run, (k) => inKernel(k) && isPort(k)) },
    { event: 'device registers in memory', count: memoryMapped(run) },
  ];
  const inline = sum(run, (k) => inKernel(k) && k.sensitive && !isPort(k) && !isCr3Write(k));
  return {
    technique: 'binary translation of the kernel, programs run directly',
    rows,
    entries: entriesOf(rows),
    caveat: `besides, ${inline} sensitive instructions of the kernel run as their translation, without a trap`,
  };
}

function paravirtualization(run: RunCounts): Estimate {
  const covered: Filter = (k) => isFlag(k) || isReturn(k) || isCr3Write(k) || isPort(k);
  const rows = [
    ...crossings(run),
    { event: 'returns to programs (IRET, SYSRET)', count: sum(run, (k) => inKernel(k) && isReturn(k)) },
    { event: 'context switches (CR3 writes)', count: sum(run, (k) => inKernel(k) && isCr3Write(k)) },
    { event: 'page-table writes, before batching', count: run.pageTableWrites },
    {
      event: 'other sensitive instructions of the kernel',
      count: sum(run, (k) => inKernel(k) && k.sensitive && !covered(k)),
    },
  ];
  const flags = sum(run, (k) => inKernel(k) && isFlag(k));
  return {
    technique: 'paravirtualization (64-bit kernel at CPL 3)',
    rows,
    entries: entriesOf(rows),
    caveat: `${flags} changes and reads of the interrupt flag become memory accesses; device drivers are others, so device accesses are left out`,
  };
}

function vtx(run: RunCounts, ept: boolean): Estimate {
  const exits: Filter = (k) => (ept ? k.exits.withEpt : k.exits.withoutEpt);
  const paging = [
    { event: 'page faults', count: run.pageFaults },
    { event: 'page-table writes', count: run.pageTableWrites },
  ];
  const rows = [
    { event: 'instructions that exit', count: sum(run, exits) },
    { event: 'interrupts', count: run.interrupts },
    ...(ept ? [] : paging),
    { event: 'device registers in memory', count: memoryMapped(run) },
  ];
  return {
    technique: ept ? 'VT-x with EPT' : 'VT-x without EPT (shadow page tables)',
    rows,
    entries: entriesOf(rows),
    caveat: ept
      ? 'EPT violations at the first touch of each page are left out; interrupts of the host itself too'
      : 'fills of shadow page tables that the guest does not see are left out; interrupts of the host itself too',
  };
}

export function estimate(run: RunCounts): readonly Estimate[] {
  return [trapAndEmulate(run), binaryTranslation(run), paravirtualization(run), vtx(run, false), vtx(run, true)];
}

/** A published cost of one entry of the monitor, by name. */
export interface CostTable {
  readonly cyclesPerExit: number;
  readonly source: string;
}
export const COST_TABLES = {
  'splitx-2011': {
    cyclesPerExit: 2000,
    source:
      'direct cost of an exit with KVM on an Intel Xeon X5570: A. Landau, M. Ben-Yehuda, A. Gordon, SplitX: Split Guest/Hypervisor Execution on Multi-Core, USENIX WIOV 2011, table 1',
  },
} as const satisfies Readonly<Record<string, CostTable>>;
