/** Style and behaviour of the report's page. */

export const STYLE = `
:root{color-scheme:light dark;--ink:#1c2026;--paper:#fdfdfb;--line:#d5d8dd;--bad:#b3261e;--good:#1b7f4b;--mid:#8a5a00;--soft:#f1f2f4}
@media (prefers-color-scheme:dark){:root{--ink:#e6e8eb;--paper:#14171b;--line:#3a4048;--bad:#ff8a80;--good:#6fd6a0;--mid:#ffc766;--soft:#1d2127}}
*{box-sizing:border-box}body{margin:0 auto;max-width:78rem;padding:1.5rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper)}
h1{font-size:1.7rem;margin:.2em 0}h2{margin-top:2em;font-size:1.25rem}h3,h4{margin:.2em 0;font-size:1rem}small,.origin,figcaption{opacity:.75;font-weight:normal}
code{font-family:ui-monospace,monospace;font-size:.9em}
.theorems{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(18rem,1fr))}
.theorem{border:1px solid var(--line);border-left:.4rem solid var(--good);padding:.6rem 1rem;border-radius:.4rem}.theorem.fails{border-left-color:var(--bad)}
.theorem b{color:var(--good)}.theorem.fails b{color:var(--bad)}.theorem p{margin:.3em 0}
.sets{margin:0}.all{border:2px solid var(--line);border-radius:1.2rem;padding:1rem}
.overlap{display:grid;grid-template-columns:3fr 3fr 2fr;margin:.5rem 0}
.set{padding:.8rem 1rem;border:2px solid}.set.sensitive{border-color:var(--bad);border-right:0;border-radius:1.2rem 0 0 1.2rem}
.set.common{border-color:var(--bad) var(--good) var(--bad) var(--good);background:var(--soft)}
.set.trapping{border-color:var(--good);border-left:0;border-radius:0 1.2rem 1.2rem 0}
.region p{font-family:ui-monospace,monospace;font-size:.85rem;margin:.3em 0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9rem}th,td{border-bottom:1px solid var(--line);padding:.3rem .5rem;text-align:left;vertical-align:top}
thead th{position:sticky;top:0;background:var(--paper)}td ul{margin:0;padding-left:1.1em}
tr.offending td:nth-child(4){color:var(--bad);font-weight:600}tr.both td:nth-child(4),tr.privileged td:nth-child(4){color:var(--good)}tr.undefined td:nth-child(4){color:var(--mid)}
.tools{display:flex;gap:1rem;flex-wrap:wrap;align-items:center}input,select{font:inherit;padding:.3rem .5rem;color:inherit;background:var(--soft);border:1px solid var(--line);border-radius:.3rem}
@media (max-width:50rem){.overlap{grid-template-columns:1fr}.set,.set.sensitive,.set.trapping{border:2px solid var(--line);border-radius:.6rem;margin:.2rem 0}#instructions{display:block;overflow-x:auto}}
`;

export const SCRIPT = `
const rows = [...document.querySelectorAll('#instructions tbody tr')];
const texts = rows.map((r) => r.textContent.toLowerCase());
const search = document.getElementById('search');
const choice = document.getElementById('class');
const shown = document.getElementById('shown');
function show() {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  let count = 0;
  rows.forEach((row, i) => {
    const fits = words.every((w) => texts[i].includes(w)) && (choice.value === '' || row.classList.contains(choice.value));
    row.hidden = !fits;
    if (fits) count++;
  });
  shown.textContent = count + ' of ' + rows.length + ' cases';
}
search.addEventListener('input', show);
choice.addEventListener('change', show);
show();
`;
