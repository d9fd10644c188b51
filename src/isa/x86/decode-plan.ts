/** What the decoder needs to know of each row, worked out once from its operand codes and attributes. */
import type { Encoding } from './definition.ts';
import { OPCODES } from './instruction-set.ts';
import { fixedRegister, parseOperand } from './operands.ts';

/** How a register number becomes `Fields.reg` or `Fields.rm`. `number`: as it is. */
export type RegisterKind = 'byte' | 'general' | 'xmm' | 'mmx' | 'segment' | 'control' | 'debug' | 'number';

/** The bytes behind ModRM, SIB and displacement. `offset`: operand code O; `far`: operand code A. */
export type ImmediateKind = 'u8' | 's8' | 'u16' | 'operandSize' | 'z' | 'offset' | 'far';

export interface DecodePlan {
  readonly encoding: Encoding;
  /** How well prefixes fit: see `prefixRank` of the decoder. */
  readonly prefix: Encoding['prefix'];
  /** The mandatory prefix is 66, which then does not change the operand size. */
  readonly takes66: boolean;
  /** Attributes other than the size defaults restrict the row. */
  readonly restricted: boolean;
  readonly force64: boolean;
  readonly default64: boolean;
  readonly rep: boolean;
  readonly ignoresMod: boolean;
  /** LOCK is allowed where the destination is in memory. */
  readonly lockable: boolean;
  readonly opcodeRegister: RegisterKind | undefined;
  readonly reg: RegisterKind | undefined;
  /** Not every number in the reg field is a register. */
  readonly limited: boolean;
  /** The register of the reg field is the destination. */
  readonly writesReg: boolean;
  readonly rm: RegisterKind | undefined;
  readonly immediates: readonly ImmediateKind[];
}

const REG_FIELD = 'GVPSCD';
const RM_FIELD = 'EWQURN';

function registerKind(code: string): RegisterKind {
  const { addressing, size } = parseOperand(code);
  switch (addressing) {
    case 'E':
    case 'G':
    case 'Z':
    case 'R':
      return size === 'b' ? 'byte' : 'general';
    case 'V':
    case 'W':
    case 'U':
      return 'xmm';
    case 'P':
    case 'Q':
    case 'N':
      return 'mmx';
    case 'S':
      return 'segment';
    case 'C':
      return 'control';
    case 'D':
      return 'debug';
    default:
      return 'number';
  }
}

function immediateKind(code: string): ImmediateKind | undefined {
  const { addressing, size } = parseOperand(code);
  if (addressing === 'O') return 'offset';
  if (addressing === 'A') return 'far';
  if (addressing !== 'I' && addressing !== 'J') return undefined;
  switch (size) {
    case 'b':
      return addressing === 'J' ? 's8' : 'u8';
    case 'bs':
      return 's8';
    case 'w':
      return 'u16';
    case 'v':
      return 'operandSize';
    case 'z':
      return 'z';
    default:
      throw new Error(`no immediate of code ${code}`);
  }
}

const SIZE_DEFAULTS = new Set(['d64', 'f64', 'rep']);

function plan(encoding: Encoding): DecodePlan {
  const { operands, attributes } = encoding;
  const find = (addressings: string): string | undefined =>
    operands.find((o) => fixedRegister(o) === undefined && addressings.includes(parseOperand(o).addressing));
  const kindOf = (code: string | undefined): RegisterKind | undefined =>
    code === undefined ? undefined : registerKind(code);
  const ignoresMod = operands.some((o) => /^[CD]r$/.test(o));
  if (encoding.opcodeRegister && find('Z') === undefined) throw new Error(`${encoding.row}: +r without a Z operand`);
  return {
    encoding,
    prefix: encoding.prefix,
    takes66: encoding.prefix === '66',
    restricted: [...attributes].some((a) => !SIZE_DEFAULTS.has(a)),
    force64: attributes.has('f64'),
    default64: attributes.has('d64'),
    rep: attributes.has('rep'),
    ignoresMod,
    lockable: encoding.definition.lockable === true && /^[EM]/.test(operands[0] ?? ''),
    opcodeRegister: encoding.opcodeRegister ? kindOf(find('Z')) : undefined,
    reg: encoding.hasModrm ? kindOf(find(REG_FIELD)) : undefined,
    limited: operands.some((o) => /^[SCD][wr]$/.test(o)),
    writesReg: REG_FIELD.includes(parseOperand(operands[0] ?? 'none').addressing),
    rm: encoding.hasModrm ? (operands.includes('STi') ? 'number' : kindOf(find(RM_FIELD))) : undefined,
    immediates: operands.map(immediateKind).filter((kind) => kind !== undefined),
  };
}

/** The row allows this ModRM byte. */
function allowsModrm({ encoding: e, ignoresMod }: DecodePlan, modrm: number): boolean {
  if (e.modrm !== undefined && e.modrm !== modrm) return false;
  if (e.extension !== undefined && e.extension !== ((modrm >> 3) & 7)) return false;
  // MOV to and from control and debug registers ignores mod (SDM vol. 2, MOV—Move to/from Control Registers).
  return ignoresMod || e.form === 'any' || (e.form === 'reg') === modrm >= 0xc0;
}

/** The rows of one opcode in one kind of code, by ModRM byte where that matters. */
export interface OpcodePlans {
  readonly hasModrm: boolean;
  /** Rows that allow a ModRM byte (0 where there is none), the more particular first. */
  forModrm(modrm: number): readonly DecodePlan[];
}

function opcodePlans(plans: readonly DecodePlan[]): OpcodePlans {
  const hasModrm = plans.some(({ encoding }) => encoding.hasModrm);
  const byModrm: (readonly DecodePlan[] | undefined)[] = Array(256).fill(undefined);
  return {
    hasModrm,
    forModrm: (modrm) => (byModrm[modrm] ??= hasModrm ? plans.filter((p) => allowsModrm(p, modrm)) : plans),
  };
}

function plansOf(long: boolean): readonly (OpcodePlans | undefined)[] {
  const excluded = long ? 'i64' : 'o64';
  return OPCODES.flatMap((map) =>
    map.map((rows) => {
      const here = rows.filter((e) => !e.attributes.has(excluded));
      return here.length === 0 ? undefined : opcodePlans(here.map(plan));
    }),
  );
}

/** By opcode map × 256 + opcode byte. */
export const LEGACY_PLANS = plansOf(false);
export const LONG_PLANS = plansOf(true);
