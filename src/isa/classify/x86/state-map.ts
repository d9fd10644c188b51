/** The state of an x86 processor by place, with names down to single flags. */
import type { StateFile } from '../../ir/types.ts';
import { WIDTH } from '../../ir/types.ts';
import { CR0_BITS, CR4_BITS, EFER_BITS } from '../../x86/control-bits.ts';
import { VECTOR_NAMES } from '../../x86/exceptions.ts';
import { RFLAGS } from '../../x86/flags.ts';
import {
  CR0,
  CR4,
  EFER,
  FLAGS_OTHER,
  FLAGS_SYSTEM,
  IP_BASE,
  REGISTERS,
  SEGMENT,
  SEGMENT_NAMES,
  SEGMENT_STRIDE,
  SEGMENTS,
} from '../../x86/state.ts';
import type { NamedBits, StateMap } from '../model.ts';
import { maskOf, type Source } from '../value.ts';

interface Placed {
  readonly source: Source;
  readonly offset: number;
  readonly bytes: number;
  /** Within the register. */
  readonly mask: bigint;
}

/** Registers whose bits have names of their own. */
const BITS: ReadonlyMap<string, Readonly<Record<string, number | bigint>>> = new Map<
  string,
  Readonly<Record<string, number | bigint>>
>([
  [CR0.name, CR0_BITS],
  [CR4.name, CR4_BITS],
  [EFER.name, EFER_BITS],
  [FLAGS_SYSTEM.name, RFLAGS],
  [FLAGS_OTHER.name, RFLAGS],
]);
/** The two words of flags are RFLAGS to a reader. */
const SHOWN: ReadonlyMap<string, string> = new Map([
  [FLAGS_SYSTEM.name, ''],
  [FLAGS_OTHER.name, ''],
  [EFER.name, 'EFER.'],
]);

function place(): readonly Placed[] {
  const placed: Placed[] = [];
  for (const state of [...REGISTERS.values(), IP_BASE]) {
    const { name, offset } = state;
    const bytes = WIDTH[state.type] / 8;
    let rest = maskOf(bytes * 8);
    for (const [bit, value] of Object.entries(BITS.get(name) ?? {})) {
      const mask = BigInt(value) & rest;
      if (mask === 0n) continue;
      rest &= ~mask;
      placed.push({
        source: { name: `${SHOWN.get(name) ?? `${name}.`}${bit}`, class: state.class },
        offset,
        bytes,
        mask,
      });
    }
    if (rest !== 0n) placed.push({ source: { name, class: state.class }, offset, bytes, mask: rest });
  }
  for (const [i, name] of [...SEGMENT_NAMES, 'TR', 'LDTR'].entries()) {
    for (const part of ['readEnd', 'writeEnd'] as const) {
      const offset = SEGMENTS.offset + i * SEGMENT_STRIDE + SEGMENT[part];
      // What may be accessed follows from limit and access rights.
      placed.push({ source: { name: `${name}.limit`, class: 'control' }, offset, bytes: 8, mask: maskOf(64) });
    }
  }
  return placed;
}

const EXTERNALS: Readonly<Record<string, string>> = {
  portRead: 'an I/O port',
  portWrite: 'an I/O port',
  timestamp: 'the time-stamp counter',
  cpuid: "the processor's identity",
  msrRead: 'a model-specific register',
  msrWrite: 'a model-specific register',
  taskPriorityRead: 'the task priority',
  taskPriorityWrite: 'the task priority',
  dropTranslations: 'cached translations of addresses',
};

class X86StateMap implements StateMap {
  readonly #placed = place();
  readonly #found = new Map<number, readonly NamedBits[]>();
  readonly #files = new Map<string, Source>();

  at(offset: number, bytes: number): readonly NamedBits[] {
    const key = offset * 32 + bytes;
    let found = this.#found.get(key);
    if (found === undefined) {
      found = this.#placed.flatMap((p) => part(p, offset, bytes));
      this.#found.set(key, found);
    }
    return found;
  }
  file(file: StateFile): Source {
    let source = this.#files.get(file.name);
    if (source === undefined) {
      source = { name: file.name, class: file.class };
      this.#files.set(file.name, source);
    }
    return source;
  }
  vectorName(vector: number): string {
    return VECTOR_NAMES[vector] ?? `vector ${vector}`;
  }
  externalText(name: string): string | undefined {
    return EXTERNALS[name];
  }
}

function part(p: Placed, offset: number, bytes: number): NamedBits[] {
  const shift = BigInt((p.offset - offset) * 8);
  const mask = (shift >= 0n ? p.mask << shift : p.mask >> -shift) & maskOf(bytes * 8);
  return mask === 0n ? [] : [{ source: p.source, mask }];
}

export const X86_STATES: StateMap = new X86StateMap();
