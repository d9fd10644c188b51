/** The blocks of a region along their dominator tree, and the labels that branches between them go to. */
import { OP } from '../encoder.ts';
import type { ControlFlow } from './control-flow.ts';
import { ExitLowering } from './exit-lowering.ts';
import { ROUNDS } from './small-loops.ts';

/** A short loop whose rounds are written out. */
interface Round {
  readonly header: number;
  /** This one, and those still to come. */
  readonly left: number;
}

export abstract class TreeLowering extends ExitLowering {
  protected abstract readonly flow: ControlFlow;
  /** Where branches to loop headers and merge points go, by block. */
  readonly #labels = new Map<number, number>();
  #round: Round | undefined;

  /** The code of one block. */
  protected abstract blockCode(n: number): void;

  /** The code of a block and of all that it dominates. */
  protected tree(n: number): void {
    const { isLoopHeader } = this.flow.structure;
    const merges = this.#mergesUnder(n);
    if (!isLoopHeader[n]) {
      this.#within(n, merges);
      return;
    }
    const outer = this.#round;
    this.#round = this.flow.loops.has(n) ? { header: n, left: ROUNDS } : undefined;
    this.open(OP.loop);
    this.#labels.set(n, this.depth);
    this.#within(n, merges);
    this.close();
    this.#round = outer;
  }
  #mergesUnder(n: number): number[] {
    const { children, isMerge } = this.flow.structure;
    return children[n].filter((c) => isMerge[c]);
  }
  /** `merges`: blocks that follow, the last in reverse postorder first; those before `from` are open. */
  #within(n: number, merges: readonly number[], from = 0): void {
    if (from === merges.length) {
      this.blockCode(n);
      return;
    }
    const outer = merges[from];
    this.open(OP.block);
    this.#labels.set(outer, this.depth);
    this.#within(n, merges, from + 1);
    this.close();
    this.tree(outer);
  }

  /** A branch from one to the other starts a round of a loop that is not its first. */
  protected goesBack(from: number, to: number): boolean {
    const { order } = this.flow.structure;
    return order[to] <= order[from];
  }
  /** Such a branch, but the round is written behind the one before. */
  protected goesOn(to: number): boolean {
    return this.#round !== undefined && this.#round.header === to && this.#round.left > 1;
  }
  /** From the end of one block to another. */
  protected goTo(from: number, to: number): void {
    if (this.goesOn(to)) this.#again(this.#round!);
    else if (this.goesBack(from, to) || this.flow.structure.isMerge[to]) this.br(this.#labels.get(to)!);
    else this.tree(to);
  }
  #again({ header, left }: Round): void {
    const members = this.flow.loops.get(header)!;
    const outer = { labels: [...this.#labels], round: this.#round };
    this.#round = { header, left: left - 1 };
    this.#within(
      header,
      this.#mergesUnder(header).filter((n) => members.has(n)),
    );
    this.#round = outer.round;
    for (const [n, label] of outer.labels) this.#labels.set(n, label);
  }
}
