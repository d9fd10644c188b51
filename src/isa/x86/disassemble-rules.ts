/** What the text of an instruction has besides its definition's name and its row's operands. */
import { CONDITIONS, type Encoding } from './definition.ts';

type BySize<T> = Partial<Readonly<Record<16 | 32 | 64, T>>>;

export interface TextRule {
  /** The mnemonic, where it is not the definition's name. */
  readonly name?: string;
  readonly byOperandSize?: BySize<string>;
  readonly byAddressSize?: BySize<string>;
  /** Operand codes in place of the row's; X, Y and B (see `disassemble-operands.ts`) for those that rows leave out. */
  readonly operands?: readonly string[];
  /** Bits of the memory operand, where its code does not tell. */
  readonly memory?: number | BySize<number>;
  /** The operand size matters, though no operand shows it. */
  readonly sizePrefix?: true;
  /** The address size matters, though no operand shows it. */
  readonly addressPrefix?: true;
  /** F3 repeats while equal. */
  readonly comparesStrings?: true;
}

const NO_RULE: TextRule = {};

const SIZED: TextRule = { sizePrefix: true };
const LOOP: TextRule = { sizePrefix: true, addressPrefix: true };

/** By name of the definition, and by name and opcode where its rows differ. */
const RULES: Readonly<Record<string, TextRule>> = {};

export function textRule(e: Encoding): TextRule {
  return RULES[`${e.definition.name} ${e.row.split('|')[0].trim()}`] ?? RULES[e.definition.name] ?? NO_RULE;
}
