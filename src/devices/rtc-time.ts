/** How register B says that time is coded. */
export interface TimeFormat {
  /** Binary instead of BCD. */
  readonly binary: boolean;
  /** 0–23 instead of 1–12 with bit 7 for the afternoon. */
  readonly hours24: boolean;
}

/** Time registers in their register numbers' order, without the alarm's. */
export interface TimeFields {
  seconds: number;
  minutes: number;
  hours: number;
  dayOfWeek: number;
  day: number;
  month: number;
  year: number;
  century: number;
}

const AFTERNOON = 0x80;

/** As a register shows it; of years beyond what eight bits hold, the low ones. */
export function encode(value: number, format: TimeFormat): number {
  return format.binary ? value & 0xff : ((Math.floor(value / 10) % 10) << 4) | (value % 10);
}

function decode(value: number, format: TimeFormat): number {
  return format.binary ? value : (value >> 4) * 10 + (value & 15);
}

export function encodeHours(hours: number, format: TimeFormat): number {
  if (format.hours24) return encode(hours, format);
  return encode(hours % 12 || 12, format) | (hours >= 12 ? AFTERNOON : 0);
}

export function decodeHours(value: number, format: TimeFormat): number {
  if (format.hours24) return decode(value, format);
  return (decode(value & ~AFTERNOON, format) % 12) + (value & AFTERNOON ? 12 : 0);
}

/** The registers that show a time, given in milliseconds since 1970-01-01 UTC. */
export function toFields(milliseconds: number, format: TimeFormat): TimeFields {
  const date = new Date(milliseconds);
  const year = date.getUTCFullYear();
  return {
    seconds: encode(date.getUTCSeconds(), format),
    minutes: encode(date.getUTCMinutes(), format),
    hours: encodeHours(date.getUTCHours(), format),
    dayOfWeek: encode(date.getUTCDay() + 1, format),
    day: encode(date.getUTCDate(), format),
    month: encode(date.getUTCMonth() + 1, format),
    year: encode(year % 100, format),
    century: encode(Math.floor(year / 100), format),
  };
}

/** The time that registers show; out-of-range fields carry over, and the weekday does not count. */
export function fromFields(fields: TimeFields, format: TimeFormat): number {
  const year = decode(fields.century, format) * 100 + decode(fields.year, format);
  const date = new Date(0);
  date.setUTCFullYear(year, decode(fields.month, format) - 1, decode(fields.day, format));
  date.setUTCHours(decodeHours(fields.hours, format), decode(fields.minutes, format), decode(fields.seconds, format));
  return date.getTime();
}
