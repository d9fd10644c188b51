/**
 * Popek and Goldberg's classes of instructions, from the footprints of their meanings (Formal Requirements for Virtualizable Third
 * Generation Architectures, CACM 17(7), 1974).
 */
import type { Effect } from './environment.ts';
import type { Architecture, Body, Case, Context } from './model.ts';
import { type Footprint, Walker } from './walk.ts';

export interface Verdict {
  readonly name: string;
  readonly case: string;
  readonly encoding: string;
  /** Traps in every state of user mode, and not in every state of supervisor mode. */
  readonly privileged: boolean;
  /** In some state it changes mode, resources or devices without a trap. */
  readonly controlSensitive: boolean;
  /** In some state what the program sees, or what happens, depends on mode or resources. */
  readonly behaviourSensitive: boolean;
  /** It is one of these in a state of user mode. */
  readonly userSensitive: boolean;
  /** What it shows depends on a clock, in user mode, without a trap. */
  readonly timingDependent: boolean;
  /** It always traps, in every mode. */
  readonly undefined: boolean;
  /** Names of the state and devices that make it sensitive. */
  readonly touches: readonly string[];
  /** Why, in words. */
  readonly reasons: readonly string[];
}

export type Class = 'innocuous' | 'privileged' | 'sensitive, privileged' | 'sensitive, unprivileged' | 'undefined';

export const isSensitive = (v: Verdict): boolean => v.controlSensitive || v.behaviourSensitive;

export function classOf(v: Verdict): Class {
  if (v.undefined) return 'undefined';
  if (isSensitive(v)) return v.privileged ? 'sensitive, privileged' : 'sensitive, unprivileged';
  return v.privileged ? 'privileged' : 'innocuous';
}

/** The footprints of one case in the two modes, and with the mode left open. */
export interface Footprints {
  readonly user: Footprint;
  readonly supervisor: Footprint;
  readonly any: Footprint;
}

/** All bodies of a case as one: it does what any of them does. */
export function footprintOf(walker: Walker, bodies: readonly Body[]): Footprint {
  const all = bodies.map((b) => walker.walk(b));
  const effects = new Map<string, Effect>();
  for (const f of all) for (const e of f.effects) effects.set(`${e.kind} ${e.source.name} ${e.to} ${e.path}`, e);
  return {
    completes: all.some((f) => f.completes),
    effects: [...effects.values()],
    traps: [...new Set(all.flatMap((f) => f.traps))],
    decisions: new Map(all.flatMap((f) => [...f.decisions])),
  };
}

const changes = (f: Footprint): readonly Effect[] => f.effects.filter((e) => e.kind === 'changes');
const exposes = (f: Footprint): readonly Effect[] => f.effects.filter((e) => e.kind === 'exposes');
const isTiming = (e: Effect): boolean => e.source.class === 'time';
export const namesOf = (effects: readonly Effect[]): readonly string[] => [
  ...new Set(effects.map((e) => e.source.name)),
];
/** As `namesOf`, for a sentence. */
const wordsFor = (effects: readonly Effect[]): readonly string[] => [
  ...new Set(effects.map((e) => e.source.text ?? e.source.name)),
];
const list = (words: readonly string[]): string =>
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
const few = (words: readonly string[]): string =>
  list(words.length > 6 ? [...words.slice(0, 5), `${words.length - 5} more`] : words);

/** One procedure for each operand size is one to a reader. */
const withoutSize = (name: string): string => name.replace(/(16|32|64)$/, '');
const where = (e: Effect): string =>
  e.path.length === 0 ? '' : ` (in ${e.path.slice(0, 2).map(withoutSize).join(' → ')})`;

/** One sentence for each place where state is written. */
export function changeReasons(effects: readonly Effect[], mode: string): readonly string[] {
  const byPath = Map.groupBy(effects, where);
  return [...byPath].map(([path, all]) => `in ${mode} mode changes ${few(wordsFor(all))}${path}`);
}
/** One sentence for each place where state is shown, or decides what is. */
export function exposeReasons(effects: readonly Effect[], mode: string): readonly string[] {
  const byPlace = Map.groupBy(effects, (e) => `${e.how}|${where(e)}`);
  return [...byPlace.values()].map((all) => {
    const [{ how }] = all;
    const places = few([...new Set(all.map((e) => e.to))]);
    const names = few(wordsFor(all));
    const text = how === 'value' ? `shows ${names} in ${places}` : `writes ${places} or not depending on ${names}`;
    return `in ${mode} mode ${text}${where(all[0])}`;
  });
}

/** Conditions that are decided in `f` because of its mode: open where the mode is open. */
function modeDecisions(f: Footprint, any: Footprint): readonly string[] {
  return [...f.decisions]
    .filter(([text]) => !any.decisions.has(text) && !text.includes('argument') && text.length < 90)
    .map(([text, outcome]) => (outcome ? text : `not (${text})`));
}

/** Why user mode does not trap. */
function missingGuard({ user, any }: Footprints): string {
  const decided = modeDecisions(user, any);
  const raised = user.traps.length > 0 ? `${list(user.traps)} only for other causes` : 'no exception at all';
  const known = decided.length > 0 ? `; because of user mode: ${few(decided)}` : '';
  return `missing guard: user mode completes, raising ${raised}${known}`;
}

/** Writes of supervisor mode that user mode leaves out, silently. */
function droppedWrites({ user, supervisor }: Footprints): readonly string[] {
  const done = new Set(namesOf(changes(user)));
  return namesOf(changes(supervisor)).filter((name) => !done.has(name));
}

export function footprintsOf(architecture: Architecture, c: Case, bodies = c.bodies()): Footprints {
  const at = (context: Context): Footprint => footprintOf(new Walker(architecture.states, context), bodies);
  const { user, supervisor, any } = architecture.contexts;
  return { user: at(user), supervisor: at(supervisor), any: at(any) };
}

/** The class of a case. */
export function judge(c: Pick<Case, 'name' | 'form' | 'encoding'>, f: Footprints): Verdict {
  const { user, supervisor, any } = f;
  const privileged = !user.completes && supervisor.completes;
  const visible = (p: Footprint): readonly Effect[] => exposes(p).filter((e) => !isTiming(e));
  const modeVisible = visible(any).filter((e) => e.source.class === 'mode');
  const dropped = user.completes && supervisor.completes ? droppedWrites(f) : [];
  const userChanges = changes(user);
  const userExposes = visible(user);
  const result = {
    name: c.name,
    case: c.form,
    encoding: c.encoding,
    privileged,
    controlSensitive: userChanges.length > 0 || changes(supervisor).length > 0,
    behaviourSensitive:
      userExposes.length > 0 ||
      visible(supervisor).length > 0 ||
      (user.completes && modeVisible.length > 0) ||
      dropped.length > 0,
    userSensitive: userChanges.length > 0 || userExposes.length > 0,
    timingDependent: user.completes && exposes(user).some(isTiming),
    undefined: !user.completes && !supervisor.completes,
  };
  const touches = namesOf([...user.effects, ...supervisor.effects].filter((e) => !isTiming(e)));
  return { ...result, touches, reasons: reasonsFor(f, result.privileged, modeVisible, dropped) };
}

function reasonsFor(
  f: Footprints,
  privileged: boolean,
  modeVisible: readonly Effect[],
  dropped: readonly string[],
): readonly string[] {
  const { user, supervisor, any } = f;
  const reasons: string[] = [];
  if (!user.completes) {
    const decided = modeDecisions(user, any);
    const because = decided.length > 0 ? `, because of ${few(decided)}` : '';
    const what = list(user.traps);
    reasons.push(supervisor.completes ? `guard: user mode traps with ${what}${because}` : `always traps, with ${what}`);
  }
  if (privileged) {
    reasons.push(...changeReasons(changes(supervisor), 'supervisor'));
    reasons.push(...exposeReasons(exposes(supervisor), 'supervisor'));
  }
  if (!user.completes) return reasons;
  reasons.push(...changeReasons(changes(user), 'user'), ...exposeReasons(exposes(user), 'user'));
  if (dropped.length > 0) reasons.push(`in supervisor mode changes ${few(dropped)}, which user mode leaves silently`);
  const seen = new Set(namesOf(exposes(user)));
  const modes = modeVisible.filter((e) => !seen.has(e.source.name));
  if (modes.length > 0) {
    const places = list([...new Set(modes.map((e) => e.to))]);
    reasons.push(`what is written to ${places} depends on ${few(wordsFor(modes))}`);
  }
  if (reasons.length > 0) reasons.push(missingGuard(f));
  return reasons;
}

/** The verdicts on all cases of an architecture. */
export function classify(architecture: Architecture): readonly Verdict[] {
  return architecture.cases().map((c) => judge(c, footprintsOf(architecture, c)));
}
