/** What a static build fetches at need: `scripts/build-web.ts` makes it and tells the worker. */

/** A file beside the page, and its size as it is fetched. */
export interface Asset {
  readonly file: string;
  readonly size: number;
}

export interface Assets {
  /** The engine's own code, packed by gzip. */
  readonly engineCode: Asset;
  readonly guest: {
    readonly kernel: Asset;
    /** Packed by gzip. */
    readonly initrd: Asset;
  };
}
