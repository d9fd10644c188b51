/** What a static build fetches at need: `scripts/build-web.ts` makes it and tells the worker. */

/** Where the engine's code is. */
export const ENGINE_SECTION = 'trapeze';

/** A file beside the page, and its size as it is fetched. */
export interface Asset {
  readonly file: string;
  readonly size: number;
}

export interface Assets {
  /** The engine's own code, in a section of a WebAssembly module. */
  readonly engineCode: Asset;
  /** Changes with what code of guests is made by. */
  readonly sources: string;
  readonly guest: {
    readonly kernel: Asset;
    /** Packed by gzip. */
    readonly initrd: Asset;
  };
}
