/** `trapeze isa`: which instructions can be virtualized, and why not. */
import process from 'node:process';
import { UserError } from '../host/node/index.ts';
import { reportHtml } from '../isa/classify/report/html.ts';
import { type Report, reportJson, reportOn, reportOnNonRoot } from '../isa/classify/report/report.ts';
import { explainText, reportText } from '../isa/classify/report/text.ts';
import { TOY_NAMES, toyArchitecture } from '../isa/classify/toy.ts';
import { X86_NAMES, x86Architecture } from '../isa/classify/x86/architectures.ts';
import { parseControls } from '../isa/classify/x86/vtx.ts';
import type { IsaFormat } from './isa-choices.ts';

export interface IsaFlags {
  readonly vtx?: string;
  readonly format: IsaFormat;
}

const NAMES: readonly string[] = [...X86_NAMES, ...TOY_NAMES];

/** @throws UserError for names that do not exist. */
function reportFor(name: string, vtx: string | undefined): Report {
  const x86 = x86Architecture(name);
  if (vtx !== undefined) {
    if (x86 === undefined)
      throw new UserError(`--vtx: '${name}' has no VMX operation: choose from ${X86_NAMES.join(', ')}`);
    return reportOnNonRoot(x86, parseControls(vtx));
  }
  if (x86 !== undefined) return reportOn(x86);
  const toy = TOY_NAMES.find((n) => n === name);
  if (toy !== undefined) return reportOn(toyArchitecture(toy));
  throw new UserError(`'${name}' is no architecture: choose from ${NAMES.join(', ')}`);
}

function render(report: Report, format: IsaFormat): string {
  switch (format) {
    case 'text':
      return reportText(report);
    case 'json':
      return `${JSON.stringify(reportJson(report), null, 2)}\n`;
    case 'html':
      return reportHtml(report);
    default:
      return format satisfies never;
  }
}

/** Prints the report on an architecture. */
export function isa(name: string, flags: IsaFlags): void {
  process.stdout.write(render(reportFor(name, flags.vtx), flags.format));
}

/** Prints why an instruction has its class. */
export function isaExplain(mnemonic: string, flags: { readonly architecture: string; readonly vtx?: string }): void {
  const report = reportFor(flags.architecture, flags.vtx);
  const text = explainText(report, mnemonic.toUpperCase());
  if (text === undefined)
    throw new UserError(
      `${flags.architecture} has no instruction '${mnemonic}': see \`trapeze isa ${flags.architecture}\``,
    );
  process.stdout.write(text);
}
