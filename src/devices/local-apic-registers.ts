/** Numbers of the local APIC's registers: the xAPIC offset divided by 16, the x2APIC MSR minus 0x800 (SDM vol. 3, table 11-6). */
export const APIC_ID = 0x02;
export const VERSION = 0x03;
export const TASK_PRIORITY = 0x08;
export const PROCESSOR_PRIORITY = 0x0a;
export const END_OF_INTERRUPT = 0x0b;
export const LOGICAL_DESTINATION = 0x0d;
export const DESTINATION_FORMAT = 0x0e;
export const SPURIOUS_VECTOR = 0x0f;
export const IN_SERVICE = 0x10;
export const TRIGGER_MODE = 0x18;
export const INTERRUPT_REQUEST = 0x20;
export const ERROR_STATUS = 0x28;
export const INTERRUPT_COMMAND = 0x30;
export const INTERRUPT_COMMAND_HIGH = 0x31;
export const LVT_TIMER = 0x32;
export const LVT_THERMAL = 0x33;
export const LVT_PERFORMANCE = 0x34;
export const LVT_LINT0 = 0x35;
export const LVT_LINT1 = 0x36;
export const LVT_ERROR = 0x37;
export const INITIAL_COUNT = 0x38;
export const CURRENT_COUNT = 0x39;
export const DIVIDE_CONFIGURATION = 0x3e;
export const SELF_IPI = 0x3f;

export const LVT_MASKED = 0x10000;
export const LVT_LEVEL = 0x8000;
export const LVT_REMOTE_IRR = 0x4000;
export const LVT_DELIVERY_STATUS = 0x1000;

/** Delivery modes, bits 10:8 of LVT entries, ICR and messages. */
export const DELIVERY_FIXED = 0;
export const DELIVERY_LOWEST_PRIORITY = 1;
export const DELIVERY_NMI = 4;
export const DELIVERY_INIT = 5;
export const DELIVERY_STARTUP = 6;
export const DELIVERY_EXTERNAL = 7;
/** Of a command and of a message: level-triggered. */
export const TRIGGER_LEVEL = 0x8000;

export const ERROR_SEND_ILLEGAL_VECTOR = 0x20;
export const ERROR_RECEIVE_ILLEGAL_VECTOR = 0x40;
export const ERROR_ILLEGAL_REGISTER = 0x80;

export const SOFTWARE_ENABLE = 0x100;

/** Bits that a write changes; registers that are absent are read-only or not there. */
export const WRITABLE_BITS: ReadonlyMap<number, number> = new Map([
  [TASK_PRIORITY, 0xff],
  [LOGICAL_DESTINATION, 0xff000000],
  [DESTINATION_FORMAT, 0xf0000000],
  [SPURIOUS_VECTOR, 0x1ff],
  [INTERRUPT_COMMAND, 0xccfff],
  [INTERRUPT_COMMAND_HIGH, 0xff000000],
  [LVT_TIMER, 0x700ff],
  [LVT_THERMAL, 0x107ff],
  [LVT_PERFORMANCE, 0x107ff],
  [LVT_LINT0, 0x1a7ff],
  [LVT_LINT1, 0x1a7ff],
  [LVT_ERROR, 0x100ff],
  [INITIAL_COUNT, 0xffffffff],
  [DIVIDE_CONFIGURATION, 0x0b],
]);
