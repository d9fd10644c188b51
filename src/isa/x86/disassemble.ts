/**
 * Instructions as text in Intel's syntax, from mnemonic, operand codes and decoded fields alone; what rows do not tell is in
 * `disassemble-rules.ts`. Numbers and punctuation are those of iced-x86's Intel formatter with memory sizes always shown.
 */
import { type Decoded, decode } from './decoder.ts';
import { bareAddressText, type Listing, operandText, secondImmediateText } from './disassemble-operands.ts';
import { type TextRule, textRule } from './disassemble-rules.ts';
import { parseOperand } from './operands.ts';
import type { CodeSize } from './prefixes.ts';

export interface Disassembly {
  /** `(bad)` where no instruction starts. */
  readonly text: string;
  /** In bytes; 1 where no instruction starts. */
  readonly length: number;
}

/** The instruction at the start of `bytes`, whose instruction pointer is `address`. */
export function disassemble(bytes: Uint8Array, mode: CodeSize, address: bigint): Disassembly {
  const decoded = decode(bytes, mode);
  if (typeof decoded === 'string') return { text: '(bad)', length: 1 };
  return { text: instructionText({ decoded, mode, address }), length: decoded.fields.length };
}

export function instructionText(listing: Listing): string {
  const rule = textRule(listing.decoded.encoding);
  const operands = operandTexts(listing, rule).join(',');
  return prefixText(listing, rule) + mnemonic(listing.decoded, rule) + (operands === '' ? '' : ` ${operands}`);
}

function mnemonic({ encoding, parameters }: Decoded, rule: TextRule): string {
  const name =
    rule.byAddressSize?.[parameters.addressSize] ?? rule.byOperandSize?.[parameters.operandSize] ?? rule.name;
  return name ?? encoding.definition.name.toLowerCase();
}

function operandTexts(listing: Listing, rule: TextRule): readonly string[] {
  const { parameters, encoding } = listing.decoded;
  const memory = rule.memory;
  const isShown = rule.memoryIfUnusual !== true || sizePrefix(listing) !== '';
  const width = !isShown ? undefined : typeof memory === 'object' ? memory[parameters.operandSize] : memory;
  let immediates = 0;
  return (rule.operands ?? encoding.operands)
    .filter((code) => code !== 'XMM0')
    .map((code) =>
      parseOperand(code).addressing === 'I' && immediates++ > 0
        ? secondImmediateText(listing, code)
        : rule.noSegment === true && code === 'M'
          ? bareAddressText(listing)
          : operandText(listing, code, width),
    );
}

/** The operand shows how large it is. */
const SHOWS_SIZE = /^([EGMRZO]|rAX)[vz]?$/;

function prefixText(listing: Listing, rule: TextRule): string {
  const { encoding, parameters, prefixes } = listing.decoded;
  let text = '';
  if (rule.sizePrefix === true && !encoding.operands.some((code) => SHOWS_SIZE.test(code))) text += sizePrefix(listing);
  if (rule.addressPrefix === true && parameters.addressSize !== listing.mode) text += `addr${parameters.addressSize} `;
  if (prefixes.lock) text += 'lock ';
  if (parameters.rep !== 'none') text += repeatText(parameters.rep, rule);
  return text;
}

function repeatText(rep: 'F2' | 'F3', rule: TextRule): string {
  if (rep === 'F2') return 'repne ';
  return rule.comparesStrings === true ? 'repe ' : 'rep ';
}

/** The operand size, where nothing else tells that it is not the normal one. */
function sizePrefix({ decoded, mode }: Listing): string {
  const { encoding, parameters } = decoded;
  const is64 = encoding.attributes.has('d64') || encoding.attributes.has('f64');
  const normal = mode !== 64 ? mode : is64 ? 64 : 32;
  return parameters.operandSize === normal ? '' : `data${parameters.operandSize} `;
}
