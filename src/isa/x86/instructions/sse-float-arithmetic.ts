/** SSE, SSE2 and SSE3 arithmetic and comparison of floating-point numbers (SDM vol. 1 §5.5.1.2–3, §5.6.1.2, §5.6.1.4, §5.7.2–4). */
import type { Procedure, Value } from '../../ir/types.ts';
import { type Encoding, instruction, type Semantics } from '../definition.ts';
import { ENV } from '../procedures/softfloat-format.ts';
import { laneMaximum, laneMinimum } from '../procedures/softfloat-sse.ts';
import { laneReciprocal, laneReciprocalRoot } from '../procedures/softfloat-sse-estimate.ts';
import {
  ADD,
  alternatingOperation,
  compareOperation,
  DIVIDE,
  extremeOperation,
  type HostOperation,
  MULTIPLY,
  packedOperation,
  SQUARE_ROOT,
  SUBTRACT,
  scalarOperation,
  testOperation,
} from '../procedures/sse-host-float.ts';
import { type FloatFormat, pick } from '../procedures/sse-ranges.ts';
import type { Inlinable, X86Builder } from '../x86-builder.ts';
import { alignedGet, immediate8, requireSse } from './sse-common.ts';
import { type LaneType, readLanes, setWhole, wholeRegister, writeLanes } from './sse-float-common.ts';

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
      semantics: formSemantics(form, operation),
    }),
  ),
);

const EXTREMES = (
  [
    ['MIN', '5D', 'minimum', laneMinimum],
    ['MAX', '5F', 'maximum', laneMaximum],
  ] as const
).flatMap(([name, opcode, operation, lane]) =>
  FORMS.flatMap((form) => {
    const isScalar = form.size !== 'x';
    const extreme = extremeOperation(operation, lane, form.format, isScalar);
    return instruction({
      name: `${name}${form.suffix}`,
      rows: [`${form.prefix} 0F ${opcode} /r | V${form.size},W${form.size}`],
      semantics: isScalar ? scalar(extreme) : packed(extreme),
    });
  }),
);

const CMP = FORMS.flatMap((form) => {
  const test = testOperation(form.format, form.size !== 'x');
  return instruction({
    name: `CMP${form.suffix}`,
    rows: [`${form.prefix} 0F C2 /r | V${form.size},W${form.size},Ib`],
    semantics: (x, dst, src, predicate) => {
      requireSse(x);
      const right = form.size === 'x' ? alignedGet(x, src) : wholeRegister(x, src);
      setWhole(x, dst, x.apply(test, wholeRegister(x, dst), right, immediate8(x, predicate))[0]);
    },
  });
});

/** Operands as lanes: one for a scalar form, which takes unaligned memory too. */
const lanesFor = (x: X86Builder, form: Form, operand: Parameters<typeof readLanes>[1]): Value[] =>
  form.size === 'x' ? readLanes(x, operand, form.type) : [operand.get()];

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
  (comparison: Inlinable): Semantics =>
  (x, left, right) => {
    requireSse(x);
    const source = wholeRegister(x, right);
    const [cf, pf, zf] = x.apply(comparison, wholeRegister(x, left), source);
    const clear = x.const('i1', 0);
    x.flags.setAll({ cf, pf, zf, of: clear, sf: clear, af: clear });
  };
const COMPARE = (
  [
    ['UCOMISS', 'NP 0F 2E /r | Vd,Wd', 'f32', 0],
    ['UCOMISD', '66 0F 2E /r | Vq,Wq', 'f64', 0],
    ['COMISS', 'NP 0F 2F /r | Vd,Wd', 'f32', ENV.signalQuiet],
    ['COMISD', '66 0F 2F /r | Vq,Wq', 'f64', ENV.signalQuiet],
  ] as const
).flatMap(([name, row, format, extra]) =>
  instruction({ name, rows: [row], semantics: compare(compareOperation(format, extra)) }),
);

// --- SSE3 -------------------------------------------------------------------------------------------------------------------------

/** The even lanes of both operands with the odd ones. */
const horizontal =
  (format: FloatFormat, operation: Inlinable): Semantics =>
  (x, dst, src) => {
    requireSse(x);
    const right = alignedGet(x, src);
    const left = dst.get();
    const [even, odd] = EVEN_AND_ODD[format].map((lanes) => pick(x, left, right, lanes));
    dst.set(x.apply(operation, even, odd)[0]);
  };
const EVEN_AND_ODD = {
  f32: [
    [0, 2, 4, 6],
    [1, 3, 5, 7],
  ],
  f64: [
    [0, 1, 4, 5],
    [2, 3, 6, 7],
  ],
} as const;

const PAIRED = (['PS', 'PD'] as const).flatMap((suffix) => {
  const { format } = FORMS.find((form) => form.suffix === suffix)!;
  const prefix = suffix === 'PS' ? 'F2' : '66';
  const rows = (opcode: string): string[] => [`${prefix} 0F ${opcode} /r | Vx,Wx`];
  const add = horizontal(format, packedOperation(ADD, format));
  const subtract = horizontal(format, packedOperation(SUBTRACT, format));
  return [
    ...instruction({ name: `HADD${suffix}`, rows: rows('7C'), semantics: add }),
    ...instruction({ name: `HSUB${suffix}`, rows: rows('7D'), semantics: subtract }),
    ...instruction({ name: `ADDSUB${suffix}`, rows: rows('D0'), semantics: packed(alternatingOperation(format)) }),
  ];
});

export const SSE_FLOAT_ARITHMETIC: readonly Encoding[] = [
  ...ARITHMETIC,
  ...EXTREMES,
  ...CMP,
  ...ESTIMATES,
  ...COMPARE,
  ...PAIRED,
];
