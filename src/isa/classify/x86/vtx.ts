/** The restatement of theorem 1 for VMX root and non-root operation. */
import { UserError } from '../../../user-error.ts';
import { taskSwitch } from '../../x86/procedures/tasks.ts';
import type { Effect } from '../environment.ts';
import type { Case, Context, TrappingProcedures } from '../model.ts';
import { changeReasons, exposeReasons, footprintOf, namesOf, type Verdict } from '../verdict.ts';
import { type Footprint, Walker } from '../walk.ts';
import type { X86Architecture } from './architectures.ts';
import { nonRootContexts } from './contexts.ts';
import {
  CONTROL_NAMES,
  CONTROLS,
  type Condition,
  type Control,
  type Controls,
  EXITS,
  OWNERSHIP,
  USUAL_CONTROLS,
} from './vtx-controls.ts';

/** A task switch exits whatever the controls (SDM vol. 3 §25.2). */
const EXITING_PROCEDURES: TrappingProcedures = new Set([taskSwitch]);

/**
 * Controls from text: names with commas; `usual` for what monitors usually set, `-name` to take one out.
 * @throws UserError
 */
export function parseControls(text: string): Controls {
  const controls = new Set<Control>();
  for (const word of text.split(',').map((w) => w.trim())) {
    if (word === '') continue;
    const name = word.replace(/^[-+]/, '');
    if (name === 'usual') for (const c of USUAL_CONTROLS) controls.add(c);
    else if (!(name in CONTROLS))
      throw new UserError(`--vtx: '${name}' is no control: choose from usual, ${CONTROL_NAMES.join(', ')}`);
    else if (word.startsWith('-')) controls.delete(name as Control);
    else controls.add(name as Control);
  }
  return controls;
}

function isMet(condition: Condition, controls: Controls): boolean {
  if (condition === 'always') return true;
  return 'unless' in condition ? !controls.has(condition.unless) : condition.some((c) => controls.has(c));
}
function inWords(condition: Condition): string {
  if (condition === 'always') return 'always';
  if ('unless' in condition) return `unless “${CONTROLS[condition.unless].title}”`;
  return `under ${condition.map((c) => `“${CONTROLS[c].title}”`).join(' or ')}`;
}

/** Why an effect touches the monitor's state under these controls; undefined when it is the guest's own affair. */
function ownerReason(e: Effect, controls: Controls): string | undefined {
  const row = OWNERSHIP.find((o) => o.state.test(e.source.name) && o.touches.includes(e.kind));
  return row === undefined || row.unless.some((c) => controls.has(c)) ? undefined : row.why;
}

const touching = (f: Footprint, controls: Controls): readonly Effect[] =>
  f.effects.filter((e) => ownerReason(e, controls) !== undefined);

function judge(c: Case, user: Footprint, supervisor: Footprint, controls: Controls): Verdict {
  const row = EXITS.find((r) => r.names.includes(c.name) && (r.form === undefined || r.form.test(c.form)));
  const exits = row !== undefined && isMet(row.when, controls);
  const inUser = touching(user, controls);
  const inSupervisor = touching(supervisor, controls);
  const all = [...inUser, ...inSupervisor];
  const modes = [
    ['user', inUser],
    ['supervisor', inSupervisor],
  ] as const;
  const sentences = modes.flatMap(([mode, effects]) => [
    ...changeReasons(
      effects.filter((e) => e.kind === 'changes'),
      `guest ${mode}`,
    ),
    ...exposeReasons(
      effects.filter((e) => e.kind === 'exposes'),
      `guest ${mode}`,
    ),
  ]);
  const owners = [...new Set(all.map((e) => ownerReason(e, controls)!))];
  const verdictOnExit = row === undefined ? 'no control makes it exit' : `exits ${inWords(row.when)}`;
  return {
    name: c.name,
    case: c.form,
    encoding: c.encoding,
    privileged: exits,
    controlSensitive: all.some((e) => e.kind === 'changes'),
    behaviourSensitive: all.some((e) => e.kind === 'exposes'),
    userSensitive: inUser.length > 0,
    timingDependent: !exits && [...user.effects, ...supervisor.effects].some((e) => e.source.class === 'time'),
    undefined: !user.completes && !supervisor.completes,
    touches: namesOf(all),
    reasons:
      all.length === 0 && row === undefined
        ? []
        : [...sentences, ...owners, `${verdictOnExit}: ${exits ? 'it does' : 'it does not'}`],
  };
}

interface GuestCase {
  readonly of: Case;
  readonly user: Footprint;
  readonly supervisor: Footprint;
}
/** Footprints depend on no control. */
const footprints = new WeakMap<X86Architecture, readonly GuestCase[]>();

function guestCases(architecture: X86Architecture): readonly GuestCase[] {
  const found = footprints.get(architecture);
  if (found !== undefined) return found;
  const { user, supervisor } = nonRootContexts(architecture.long);
  const cases = architecture.cases().map((c): GuestCase => {
    const bodies = c.bodies();
    const at = (context: Context): Footprint =>
      footprintOf(new Walker(architecture.states, context, EXITING_PROCEDURES), bodies);
    return { of: c, user: at(user), supervisor: at(supervisor) };
  });
  footprints.set(architecture, cases);
  return cases;
}

/** The verdicts in non-root mode: `privileged` says that it exits, sensitive is what touches the monitor's state. */
export function classifyNonRoot(architecture: X86Architecture, controls: Controls): readonly Verdict[] {
  return guestCases(architecture).map((g) => judge(g.of, g.user, g.supervisor, controls));
}
