/**
 * Registers that hardly any block uses stay in memory. In a local, such a one would be alive all through the region: saved at every call,
 * brought together with what it is elsewhere at every exit. The host's compiler takes time for all of that.
 */
import type { ControlFlow } from './control-flow.ts';
import { isGeneral, isVector, type Use } from './registers-used.ts';
import { loopsOf } from './structure.ts';

/** A register is used rarely in a loop where less than one in so many of its blocks uses it. */
const RARELY = 4;

/** The general and vector registers, by their offsets, that are used rarely in all loops, and in the region. `uses`: of each block. */
export function rareRegisters(
  uses: readonly Use[],
  { graph, structure }: Pick<ControlFlow, 'graph' | 'structure'>,
): ReadonlySet<number> {
  const loops: readonly ReadonlySet<number>[] = [new Set(uses.keys()), ...loopsOf(graph, structure)];
  const rare = new Set<number>();
  for (const [register, users] of usersOf(uses)) if (loops.every((loop) => isRare(users, loop))) rare.add(register);
  return rare;
}

/** The blocks that use each register. */
function usersOf(uses: readonly Use[]): ReadonlyMap<number, ReadonlySet<number>> {
  const users = new Map<number, Set<number>>();
  for (const [n, { read, written }] of uses.entries()) {
    for (const offset of [...read, ...written]) {
      if (!isGeneral(offset) && !isVector(offset)) continue;
      const known = users.get(offset);
      if (known === undefined) users.set(offset, new Set([n]));
      else known.add(n);
    }
  }
  return users;
}

function isRare(users: ReadonlySet<number>, loop: ReadonlySet<number>): boolean {
  let used = 0;
  for (const n of users) if (loop.has(n)) used++;
  return used * RARELY < loop.size;
}
