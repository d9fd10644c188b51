/** IR as text: a line for each statement, values numbered in the order of their computation. */
import { isValue, type Procedure, type Statement, type Value } from './types.ts';

const INDENT = '  ';

class Printer {
  readonly #names = new Map<Value, string>();
  readonly #lines: string[] = [];
  #depth = 0;
  #next = 0;

  get text(): string {
    return this.#lines.join('\n');
  }

  /** The text since the last call. */
  take(): string {
    return this.#lines.splice(0).join('\n');
  }

  #line(text: string): void {
    this.#lines.push(INDENT.repeat(this.#depth) + text);
  }

  statements(list: readonly Statement[]): void {
    for (const s of list) {
      if (isValue(s)) this.#value(s);
      else this.#effect(s);
    }
  }

  /** Constants and fields stand where they are used; the rest has a number. */
  #value(v: Value): void {
    if (v.kind === 'const' || v.kind === 'field' || v.kind === 'parameter') return;
    const name = `v${this.#next++}`;
    this.#line(`${name}: ${v.type} = ${this.#meaning(v)}`);
    this.#names.set(v, name);
  }

  #of(v: Value): string {
    if (v.kind === 'const') return v.value < 10n ? `${v.value}` : `0x${v.value.toString(16)}`;
    if (v.kind === 'field') return v.name;
    return v.kind === 'parameter' ? `p${v.index}` : (this.#names.get(v) ?? '?');
  }

  #meaning(v: Exclude<Value, { kind: 'const' | 'field' | 'parameter' }>): string {
    switch (v.kind) {
      case 'op':
        return [v.op, [...v.args.map((a) => this.#of(a)), ...v.immediate.map((n) => `#${n}`)].join(', ')].join(' ');
      case 'get':
        return v.state.name;
      case 'getAt':
        return `${v.file.name}[${this.#of(v.at)}]`;
      case 'readVariable':
        return `$${v.variable.id}`;
      case 'load':
        return `load${v.forWrite ? ' for write' : ''}${v.access === 'supervisor' ? ' as supervisor' : ''} [${this.#of(v.address)}]`;
      case 'loadPhysical':
        return `load physical [${this.#of(v.address)}]`;
      case 'loadRaw':
        return `load raw [${this.#of(v.address)}]`;
      case 'result':
        return `result ${v.index} of ${v.call.target.name}`;
      default:
        return v satisfies never;
    }
  }

  #block(head: string, body: readonly Statement[]): void {
    this.#line(head);
    this.#depth++;
    this.statements(body);
    this.#depth--;
  }

  #effect(s: Exclude<Statement, Value>): void {
    switch (s.kind) {
      case 'if':
        this.#block(`if ${this.#of(s.condition)} {`, s.consequent);
        if (s.alternate.length > 0) this.#block('} else {', s.alternate);
        this.#line('}');
        break;
      case 'loop':
        this.#block(`loop ${s.id} {`, s.body);
        this.#line('}');
        break;
      default:
        this.#line(this.#simple(s));
    }
  }

  #simple(s: Exclude<Statement, Value | { kind: 'if' | 'loop' }>): string {
    switch (s.kind) {
      case 'set':
        return `${s.state.name} = ${this.#of(s.value)}`;
      case 'setAt':
        return `${s.file.name}[${this.#of(s.at)}] = ${this.#of(s.value)}: ${s.value.type}`;
      case 'writeVariable':
        return `$${s.variable.id} = ${this.#of(s.value)}`;
      case 'store':
        return `store${s.access === 'supervisor' ? ' as supervisor' : ''} [${this.#of(s.address)}] = ${this.#of(s.value)}: ${s.value.type}`;
      case 'storePhysical':
        return `store physical [${this.#of(s.address)}] = ${this.#of(s.value)}`;
      case 'storeRaw':
        return `store raw [${this.#of(s.address)}] = ${this.#of(s.value)}`;
      case 'copyRaw':
        return `copy raw [${this.#of(s.to)}] = [${this.#of(s.from)}], ${this.#of(s.bytes)} bytes`;
      case 'fillRaw':
        return `fill raw [${this.#of(s.to)}] = ${this.#of(s.value)}, ${this.#of(s.bytes)} bytes`;
      case 'call':
        return `${s.guarded ? 'call guarded' : 'call'} ${s.target.name}(${s.args.map((a) => this.#of(a)).join(', ')})`;
      case 'break':
        return `break ${s.loop}`;
      case 'return':
        return `return ${s.values.map((v) => this.#of(v)).join(', ')}`.trimEnd();
      case 'raise':
        return `raise ${this.#of(s.vector)}${s.errorCode === undefined ? '' : `, ${this.#of(s.errorCode)}`}`;
      case 'jump':
        return `jump ${this.#of(s.target)}${s.link === undefined ? '' : ` over link ${s.link}`}`;
      case 'exit':
        return `exit ${s.reason}`;
      default:
        return s satisfies never;
    }
  }
}

/** The text of a body. */
export function printBody(body: readonly Statement[]): string {
  const printer = new Printer();
  printer.statements(body);
  return printer.text;
}

/** The text of a body in pieces: each ends before the statement of that number. */
export function printPieces(body: readonly Statement[], ends: readonly number[]): string[] {
  const printer = new Printer();
  return ends.map((end, i) => {
    printer.statements(body.slice(i === 0 ? 0 : ends[i - 1], end));
    return printer.take();
  });
}

/** The text of a procedure: its signature and its body. */
export function printProcedure(p: Procedure): string {
  const parameters = p.parameters.map((type, i) => `p${i}: ${type}`).join(', ');
  const body = printBody(p.body())
    .split('\n')
    .map((line) => INDENT + line)
    .join('\n');
  return `${p.name}(${parameters}): ${p.results.join(', ') || 'nothing'}\n${body}`;
}
