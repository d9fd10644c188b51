/** A profile for a terminal. */
import type { BlockListing, InstructionListing, Profile, ProfileRow } from '../api/profile.ts';

/** Columns from which guest code, IR and WebAssembly stand side by side. */
const SIDE_BY_SIDE = 130;
const GUEST_COLUMNS = 44;
const GAP = 2;

const grouped = (n: number): string => n.toLocaleString('en-US');
const percent = (share: number): string => `${(share * 100).toFixed(1)} %`;
const times = (n: number): string => (n === 1 ? 'once' : `${grouped(n)} times`);

/** `width`: columns of the terminal. */
export function profileText(p: Profile, width: number): string {
  const listings = p.hottest.filter((row) => row.listing !== undefined);
  return [
    `${grouped(p.instructions)} instructions: ${percent(p.translated)} in ${grouped(p.regions)} translated regions, ${percent(p.interpreted)} interpreted`,
    ...(p.uncountedBlocks > 0 ? [`(${grouped(p.uncountedBlocks)} blocks were not counted: there are too many)`] : []),
    '',
    table(p.hottest),
    ...listings.flatMap((row) => ['', listing(row, width)]),
    '',
  ].join('\n');
}

function table(rows: readonly ProfileRow[]): string {
  const symbols = rows.some((r) => r.symbol !== undefined);
  const head = ['share', 'instructions', 'linear', 'physical', 'guest bytes', 'wasm bytes', 'made', 'code'];
  const cells = rows.map((r) => [
    percent(r.share),
    grouped(r.instructions),
    r.linear,
    r.physical,
    grouped(r.guestBytes),
    grouped(r.wasmBytes),
    times(r.translations),
    `${r.codeSize}-bit`,
    ...(symbols ? [r.symbol ?? ''] : []),
  ]);
  const all = [symbols ? [...head, 'symbol'] : head, ...cells];
  const widths = all[0].map((_, i) => Math.max(...all.map((row) => row[i].length)));
  const isName = (i: number): boolean => i === head.length;
  return all.map((row) => row.map((cell, i) => (isName(i) ? cell : cell.padStart(widths[i]))).join('  ')).join('\n');
}

function listing(row: ProfileRow, width: number): string {
  const title = `${row.linear}${row.symbol === undefined ? '' : ` ${row.symbol}`}: ${percent(row.share)}`;
  return [title, ...row.listing!.map((block) => blockText(block, width))].join('\n');
}

function blockText({ executions, instructions }: BlockListing, width: number): string {
  if (executions === 0)
    return `  -- never executed: ${instructions.length} instructions from ${instructions[0].address}`;
  const head = `  -- executed ${times(executions)}`;
  const lines = instructions.flatMap((i) => (width >= SIDE_BY_SIDE ? columns(i, width) : stacked(i)));
  return [head, ...lines].join('\n');
}

function stacked({ address, guest, ir, wasm }: InstructionListing): string[] {
  return [`${address}  ${guest}`, ...ir.map((line) => `    ${line}`), ...wasm.map((line) => `        ${line}`)];
}

function columns({ address, guest, ir, wasm }: InstructionListing, width: number): string[] {
  const rest = Math.floor((width - GUEST_COLUMNS - 2 * GAP) / 2);
  const fit = (text: string, room: number): string =>
    text.length > room ? `${text.slice(0, room - 1)}…` : text.padEnd(room);
  const left = [`${address}  ${guest}`];
  return Array.from({ length: Math.max(left.length, ir.length, wasm.length) }, (_, i) =>
    [fit(left[i] ?? '', GUEST_COLUMNS), fit(ir[i] ?? '', rest), fit(wasm[i] ?? '', rest)]
      .join(' '.repeat(GAP))
      .trimEnd(),
  );
}
