/** What the classifier found of one architecture, ready to be shown. */
import type { Architecture } from '../model.ts';
import { check, mnemonics, type Theorem, type TheoremName } from '../theorems.ts';
import { type Class, classify, classOf, isSensitive, type Verdict } from '../verdict.ts';
import type { X86Architecture } from '../x86/architectures.ts';
import { classifyNonRoot } from '../x86/vtx.ts';
import { CONTROLS, type Controls } from '../x86/vtx-controls.ts';

export interface Report {
  readonly architecture: string;
  readonly title: string;
  readonly description: string;
  /** VM-execution controls, in non-root mode. */
  readonly controls: readonly string[] | undefined;
  readonly theorems: readonly Theorem[];
  readonly verdicts: readonly Verdict[];
  readonly groups: Architecture['groups'];
}

export function reportOn(architecture: Architecture): Report {
  const verdicts = classify(architecture);
  const { name, title, description, groups } = architecture;
  const theorems = (['1', '2', '3'] as const).map((n) => check(n, verdicts));
  return { architecture: name, title, description, controls: undefined, theorems, verdicts, groups };
}

export function reportOnNonRoot(architecture: X86Architecture, controls: Controls): Report {
  const verdicts = classifyNonRoot(architecture, controls);
  const titles = [...controls].map((c) => `“${CONTROLS[c].title}”`);
  return {
    architecture: architecture.name,
    title: `${architecture.title}, in VMX non-root operation`,
    description: `A guest's user and supervisor mode run in non-root operation with ${
      titles.length === 0 ? 'no controls' : titles.join(', ')
    }. Privileged means that it causes a VM exit; sensitive is what touches state that stays the monitor's.`,
    controls: [...controls],
    theorems: [check('root', verdicts)],
    verdicts,
    groups: architecture.groups,
  };
}

/** Mnemonics by class; one stands in several classes when its operand forms differ. */
export function mnemonicsByClass({ verdicts }: Pick<Report, 'verdicts'>): ReadonlyMap<Class, readonly string[]> {
  return new Map([...Map.groupBy(verdicts, classOf)].map(([c, all]) => [c, mnemonics(all)]));
}

/** The sensitive instructions by the kind of state that they touch. */
export function sensitiveGroups(r: Report): ReadonlyMap<string, readonly Verdict[]> {
  return Map.groupBy(r.verdicts.filter(isSensitive), (v) => {
    const group = r.groups.find(([, names]) => v.touches.some((t) => names.test(t)));
    return group?.[0] ?? 'Other state';
  });
}

/** What `--format json` prints. */
export interface ReportJson {
  readonly architecture: string;
  readonly controls?: readonly string[];
  readonly theorems: Readonly<
    Partial<Record<TheoremName, { readonly holds: boolean; readonly offenders: readonly string[] }>>
  >;
  readonly instructions: readonly (Pick<
    Verdict,
    'name' | 'case' | 'privileged' | 'controlSensitive' | 'behaviourSensitive' | 'userSensitive' | 'reasons'
  > & { readonly encoding: string; readonly class: Class })[];
}

export function reportJson(r: Report): ReportJson {
  const theorems = Object.fromEntries(
    r.theorems.map((t) => [t.name, { holds: t.holds, offenders: mnemonics(t.offenders) }]),
  );
  const instructions = r.verdicts.map((v) => ({
    name: v.name,
    case: v.case,
    encoding: v.encoding,
    class: classOf(v),
    privileged: v.privileged,
    controlSensitive: v.controlSensitive,
    behaviourSensitive: v.behaviourSensitive,
    userSensitive: v.userSensitive,
    reasons: v.reasons,
  }));
  const controls = r.controls === undefined ? {} : { controls: r.controls };
  return { architecture: r.architecture, ...controls, theorems, instructions };
}
