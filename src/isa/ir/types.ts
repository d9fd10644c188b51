/**
 * The intermediate representation: what an instruction means.
 *
 * A body is a list of nodes. Pure nodes are values; the rest read or change state, memory or control. Semantics build it once;
 * the reference evaluator, the WebAssembly lowering and the classifier only read it.
 */

/** `i1` is a truth value; integers are unsigned bit patterns; `i128` is a vector whose lanes the operation names. */
export type Type = 'i1' | 'i8' | 'i16' | 'i32' | 'i64' | 'i128' | 'f32' | 'f64';
export type IntegerType = 'i8' | 'i16' | 'i32' | 'i64';
export type StateType = IntegerType | 'i128';

/**
 * Popek and Goldberg's classes of machine state: what a program owns (`user`), the processor mode (`mode`), what controls resources
 * (`control`: descriptor tables, page tables, control registers) and the outside world (`io`). Clocks stand apart (`time`): the first
 * theorem exempts what depends on timing, the second asks for it. `engine` is not architectural.
 */
export type StateClass = 'user' | 'mode' | 'control' | 'io' | 'time' | 'engine';

/** One register. `offset` is its byte position in the virtual CPU's block of memory. */
export interface State {
  readonly name: string;
  readonly type: StateType;
  readonly class: StateClass;
  readonly offset: number;
}

/** Registers that an operand selects at run time, by byte offset from the start of the file. */
export interface StateFile {
  readonly name: string;
  readonly class: StateClass;
  readonly offset: number;
  readonly size: number;
}

/** What the decoder knows of one instruction's operands; every tier binds them: from a record, as constants, from an object. */
export type FieldName =
  | 'length'
  | 'offset'
  | 'segment'
  | 'scale'
  | 'reg'
  | 'rm'
  | 'index'
  | 'displacement'
  | 'immediate';

export interface Variable {
  readonly type: Type;
  readonly id: number;
}

/**
 * How an access is checked: as the current privilege level does it, or as the processor does it for itself (`supervisor`: descriptor
 * tables). An address that is none is told as the stack's for `stack`, and for `operand` as the segment's that the field `segment` names.
 */
export type AccessKind = 'current' | 'stack' | 'operand' | 'supervisor';

interface Numbered {
  /** Its number among the statements of its body, in the order in which they were built; 0 for a constant that several bodies share. */
  readonly number: number;
}
interface Node extends Numbered {
  readonly type: Type;
}
export interface ConstNode extends Node {
  readonly kind: 'const';
  readonly value: bigint;
}
export interface FieldNode extends Node {
  readonly kind: 'field';
  readonly name: FieldName;
}
/** A pure operation of the tables in `ops.ts`; `immediate` is a lane number or a shuffle mask. */
export interface OpNode extends Node {
  readonly kind: 'op';
  readonly op: string;
  readonly args: readonly Value[];
  readonly immediate: readonly number[];
}
export interface GetNode extends Node {
  readonly kind: 'get';
  readonly state: State;
}
export interface GetAtNode extends Node {
  readonly kind: 'getAt';
  readonly file: StateFile;
  readonly at: Value;
}
export interface ReadVariableNode extends Node {
  readonly kind: 'readVariable';
  readonly variable: Variable;
}
export interface LoadNode extends Node {
  readonly kind: 'load';
  readonly address: Value;
  readonly access: AccessKind;
  /** The page must be writable too: a store to the same place follows. */
  readonly forWrite: boolean;
}
/** Guest-physical memory, as page walks see it. */
export interface LoadPhysicalNode extends Node {
  readonly kind: 'loadPhysical';
  readonly address: Value;
}
/** The engine's own tables in linear memory, by address (`i32`); never part of an instruction's meaning. */
export interface LoadRawNode extends Node {
  readonly kind: 'loadRaw';
  readonly address: Value;
}
export interface ResultNode extends Node {
  readonly kind: 'result';
  readonly call: CallNode;
  readonly index: number;
}
export interface ParameterNode extends Node {
  readonly kind: 'parameter';
  readonly index: number;
}

export interface SetNode extends Numbered {
  readonly kind: 'set';
  readonly state: State;
  readonly value: Value;
}
export interface SetAtNode extends Numbered {
  readonly kind: 'setAt';
  readonly file: StateFile;
  readonly at: Value;
  readonly value: Value;
}
export interface WriteVariableNode extends Numbered {
  readonly kind: 'writeVariable';
  readonly variable: Variable;
  readonly value: Value;
}
export interface StoreNode extends Numbered {
  readonly kind: 'store';
  readonly address: Value;
  readonly value: Value;
  readonly access: AccessKind;
}
export interface StorePhysicalNode extends Numbered {
  readonly kind: 'storePhysical';
  readonly address: Value;
  readonly value: Value;
}
export interface StoreRawNode extends Numbered {
  readonly kind: 'storeRaw';
  readonly address: Value;
  readonly value: Value;
}
/** Copies bytes within linear memory, as if all were read before one is written. */
export interface CopyRawNode extends Numbered {
  readonly kind: 'copyRaw';
  readonly to: Value;
  readonly from: Value;
  readonly bytes: Value;
}
/** Fills linear memory with the low byte of `value`. */
export interface FillRawNode extends Numbered {
  readonly kind: 'fillRaw';
  readonly to: Value;
  readonly value: Value;
  readonly bytes: Value;
}
export interface CallNode extends Numbered {
  readonly kind: 'call';
  readonly target: Procedure | External;
  readonly args: readonly Value[];
  /** An exception inside does not end the caller, which looks at the state itself; the results are then zero. */
  readonly guarded: boolean;
}
export interface IfNode extends Numbered {
  readonly kind: 'if';
  readonly condition: Value;
  readonly consequent: readonly Statement[];
  readonly alternate: readonly Statement[];
  /** The condition hardly ever holds. */
  readonly rare?: true;
}
/** Repeats until a `break` of this loop. */
export interface LoopNode extends Numbered {
  readonly kind: 'loop';
  readonly id: number;
  readonly body: readonly Statement[];
}
export interface BreakNode extends Numbered {
  readonly kind: 'break';
  readonly loop: number;
}
/** Leaves a procedure. */
export interface ReturnNode extends Numbered {
  readonly kind: 'return';
  readonly values: readonly Value[];
}
/** Ends the instruction with an exception; `errorCode` absent: the vector has none. */
export interface RaiseNode extends Numbered {
  readonly kind: 'raise';
  readonly vector: Value;
  readonly errorCode: Value | undefined;
}
/** Ends the instruction and goes to instruction pointer `target`. `link`: the target depends on the address of the instruction alone. */
export interface JumpNode extends Numbered {
  readonly kind: 'jump';
  readonly target: Value;
  readonly link: 0 | 1 | undefined;
}
/** Ends the instruction at the next one and leaves the engine's loop with a reason for the machine. */
export interface ExitNode extends Numbered {
  readonly kind: 'exit';
  readonly reason: number;
}

export type Value =
  | ConstNode
  | FieldNode
  | OpNode
  | GetNode
  | GetAtNode
  | ReadVariableNode
  | LoadNode
  | LoadPhysicalNode
  | LoadRawNode
  | ResultNode
  | ParameterNode;
export type Effect =
  | SetNode
  | SetAtNode
  | WriteVariableNode
  | StoreNode
  | StorePhysicalNode
  | StoreRawNode
  | CopyRawNode
  | FillRawNode
  | CallNode
  | IfNode
  | LoopNode
  | BreakNode
  | ReturnNode
  | RaiseNode
  | JumpNode
  | ExitNode;
export type Statement = Value | Effect;

/** A named piece of meaning that instructions call: a page walk, a far transfer, an 80-bit addition. */
export interface Procedure {
  readonly kind: 'procedure';
  readonly name: string;
  readonly parameters: readonly Type[];
  readonly results: readonly Type[];
  /** May end in an exception; a caller then ends too. */
  readonly mayFault: boolean;
  /** Built at the first use, so that procedures can call each other. */
  body(): readonly Statement[];
}

/** Something outside the processor core: a bus, the time, the engine's own caches. */
export interface External {
  readonly kind: 'external';
  readonly name: string;
  readonly parameters: readonly Type[];
  readonly results: readonly Type[];
  readonly mayFault: boolean;
  /** The class of what it touches, for the classifier. */
  readonly class: StateClass;
  /** It may change what it touches; else it only reads it. */
  readonly changes: boolean;
}

export const WIDTH: Readonly<Record<Type, number>> = {
  i1: 1,
  i8: 8,
  i16: 16,
  i32: 32,
  i64: 64,
  i128: 128,
  f32: 32,
  f64: 64,
};

export function integerType(width: number): IntegerType {
  switch (width) {
    case 8:
      return 'i8';
    case 16:
      return 'i16';
    case 32:
      return 'i32';
    case 64:
      return 'i64';
    default:
      throw new RangeError(`no integer type of ${width} bits`);
  }
}

/** The statement is a value that other nodes may use. */
export function isValue(s: Statement): s is Value {
  return (s as { readonly type?: Type }).type !== undefined;
}
