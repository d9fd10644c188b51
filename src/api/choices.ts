/** The words that options choose among; apart from their checks, so that a command line knows them at once. */

export const ENGINES = ['auto', 'wasm', 'reference'] as const;
export const TIERS = ['both', 'interpreter', 'translator'] as const;
export const CONSOLES = ['virtio', 'serial'] as const;
export const CLOCKS = ['real', 'virtual'] as const;
/** What `trace` can show; see docs/cli.md. */
export const TRACE_KINDS = ['exceptions', 'interrupts', 'io', 'mmio', 'instructions'] as const;
export type TraceKind = (typeof TRACE_KINDS)[number];
/** When the memory of a snapshot comes: as the guest looks at it, or before it runs. */
export const LOADS = ['demand', 'whole'] as const;
