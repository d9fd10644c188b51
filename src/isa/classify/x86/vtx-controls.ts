/**
 * VM-execution controls and what they make of instructions in VMX non-root operation (SDM vol. 3 §24.6 the controls, §25.1 the exits,
 * §24.4 the guest-state area). Data only: which instruction exits under which control, and which state stays the monitor's.
 */

/** Control by short name: its name in the manual, and whether monitors usually set it. */
export const CONTROLS = {
  'external-interrupt': { title: 'external-interrupt exiting', usual: true },
  hlt: { title: 'HLT exiting', usual: true },
  invlpg: { title: 'INVLPG exiting', usual: false },
  rdpmc: { title: 'RDPMC exiting', usual: true },
  rdtsc: { title: 'RDTSC exiting', usual: false },
  'cr3-load': { title: 'CR3-load exiting', usual: false },
  'cr3-store': { title: 'CR3-store exiting', usual: false },
  'cr8-load': { title: 'CR8-load exiting', usual: true },
  'cr8-store': { title: 'CR8-store exiting', usual: true },
  'tpr-shadow': { title: 'use TPR shadow', usual: false },
  'mov-dr': { title: 'MOV-DR exiting', usual: false },
  io: { title: 'unconditional I/O exiting', usual: true },
  'io-bitmaps': { title: 'use I/O bitmaps (all bits set)', usual: false },
  'msr-bitmaps': { title: 'use MSR bitmaps (all bits clear)', usual: false },
  ept: { title: 'enable EPT', usual: true },
  'descriptor-table': { title: 'descriptor-table exiting', usual: false },
  wbinvd: { title: 'WBINVD exiting', usual: false },
  rdrand: { title: 'RDRAND exiting', usual: false },
  rdseed: { title: 'RDSEED exiting', usual: false },
  pause: { title: 'PAUSE exiting', usual: false },
  'cr0-mask': { title: 'CR0 guest/host mask (all bits)', usual: true },
  'cr4-mask': { title: 'CR4 guest/host mask (all bits)', usual: true },
} as const satisfies Readonly<Record<string, { readonly title: string; readonly usual: boolean }>>;

export type Control = keyof typeof CONTROLS;
export type Controls = ReadonlySet<Control>;
export const CONTROL_NAMES = Object.keys(CONTROLS) as readonly Control[];
export const USUAL_CONTROLS: Controls = new Set(CONTROL_NAMES.filter((c) => CONTROLS[c].usual));

/** When an instruction exits: always, under any of some controls, or unless one is set. */
export type Condition = 'always' | readonly Control[] | { readonly unless: Control };

export interface ExitRow {
  readonly names: readonly string[];
  /** Which operand forms; all when absent. */
  readonly form?: RegExp;
  readonly when: Condition;
}

/** SDM vol. 3 §25.1.2 (unconditional) and §25.1.3 (conditional). */
export const EXITS: readonly ExitRow[] = [
  { names: ['CPUID', 'GETSEC', 'INVD', 'XSETBV'], when: 'always' },
  { names: ['CLTS', 'LMSW'], when: ['cr0-mask'] },
  { names: ['MOV'], form: /^Cr,Rr · CR0$/, when: ['cr0-mask'] },
  { names: ['MOV'], form: /^Cr,Rr · CR3$/, when: ['cr3-load'] },
  { names: ['MOV'], form: /^Cr,Rr · CR4$/, when: ['cr4-mask'] },
  { names: ['MOV'], form: /^Cr,Rr · CR8$/, when: ['cr8-load'] },
  { names: ['MOV'], form: /^Rr,Cr · CR3$/, when: ['cr3-store'] },
  { names: ['MOV'], form: /^Rr,Cr · CR8$/, when: ['cr8-store'] },
  { names: ['MOV'], form: /DR\d$/, when: ['mov-dr'] },
  { names: ['HLT'], when: ['hlt'] },
  { names: ['IN', 'INS', 'OUT', 'OUTS'], when: ['io', 'io-bitmaps'] },
  { names: ['INVLPG', 'INVPCID'], when: ['invlpg'] },
  { names: ['LGDT', 'LIDT', 'LLDT', 'LTR', 'SGDT', 'SIDT', 'SLDT', 'STR'], when: ['descriptor-table'] },
  { names: ['PAUSE'], when: ['pause'] },
  { names: ['RDMSR', 'WRMSR'], when: { unless: 'msr-bitmaps' } },
  { names: ['RDPMC'], when: ['rdpmc'] },
  { names: ['RDTSC', 'RDTSCP'], when: ['rdtsc'] },
  { names: ['RDRAND'], when: ['rdrand'] },
  { names: ['RDSEED'], when: ['rdseed'] },
  { names: ['WBINVD'], when: ['wbinvd'] },
];

export interface OwnershipRow {
  readonly state: RegExp;
  /** Which of the two touches the monitor's: showing it, changing it. */
  readonly touches: readonly ('exposes' | 'changes')[];
  /** It is the guest's own, or a shadow is shown, under any of these. */
  readonly unless: readonly Control[];
  readonly why: string;
}

/**
 * What stays the monitor's. Everything else is the guest's: the guest-state area holds it (§24.4), or the monitor exchanges it at entries
 * and exits as it does general registers, for it has no effect on the host meanwhile.
 */
export const OWNERSHIP: readonly OwnershipRow[] = [
  {
    state: /^CR3$/,
    touches: ['exposes', 'changes'],
    unless: ['ept'],
    why: "without EPT, CR3 names the host's page frames",
  },
  {
    state: /^dropTranslations$/,
    touches: ['changes'],
    unless: ['ept'],
    why: 'without EPT, translations come from shadow page tables, which the monitor must bring up to date',
  },
  {
    state: /^CR0(\.|$)/,
    touches: ['exposes'],
    unless: ['cr0-mask'],
    why: 'CR0 has bits fixed by VMX operation and bits for caches; the mask shows the read shadow instead',
  },
  {
    state: /^CR0(\.|$)/,
    touches: ['changes'],
    unless: [],
    why: 'CR0 has bits fixed by VMX operation and bits for caches',
  },
  {
    state: /^CR4(\.|$)/,
    touches: ['exposes'],
    unless: ['cr4-mask'],
    why: 'CR4 has bits fixed by VMX operation; the mask shows the read shadow instead',
  },
  { state: /^CR4(\.|$)/, touches: ['changes'], unless: [], why: 'CR4 has bits fixed by VMX operation' },
  {
    state: /^IF$/,
    touches: ['changes'],
    unless: ['external-interrupt'],
    why: "without external-interrupt exiting, the guest's IF holds back the host's interrupts",
  },
  {
    state: /^the running of the processor$/,
    touches: ['changes'],
    unless: [],
    why: 'a processor that halts is lost to the host',
  },
  { state: /^port(Read|Write)$/, touches: ['exposes', 'changes'], unless: [], why: 'ports are devices of the host' },
  {
    state: /^msr(Read|Write)$/,
    touches: ['exposes', 'changes'],
    unless: [],
    why: 'model-specific registers outside the guest-state area are those of the host',
  },
  {
    state: /^taskPriority(Read|Write)$/,
    touches: ['exposes', 'changes'],
    unless: ['tpr-shadow'],
    why: "CR8 is the task priority of the host's local APIC",
  },
  { state: /^cpuid$/, touches: ['exposes'], unless: [], why: 'CPUID tells of the host' },
];
