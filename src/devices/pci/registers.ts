/** The type-0 configuration header (PCI 3.0 §6.1) and capability identifiers (appendix H). */

export const VENDOR_ID = 0x00;
export const DEVICE_ID = 0x02;
export const COMMAND = 0x04;
export const STATUS = 0x06;
export const REVISION_ID = 0x08;
export const CLASS_CODE = 0x09;
export const CACHE_LINE_SIZE = 0x0c;
export const HEADER_TYPE = 0x0e;
export const BASE_ADDRESS_0 = 0x10;
export const SUBSYSTEM_VENDOR_ID = 0x2c;
export const SUBSYSTEM_ID = 0x2e;
export const CAPABILITIES_POINTER = 0x34;
export const INTERRUPT_LINE = 0x3c;
export const INTERRUPT_PIN = 0x3d;
/** Where capabilities may begin. */
export const DEVICE_SPECIFIC = 0x40;
export const CONFIG_SIZE = 0x100;

export const COMMAND_IO = 1 << 0;
export const COMMAND_MEMORY = 1 << 1;
export const COMMAND_BUS_MASTER = 1 << 2;
export const COMMAND_PARITY = 1 << 6;
export const COMMAND_SERR = 1 << 8;
export const COMMAND_INTERRUPT_DISABLE = 1 << 10;

export const STATUS_INTERRUPT = 1 << 3;
export const STATUS_CAPABILITIES = 1 << 4;

export const HEADER_MULTIFUNCTION = 0x80;

export const BAR_COUNT = 6;
export const BAR_IO = 0x1;
export const BAR_MEMORY_64 = 0x4;
/** Bits of a base address register that are not address. */
export const BAR_IO_FLAGS = 0x3;
export const BAR_MEMORY_FLAGS = 0xf;

export const CAPABILITY_VENDOR = 0x09;
export const CAPABILITY_MSIX = 0x11;
