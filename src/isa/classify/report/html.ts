/** The report as a page of its own: theorems, a diagram of the sets, a table that can be searched. */
import { mnemonics, type Theorem } from '../theorems.ts';
import { type Class, classOf, type Verdict } from '../verdict.ts';
import { SCRIPT, STYLE } from './html-assets.ts';
import { mnemonicsByClass, type Report, sensitiveGroups } from './report.ts';
import { theoremTitle } from './text.ts';

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escapeHtml = (text: string): string => text.replaceAll(/[&<>"]/g, (c) => ESCAPES[c]);

const CLASS_IDS: Readonly<Record<Class, string>> = {
  'sensitive, unprivileged': 'offending',
  'sensitive, privileged': 'both',
  privileged: 'privileged',
  innocuous: 'innocuous',
  undefined: 'undefined',
};

function theorem(t: Theorem): string {
  const offenders = mnemonics(t.offenders)
    .map((n) => `<code>${escapeHtml(n)}</code>`)
    .join(' ');
  return `<section class="theorem ${t.holds ? 'holds' : 'fails'}"><h3>${theoremTitle(t)} <b>${t.holds ? 'holds' : 'fails'}</b></h3>
<p>${escapeHtml(t.statement)}</p>${t.holds ? '' : `<p class="offenders">${offenders}</p>`}</section>`;
}

/** One region of the diagram: its title, how many cases, which mnemonics. */
function region(r: Report, c: Class, title: string): string {
  const names = mnemonicsByClass(r).get(c) ?? [];
  const cases = r.verdicts.filter((v) => classOf(v) === c).length;
  const shown = c === 'innocuous' ? names.slice(0, 24) : names;
  const more = names.length > shown.length ? ` … ${names.length - shown.length} more` : '';
  return `<div class="region ${CLASS_IDS[c]}"><h4>${escapeHtml(title)} <small>${cases} cases</small></h4><p>${escapeHtml(shown.join(' '))}${more}</p></div>`;
}

/** The sets inside each other: what is privileged and sensitive overlaps, and the overhang is what offends. */
function diagram(r: Report): string {
  const privileged = r.controls === undefined ? 'privileged' : 'causes a VM exit';
  return `<figure class="sets" aria-label="Which set contains which">
<div class="all"><h4>all instructions</h4>
<div class="overlap"><div class="set sensitive"><h4>sensitive</h4>${region(r, 'sensitive, unprivileged', `not ${privileged}`)}</div>
<div class="set common"><h4>sensitive and ${privileged}</h4>${region(r, 'sensitive, privileged', 'both')}</div>
<div class="set trapping"><h4>${privileged}</h4>${region(r, 'privileged', 'not sensitive')}</div></div>
${region(r, 'innocuous', 'innocuous')}</div>
<figcaption>The theorem asks that the left box is empty: then the sensitive instructions are a subset of the privileged ones.</figcaption></figure>`;
}

function kinds(v: Verdict): string {
  const marks = [
    v.controlSensitive ? 'control' : '',
    v.behaviourSensitive ? 'behaviour' : '',
    v.userSensitive ? 'user' : '',
    v.timingDependent ? 'timing' : '',
  ];
  return marks.filter((m) => m !== '').join(', ');
}

function row(v: Verdict): string {
  const c = classOf(v);
  const reasons = v.reasons.map((reason) => `<li>${escapeHtml(reason)}</li>`).join('');
  return `<tr class="${CLASS_IDS[c]}"><td><b>${escapeHtml(v.name)}</b></td><td>${escapeHtml(v.case)}</td><td><code>${escapeHtml(v.encoding)}</code></td><td>${escapeHtml(c)}</td><td>${kinds(v)}</td><td>${reasons === '' ? '' : `<ul>${reasons}</ul>`}</td></tr>`;
}

function groups(r: Report): string {
  const rows = [...sensitiveGroups(r)].map(([title, all]) => {
    const names = (privileged: boolean): string =>
      escapeHtml(mnemonics(all.filter((v) => v.privileged === privileged)).join(' '));
    return `<tr><th scope="row">${escapeHtml(title)}</th><td>${names(false)}</td><td>${names(true)}</td></tr>`;
  });
  return `<table class="groups"><thead><tr><th>touches</th><th>unprivileged</th><th>privileged</th></tr></thead><tbody>${rows.join('\n')}</tbody></table>`;
}

/** A whole page without references to anything outside. */
export function reportHtml(r: Report): string {
  const options = Object.entries(CLASS_IDS)
    .map(([title, id]) => `<option value="${id}">${escapeHtml(title)}</option>`)
    .join('');
  const title = `${escapeHtml(r.title)}: sensitive and privileged instructions`;
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title><style>${STYLE}</style></head><body>
<header><h1>${escapeHtml(r.title)}</h1><p>${escapeHtml(r.description)}</p>
<p class="origin">Computed by Trapeze from the definitions of the instructions; no verdict on this page was written by hand.</p></header>
<main><h2>Theorems</h2><div class="theorems">${r.theorems.map(theorem).join('\n')}</div>
<h2>Which set contains which</h2>${diagram(r)}
<h2>Sensitive instructions by what they touch</h2>${groups(r)}
<h2>Every instruction</h2>
<p class="tools"><label>Search <input id="search" type="search" placeholder="POPF, CR3, selector …" autocomplete="off"></label>
<label>Class <select id="class"><option value="">all</option>${options}</select></label> <output id="shown"></output></p>
<table id="instructions"><thead><tr><th>instruction</th><th>operands</th><th>encoding</th><th>class</th><th>sensitive by</th><th>reasons</th></tr></thead>
<tbody>${r.verdicts.map(row).join('\n')}</tbody></table></main>
<script>${SCRIPT}</script></body></html>
`;
}
