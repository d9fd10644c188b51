/** Prefixes (SDM vol. 2 §2.1.1, 2.2.1). */
import { type InstructionReader, MAX_LENGTH, TRUNCATED } from './instruction-reader.ts';
import { CS_AT, DS_AT, ES_AT, FS_AT, GS_AT, SS_AT } from './state.ts';

export type CodeSize = 16 | 32 | 64;

export interface Prefixes {
  readonly rex: number;
  readonly lock: boolean;
  readonly operandSize: boolean;
  readonly addressSize: boolean;
  readonly repeat: 'none' | 'F2' | 'F3';
  /** The segment override: byte offset in SEGMENTS. */
  readonly segment: number | undefined;
}

const isPrefix = Array.from({ length: 256 }, (_, b) =>
  [0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].includes(b),
);
const onlyRex = (rex: number): Prefixes => ({
  rex,
  lock: false,
  operandSize: false,
  addressSize: false,
  repeat: 'none',
  segment: undefined,
});
/** Most instructions have no other prefix. */
const NO_PREFIXES = onlyRex(0);
const REX_PREFIXES = Array.from({ length: 16 }, (_, i) => onlyRex(0x40 | i));

/** Reads the prefixes before an opcode. */
export function readPrefixes(r: InstructionReader, codeSize: CodeSize): Prefixes {
  if (r.at < r.end) {
    const first = r.bytes[r.at];
    const isRex = codeSize === 64 && (first & 0xf0) === 0x40;
    if (!isRex && !isPrefix[first]) return NO_PREFIXES;
    const second = r.bytes[r.at + 1];
    if (isRex && r.at + 1 < r.end && (second & 0xf0) !== 0x40 && !isPrefix[second]) {
      r.at++;
      return REX_PREFIXES[first & 15];
    }
  }
  return readAnyPrefixes(r, codeSize);
}

/** Reads them all; more than fit an instruction are left unread. */
function readAnyPrefixes(r: InstructionReader, codeSize: CodeSize): Prefixes {
  const long = codeSize === 64;
  const p = {
    rex: 0,
    lock: false,
    operandSize: false,
    addressSize: false,
    repeat: 'none' as Prefixes['repeat'],
    segment: undefined as number | undefined,
  };
  for (; r.length < MAX_LENGTH; r.at++) {
    if (r.at >= r.end) throw TRUNCATED;
    const b = r.bytes[r.at];
    if (long && (b & 0xf0) === 0x40) {
      p.rex = b;
      continue;
    }
    switch (b) {
      case 0x66:
        p.operandSize = true;
        break;
      case 0x67:
        p.addressSize = true;
        break;
      case 0xf0:
        p.lock = true;
        break;
      case 0xf2:
        p.repeat = 'F2';
        break;
      case 0xf3:
        p.repeat = 'F3';
        break;
      // In 64-bit mode these four are ignored (SDM vol. 2 §2.1.1), even behind FS or GS.
      case 0x26:
        if (!long) p.segment = ES_AT;
        break;
      case 0x2e:
        if (!long) p.segment = CS_AT;
        break;
      case 0x36:
        if (!long) p.segment = SS_AT;
        break;
      case 0x3e:
        if (!long) p.segment = DS_AT;
        break;
      case 0x64:
        p.segment = FS_AT;
        break;
      case 0x65:
        p.segment = GS_AT;
        break;
      default:
        return p;
    }
    // A REX prefix counts only right before the opcode (SDM vol. 2 §2.2.1).
    p.rex = 0;
  }
  return p;
}
