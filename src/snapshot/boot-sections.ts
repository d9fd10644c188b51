/** What the machine booted from, which it needs again when the guest restarts. */
import * as z from 'zod/mini';
import type { BootModule, BootSource } from '../boot/source.ts';
import { MOST_CONTENT } from './container.ts';
import { parseJson, toJson } from './description.ts';
import { snapshotProblem } from './problem.ts';
import { joined } from './streams.ts';

const saved = z.strictObject({
  name: z.string().check(z.maxLength(4096)),
  length: z.int().check(z.minimum(0), z.maximum(2 ** 31)),
  /** The file of this role of the Linux that comes with Trapeze: not in the snapshot. */
  embedded: z.nullable(z.enum(['kernel', 'initrd'])),
});
const schema = z.strictObject({
  commandLine: z.string().check(z.maxLength(65_536)),
  kernel: saved,
  initrds: z.array(saved).check(z.maxLength(64)),
});
type SavedBoot = z.output<typeof schema>;
type SavedModule = z.output<typeof saved>;

export type EmbeddedRole = 'kernel' | 'initrd';
/** Says which modules every Trapeze has. */
export type EmbeddedModules = ReadonlyMap<BootModule, EmbeddedRole>;

/** Says what there is. */
export function bootDescription({ commandLine, kernel, initrds }: BootSource, embedded: EmbeddedModules): Uint8Array {
  const describe = (module: BootModule): SavedModule => ({
    name: module.name,
    length: module.bytes.length,
    embedded: embedded.get(module) ?? null,
  });
  return toJson({ commandLine, kernel: describe(kernel), initrds: initrds.map(describe) } satisfies SavedBoot);
}

/** The bytes of modules that are not embedded, one behind the other. */
export function* fileSections({ kernel, initrds }: BootSource, embedded: EmbeddedModules): Generator<Uint8Array> {
  for (const module of [kernel, ...initrds]) {
    if (embedded.has(module)) continue;
    for (let at = 0; at < module.bytes.length; at += MOST_CONTENT) yield module.bytes.subarray(at, at + MOST_CONTENT);
  }
}

/** Gathers the bytes again. */
export class SavedBootSource {
  readonly #saved: SavedBoot;
  readonly #pieces: Uint8Array[] = [];
  #missing: number;

  /** @throws UserError when `description` is none. */
  constructor(description: Uint8Array) {
    const parsed = schema.safeParse(parseJson(description));
    if (!parsed.success) throw snapshotProblem('what it booted from is described wrongly');
    this.#saved = parsed.data;
    this.#missing = this.#modules.reduce((sum, { length, embedded }) => sum + (embedded === null ? length : 0), 0);
  }

  get commandLine(): string {
    return this.#saved.commandLine;
  }
  get usesEmbedded(): boolean {
    return this.#modules.some(({ embedded }) => embedded !== null);
  }
  get #modules(): readonly SavedModule[] {
    return [this.#saved.kernel, ...this.#saved.initrds];
  }

  add(content: Uint8Array): void {
    this.#missing -= content.length;
    if (this.#missing < 0) throw snapshotProblem('what it booted from is too long');
    this.#pieces.push(content);
  }

  /** @throws UserError when some are missing. */
  finish(): void {
    if (this.#missing > 0) throw snapshotProblem('some of what it booted from is missing');
  }

  /** The source, and which of its modules are embedded; `embeddedBytes` has those that this Trapeze has. */
  source(embeddedBytes: (role: EmbeddedRole) => Uint8Array): { boot: BootSource; embedded: EmbeddedModules } {
    const bytes = joined(
      this.#pieces,
      this.#pieces.reduce((sum, piece) => sum + piece.length, 0),
    );
    const embedded = new Map<BootModule, EmbeddedRole>();
    let at = 0;
    const restore = ({ name, length, embedded: role }: SavedModule): BootModule => {
      const module = { name, bytes: role === null ? bytes.subarray(at, at + length) : embeddedBytes(role) };
      if (role === null) at += length;
      else embedded.set(module, role);
      return module;
    };
    const kernel = restore(this.#saved.kernel);
    const initrds = this.#saved.initrds.map(restore);
    return { boot: { kernel, initrds, commandLine: this.commandLine }, embedded };
  }
}
