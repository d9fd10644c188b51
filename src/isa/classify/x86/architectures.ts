/** Variants of the x86 as the classifier judges them: one set of definitions, other features, other modes. */
import type { Encoding } from '../../x86/definition.ts';
import { type Feature, featureOf } from '../../x86/features.ts';
import { ENCODINGS } from '../../x86/instruction-set.ts';
import type { Architecture } from '../model.ts';
import { casesOf, type X86Case } from './cases.ts';
import { contextsOf } from './contexts.ts';
import { X86_STATES } from './state-map.ts';

export interface X86Architecture extends Architecture {
  readonly long: boolean;
  readonly cases: () => readonly X86Case[];
}

interface Variant {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly long: boolean;
  readonly umip: boolean;
  readonly has: (feature: Feature | undefined) => boolean;
}

const MONITOR =
  'User mode is CPL 3 with IOPL 0, supervisor mode CPL 0; the monitor has set CR4.TSD and given the task no I/O permission bitmap.';

const VARIANTS: readonly Variant[] = [
  {
    name: 'x86-32-pentium',
    title: 'x86, 32-bit, as of the Pentium (1993)',
    description: `Flat 32-bit protected mode with the instructions of the original Pentium. ${MONITOR}`,
    long: false,
    umip: false,
    has: (feature) => feature === undefined,
  },
  {
    name: 'x86-32',
    title: 'x86, 32-bit',
    description: `Flat 32-bit protected mode with every instruction that Trapeze has, CR4.UMIP clear. ${MONITOR}`,
    long: false,
    umip: false,
    has: () => true,
  },
  {
    name: 'x86-32-umip',
    title: 'x86, 32-bit, with user-mode instruction prevention',
    description: `As x86-32, with CR4.UMIP set by the monitor. ${MONITOR}`,
    long: false,
    umip: true,
    has: () => true,
  },
  {
    name: 'x86-64',
    title: 'x86, 64-bit mode',
    description: `64-bit mode with every instruction that Trapeze has, CR4.UMIP clear. ${MONITOR}`,
    long: true,
    umip: false,
    has: () => true,
  },
  {
    name: 'x86-64-umip',
    title: 'x86, 64-bit mode, with user-mode instruction prevention',
    description: `As x86-64, with CR4.UMIP set by the monitor. ${MONITOR}`,
    long: true,
    umip: true,
    has: () => true,
  },
];

const GROUPS: Architecture['groups'] = [
  ['Descriptors, segments and privilege levels', /^the tables|^[CDEFGS]S\.|^CPL$/],
  ['System registers', /^(GDTR|IDTR|LDTR|TR|CR\d|DR\d|XCR0|EFER|IA32_|taskPriority|msr|dropTranslations)/],
  ['System flags', /^(IF|IOPL|VM|VIF|VIP)$/],
  ['Devices and the running of the processor', /^port|^the running/],
  ['Identity of the processor', /^cpuid$/],
];

function make(v: Variant, encodings: readonly Encoding[]): X86Architecture {
  return {
    name: v.name,
    title: v.title,
    description: v.description,
    long: v.long,
    states: X86_STATES,
    groups: GROUPS,
    contexts: contextsOf(v),
    cases: () =>
      casesOf(
        encodings.filter((e) => v.has(featureOf(e))),
        v.long,
      ),
  };
}

export const X86_NAMES: readonly string[] = VARIANTS.map((v) => v.name);

/** The variant of that name; other instructions than the processor's for experiments. */
export function x86Architecture(name: string, encodings: readonly Encoding[] = ENCODINGS): X86Architecture | undefined {
  const variant = VARIANTS.find((v) => v.name === name);
  return variant && make(variant, encodings);
}
