/** SSE, SSE2 and SSE3 arithmetic and comparison of floating-point numbers (SDM vol. 1 §5.5.1.2–3, §5.6.1.2, §5.6.1.4, §5.7.2–4). */
import type { Procedure, Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { ENV } from '../procedures/softfloat-format.ts';
import { LANE, laneCompare, laneMaximum, laneMinimum, laneTest, type PerFormat } from '../procedures/softfloat-sse.ts';
import { laneReciprocal, laneReciprocalRoot } from '../procedures/softfloat-sse-estimate.ts';
import {
  ADD,
  DIVIDE,
  type HostOperation,
  MULTIPLY,
  packedOperation,
  SQUARE_ROOT,
  SUBTRACT,
  scalarOperation,
} from '../procedures/sse-host-float.ts';
import type { Inlinable, X86Builder } from '../x86-builder.ts';
import { alignedGet, immediate8, requireSse } from './sse-common.ts';
import { LaneCalls, type LaneType, readLanes, setWhole, wholeRegister, writeLanes } from './sse-float-common.ts';

/** The four forms that one opcode has by its mandatory prefix. */
interface Form {
  readonly suffix: 'PS' | 'PD' | 'SS' | 'SD';
  readonly prefix: 'NP' | '66' | 'F3' | 'F2';
  readonly size: 'x' | 'd' | 'q';
  readonly format: 'f32' | 'f64';
  readonly type: LaneType;
}
const FORMS: readonly Form[] = [
  { suffix: 'PS', prefix: 'NP', size: 'x', format: 'f32', type: 'i32' },
  { suffix: 'PD', prefix: '66', size: 'x', format: 'f64', type: 'i64' },
  { suffix: 'SS', prefix: 'F3', size: 'd', format: 'f32', type: 'i32' },
  { suffix: 'SD', prefix: 'F2', size: 'q', format: 'f64', type: 'i64' },
];

const OPERATIONS: readonly (readonly [name: string, opcode: string, operation: HostOperation])[] = [
  ['ADD', '58', ADD],
  ['MUL', '59', MULTIPLY],
  ['SUB', '5C', SUBTRACT],
  ['DIV', '5E', DIVIDE],
  ['SQRT', '51', SQUARE_ROOT],
];

const scalar =
  (operation: Inlinable): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const right = wholeRegister(x, src);
    setWhole(x, dst, x.apply(operation, wholeRegister(x, dst), right)[0]);
  };
const packed =
  (operation: Inlinable): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const right = alignedGet(x, src);
    dst.set(x.apply(operation, dst.get(), right)[0]);
  };
const formSemantics = ({ format, size }: Form, operation: HostOperation): Semantics =>
  size === 'x' ? packed(packedOperation(operation, format)) : scalar(scalarOperation(operation, format));

const ARITHMETIC = OPERATIONS.flatMap(([name, opcode, operation]) =>
  FORMS.flatMap((form) =>
    instruction({
      name: `${name}${form.suffix}`,
      rows: [`${form.prefix} 0F ${opcode} /r | V${form.size},W${form.size}`],
      hot: true,
      semantics: formSemantics(form, operation),
    }),
  ),
);

/** Operands as lanes: one for a scalar form, which takes unaligned memory too. */
const lanesFor = (x: X86Builder, form: Form, operand: Parameters<typeof readLanes>[1]): Value[] =>
  form.size === 'x' ? readLanes(x, operand, form.type) : [operand.get()];

type LaneOperation = (calls: LaneCalls, form: Form, left: Value, right: Value, immediate: Value | undefined) => Value;

const lanewise =
  (form: Form, operation: LaneOperation): Semantics =>
  (x, dst, src, immediate) => {
    requireSse(x);
    const right = lanesFor(x, form, src);
    const left = lanesFor(x, form, dst);
    const calls = new LaneCalls(x);
    const control = immediate === undefined ? undefined : immediate8(x, immediate);
    const results = left.map((v, i) => operation(calls, form, v, right[i], control));
    calls.commit();
    writeLanes(x, dst, results);
  };
const binary =
  (procedure: PerFormat<Procedure>): LaneOperation =>
  (calls, form, left, right) =>
    calls.call(procedure[form.format], left, right);
const EXTREMES = (
  [
    ['MIN', '5D', laneMinimum],
    ['MAX', '5F', laneMaximum],
  ] as const
).flatMap(([name, opcode, procedure]) =>
  FORMS.flatMap((form) =>
    instruction({
      name: `${name}${form.suffix}`,
      rows: [`${form.prefix} 0F ${opcode} /r | V${form.size},W${form.size}`],
      hot: form.size !== 'x',
      semantics: lanewise(form, binary(procedure)),
    }),
  ),
);

const CMP = FORMS.flatMap((form) =>
  instruction({
    name: `CMP${form.suffix}`,
    rows: [`${form.prefix} 0F C2 /r | V${form.size},W${form.size},Ib`],
    semantics: lanewise(form, (calls, { format }, left, right, predicate) =>
      calls.call(laneTest[format], left, right, predicate!),
    ),
  }),
);

const estimate =
  (form: Form, procedure: Procedure): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const results = lanesFor(x, form, src).map((lane) => x.call(procedure, lane)[0]);
    writeLanes(x, dst, results);
  };
const ESTIMATES = FORMS.filter((form) => form.format === 'f32').flatMap((form) =>
  (
    [
      ['RSQRT', '52', laneReciprocalRoot],
      ['RCP', '53', laneReciprocal],
    ] as const
  ).flatMap(([name, opcode, procedure]) =>
    instruction({
      name: `${name}${form.suffix}`,
      rows: [`${form.prefix} 0F ${opcode} /r | V${form.size},W${form.size}`],
      semantics: estimate(form, procedure),
    }),
  ),
);

/** ZF, PF and CF from a comparison; OF, SF and AF are clear. */
const compare =
  (format: 'f32' | 'f64', extra: number): Semantics =>
  (x, left, right) => {
    requireSse(x);
    const source = right.get();
    const calls = new LaneCalls(x);
    const relation = calls.call(laneCompare[format], left.get(), source, x.const('i32', extra));
    calls.commit();
    x.flags.setArithmetic(relation);
  };
const COMPARE = (
  [
    ['UCOMISS', 'NP 0F 2E /r | Vd,Wd', 'f32', 0],
    ['UCOMISD', '66 0F 2E /r | Vq,Wq', 'f64', 0],
    ['COMISS', 'NP 0F 2F /r | Vd,Wd', 'f32', ENV.signalQuiet],
    ['COMISD', '66 0F 2F /r | Vq,Wq', 'f64', ENV.signalQuiet],
  ] as const
).flatMap(([name, row, format, extra]) =>
  instruction({ name, rows: [row], hot: true, semantics: compare(format, extra) }),
);

// --- SSE3 -------------------------------------------------------------------------------------------------------------------------

type Pairing = (left: readonly Value[], right: readonly Value[]) => (readonly [Value, Value])[];
/** Neighbours: those of the destination, then those of the source. */
const horizontal: Pairing = (left, right) =>
  [left, right].flatMap((lanes) =>
    Array.from({ length: lanes.length / 2 }, (_, i) => [lanes[2 * i], lanes[2 * i + 1]] as const),
  );
const vertical: Pairing = (left, right) => left.map((v, i) => [v, right[i]] as const);

const paired =
  (form: Form, pairing: Pairing, operations: readonly PerFormat<Procedure>[]): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const right = readLanes(x, src, form.type);
    const left = readLanes(x, dst, form.type);
    const calls = new LaneCalls(x);
    const results = pairing(left, right).map(([a, c], i) =>
      calls.call(operations[i % operations.length][form.format], a, c),
    );
    calls.commit();
    writeLanes(x, dst, results);
  };

const PAIRED = (
  [
    ['HADD', '7C', horizontal, [LANE.add]],
    ['HSUB', '7D', horizontal, [LANE.subtract]],
    ['ADDSUB', 'D0', vertical, [LANE.subtract, LANE.add]],
  ] as const
).flatMap(([name, opcode, pairing, operations]) =>
  (['PS', 'PD'] as const).flatMap((suffix) => {
    const form = FORMS.find((f) => f.suffix === suffix)!;
    const prefix = suffix === 'PS' ? 'F2' : '66';
    return instruction({
      name: `${name}${suffix}`,
      rows: [`${prefix} 0F ${opcode} /r | Vx,Wx`],
      semantics: paired(form, pairing, operations),
    });
  }),
);

export const SSE_FLOAT_ARITHMETIC: readonly Encoding[] = [
  ...ARITHMETIC,
  ...EXTREMES,
  ...CMP,
  ...ESTIMATES,
  ...COMPARE,
  ...PAIRED,
];
