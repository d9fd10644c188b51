/** What the options of `trapeze disk` choose from. */
export const IMAGE_FORMATS = ['raw', 'qcow2'] as const;
export const CLUSTER_SIZES = ['512', '1K', '2K', '4K', '8K', '16K', '32K', '64K', '128K', '256K', '512K', '1M', '2M'];
export const REFCOUNT_BITS = ['1', '2', '4', '8', '16', '32', '64'];
export const COMPRESSION_TYPES = ['zlib', 'zstd'] as const;
export const COMPATS = ['0.10', '1.1'] as const;
export const REPAIRS = ['leaks', 'all'] as const;
