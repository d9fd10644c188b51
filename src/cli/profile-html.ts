/** A profile as a page that needs nothing else. */
import type { BlockListing, InstructionListing, Profile, ProfileRow } from '../api/profile.ts';

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
const escaped = (text: string): string => text.replaceAll(/[&<>"]/g, (c) => ESCAPES[c]);
const grouped = (n: number): string => n.toLocaleString('en-US');
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;

const STYLE = `
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em; color-scheme: light dark; }
table { border-collapse: collapse; }
td, th { padding: 2px 10px; text-align: right; vertical-align: top; }
.rows tr:hover { background: #8882; }
.bar { text-align: left; width: 12em; }
.bar div { background: #3b7; height: 0.9em; }
.code { width: 100%; font: 12px/1.35 ui-monospace, monospace; table-layout: fixed; }
.code td, .code th { text-align: left; white-space: pre-wrap; overflow-wrap: anywhere; border-top: 1px solid #8883; }
.code tr.block td { background: #8882; font-weight: bold; }
.cold { opacity: 0.5; }
`;

export function profileHtml(p: Profile): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Trapeze: hot code</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Hot code</h1>
<p>${grouped(p.instructions)} instructions: ${percent(p.translated)} in ${grouped(p.regions)} translated regions, ${percent(p.interpreted)} interpreted.</p>
<table class="rows">
<tr><th>share</th><th></th><th>instructions</th><th>linear</th><th>physical</th><th>guest bytes</th><th>wasm bytes</th><th>translations</th><th>symbol</th></tr>
${p.hottest.map((row, i) => rowHtml(row, i)).join('\n')}
</table>
${p.hottest.map((row, i) => (row.listing === undefined ? '' : listingHtml(row, row.listing, i))).join('\n')}
</body>
</html>
`;
}

function rowHtml(r: ProfileRow, i: number): string {
  const address = r.listing === undefined ? r.linear : `<a href="#r${i}">${r.linear}</a>`;
  const bar = `<td class="bar"><div style="width:${(r.share * 100).toFixed(2)}%"></div></td>`;
  const cells = [grouped(r.instructions), address, r.physical, grouped(r.guestBytes), grouped(r.wasmBytes)];
  const rest = [...cells, grouped(r.translations), escaped(r.symbol ?? '')];
  return `<tr><td>${percent(r.share)}</td>${bar}${rest.map((cell) => `<td>${cell}</td>`).join('')}</tr>`;
}

function listingHtml(r: ProfileRow, blocks: readonly BlockListing[], i: number): string {
  return `<h2 id="r${i}">${r.linear} ${escaped(r.symbol ?? '')} · ${percent(r.share)}</h2>
<table class="code">
<tr><th>guest</th><th>IR</th><th>WebAssembly</th></tr>
${blocks.map(blockHtml).join('\n')}
</table>`;
}

function blockHtml({ executions, instructions }: BlockListing): string {
  const cold = executions === 0 ? ' class="cold"' : '';
  const head = `<tr class="block"><td colspan="3">executed ${grouped(executions)} times</td></tr>`;
  return [head, ...instructions.map((i) => `<tr${cold}>${instructionCells(i)}</tr>`)].join('\n');
}

function instructionCells({ address, bytes, guest, ir, wasm }: InstructionListing): string {
  const cells = [`${address}  ${guest}\n${bytes}`, ir.join('\n'), wasm.join('\n')];
  return cells.map((cell) => `<td>${escaped(cell)}</td>`).join('');
}
