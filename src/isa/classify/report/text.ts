/** Reports for a terminal. */
import { mnemonics, type Theorem } from '../theorems.ts';
import { classOf, isSensitive, type Verdict } from '../verdict.ts';
import { mnemonicsByClass, type Report, sensitiveGroups } from './report.ts';

const WIDTH = 100;
const THEOREM_NAMES = {
  '1': 'Theorem 1',
  '2': 'Theorem 2',
  '3': 'Theorem 3',
  root: 'Root and non-root mode',
} as const;

/** Words in lines of at most `WIDTH` characters, each after `indent`. */
export function wrap(text: string, indent = ''): string {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.length > indent.length && line.length + word.length >= WIDTH) {
      lines.push(line);
      line = indent;
    }
    line += `${line.length > indent.length ? ' ' : ''}${word}`;
  }
  return [...lines, line].join('\n');
}

/** What to call a theorem. */
export const theoremTitle = ({ name }: Theorem): string => THEOREM_NAMES[name];

function theoremText(t: Theorem): string {
  const head = `${theoremTitle(t)}: ${t.holds ? 'holds' : 'fails'}`;
  const offenders = t.holds ? '' : `\n${wrap(`because of ${mnemonics(t.offenders).join(' ')}`, '  ')}`;
  return `${head}\n${wrap(t.statement, '  ')}${offenders}`;
}

function groupText(title: string, verdicts: readonly Verdict[]): string {
  const [unprivileged, privileged] = [false, true].map((p) =>
    mnemonics(verdicts.filter((v) => v.privileged === p)).join(' '),
  );
  const lines = [title];
  if (unprivileged !== '') lines.push(wrap(`unprivileged: ${unprivileged}`, '  '));
  if (privileged !== '') lines.push(wrap(`privileged:   ${privileged}`, '  '));
  return lines.join('\n');
}

/** The whole report but for the innocuous instructions, which are counted. */
export function reportText(r: Report): string {
  const classes = mnemonicsByClass(r);
  const count = (v: (typeof r.verdicts)[number][]): string => `${v.length}`;
  const counts = [...Map.groupBy(r.verdicts, classOf)].map(([c, all]) => `${count(all)} ${c}`);
  const plain = classes.get('privileged') ?? [];
  return [
    r.title,
    wrap(r.description),
    '',
    ...r.theorems.map((t) => `${theoremText(t)}\n`),
    'Sensitive instructions, by what they touch',
    ...[...sensitiveGroups(r)].map(([title, all]) => groupText(title, all)),
    ...(plain.length > 0 ? ['', wrap(`Privileged without need: ${plain.join(' ')}`)] : []),
    '',
    wrap(`${r.verdicts.length} instruction cases: ${counts.join('; ')}`),
    '',
  ].join('\n');
}

function explainCase(v: Verdict): string {
  const kinds = [
    v.controlSensitive ? 'control-sensitive' : '',
    v.behaviourSensitive ? 'behaviour-sensitive' : '',
    v.userSensitive ? 'user-sensitive' : '',
    v.timingDependent ? 'timing-dependent' : '',
  ].filter((k) => k !== '');
  const head = [v.name, v.case, `(${v.encoding})`].filter((w) => w !== '').join(' ');
  const kind = kinds.length > 0 ? `: ${kinds.join(', ')}` : '';
  const reasons = v.reasons.map((reason) => `\n${wrap(reason, '    ').replace('    ', '  - ')}`).join('');
  return `${head}\n  ${classOf(v)}${kind}${reasons}\n`;
}

/** Why the cases of one instruction have their classes; cases that differ in their names alone are told once. */
export function explainText(r: Report, name: string): string | undefined {
  const cases = r.verdicts.filter((v) => v.name === name);
  if (cases.length === 0) return undefined;
  const sensitive = cases.filter((v) => isSensitive(v) || v.privileged || v.undefined);
  const rest = cases.length - sensitive.length;
  const others = rest === 0 ? '' : `${rest} ${sensitive.length === 0 ? '' : 'other '}forms of ${name}: innocuous\n`;
  return [`${name} on ${r.title}\n`, ...sensitive.map(explainCase), others].join('\n');
}
