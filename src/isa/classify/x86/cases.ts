/** The instructions of an x86 mode as cases of the classifier: a row, in memory or in registers, with its system operand named. */
import type { FieldName } from '../../ir/types.ts';
import { bodyOf } from '../../x86/body.ts';
import type { Encoding, Parameters } from '../../x86/definition.ts';
import { SEGMENT_NAMES, SEGMENT_STRIDE } from '../../x86/state.ts';
import type { Body, Case } from '../model.ts';

/** One choice of what a case leaves open. */
export interface Variant {
  readonly parameters: Parameters;
  readonly fields: Body['fields'];
}
/** A case with what it was made from, for those that execute it. */
export interface X86Case extends Case {
  readonly row: Encoding;
  readonly variants: readonly Variant[];
}

type Fixed = { readonly label: string; readonly fields: Readonly<Partial<Record<FieldName, bigint>>> };

const CONTROL_REGISTERS = [0, 2, 3, 4, 8] as const;

/** Operands that name system registers become cases of their own. */
function systemOperands({ operands }: Encoding, long: boolean): readonly Fixed[] {
  const addressing = operands.map((o) => o[0]).find((a, i) => 'SCD'.includes(a) && operands[i].length === 2);
  const reg = (n: number): Fixed['fields'] => ({ reg: BigInt(n) });
  switch (addressing) {
    case 'S':
      if (!operands.includes('Sw')) return [{ label: '', fields: {} }];
      return SEGMENT_NAMES.map((label, i) => ({ label, fields: reg(i * SEGMENT_STRIDE) }));
    case 'C':
      if (!operands.includes('Cr')) return [{ label: '', fields: {} }];
      return CONTROL_REGISTERS.filter((n) => long || n !== 8).map((n) => ({ label: `CR${n}`, fields: reg(n) }));
    case 'D':
      if (!operands.includes('Dr')) return [{ label: '', fields: {} }];
      return [0, 1, 2, 3, 4, 5, 6, 7].map((n) => ({ label: `DR${n}`, fields: reg(n) }));
    default:
      return [{ label: '', fields: {} }];
  }
}

function operandSizes({ attributes: a, prefix }: Encoding, long: boolean): readonly (16 | 32 | 64)[] {
  if (a.has('o16')) return [16];
  if (a.has('o32')) return [32];
  if (a.has('w1')) return [64];
  if (!long) return prefix === '66' ? [32] : [32, 16];
  if (a.has('f64')) return [64];
  if (a.has('d64')) return [64, 16];
  return a.has('w0') ? [32, 16] : [32, 16, 64];
}

function parameters(e: Encoding, long: boolean, memory: boolean): readonly Parameters[] {
  const reps = e.attributes.has('rep') ? (['none', 'F3', 'F2'] as const) : (['none'] as const);
  const addressesMemory = memory || !e.hasModrm;
  const segments = long ? (addressesMemory ? [false, true] : [false]) : [true];
  const addressSize = e.attributes.has('a16') ? 16 : e.attributes.has('a32') || !long ? 32 : 64;
  return operandSizes(e, long).flatMap((operandSize) =>
    segments.flatMap((segmented) =>
      reps.map((rep): Parameters => ({ operandSize, addressSize, long, memory, segmented, rep })),
    ),
  );
}

const isIn = ({ attributes: a }: Encoding, long: boolean): boolean =>
  !a.has(long ? 'i64' : 'o64') && !(long && a.has('a16')) && !(!long && (a.has('a64') || a.has('w1')));

/** The cases of `encodings` in 64-bit (`long`) or 32-bit mode. */
export function casesOf(encodings: readonly Encoding[], long: boolean): readonly X86Case[] {
  return encodings.filter((e) => isIn(e, long)).flatMap((e) => rowCases(e, long));
}

function rowCases(row: Encoding, long: boolean): readonly X86Case[] {
  const places = !row.hasModrm || row.form === 'reg' ? [false] : row.form === 'mem' ? [true] : [false, true];
  const bothPlaces = places.length === 2;
  return places.flatMap((memory) =>
    systemOperands(row, long).map(({ label, fields }): X86Case => {
      const variants = parameters(row, long, memory).map((p): Variant => ({ parameters: p, fields }));
      const operands = row.operands.join(',');
      const words = [operands, bothPlaces ? (memory ? 'memory' : 'register') : '', label];
      return {
        name: row.definition.name,
        form: words.filter((w) => w !== '').join(' · '),
        encoding: row.row.split('|')[0].trim(),
        row,
        variants,
        bodies: () => variants.map((v) => ({ statements: bodyOf(row, v.parameters), fields: v.fields })),
      };
    }),
  );
}
