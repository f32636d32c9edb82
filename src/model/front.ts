/** Cost against exposure: which of several runs no other beats in both. */
import type { Verdict } from './result.ts';

/** For how long a device could have used pages no longer its own, all pages together, in ns; infinite where that never ends. */
export function exposureOf(verdict: Verdict, { count, sum }: { readonly count: number; readonly sum: number }): number {
  return verdict !== 'safe' && count === 0 ? Number.POSITIVE_INFINITY : sum;
}

/** What a run is weighed by; only runs of one group are weighed against each other. */
export interface Weight {
  readonly group: string;
  readonly cost: number;
  readonly exposure: number;
}

/** Those that no other of their group beats, the cheapest first; groups in the order in which they first appear. */
export function frontOf<T>(all: readonly T[], weigh: (one: T) => Weight): T[] {
  const weighed = all.map((one) => ({ one, ...weigh(one) }));
  return [...new Set(weighed.map(({ group }) => group))].flatMap((name) => {
    const front: typeof weighed = [];
    const mine = weighed.filter(({ group }) => group === name);
    for (const next of mine.sort((a, b) => a.cost - b.cost || compare(a.exposure, b.exposure))) {
      const last = front.at(-1);
      const same = last?.cost === next.cost && last.exposure === next.exposure;
      if (last === undefined || same || next.exposure < last.exposure) front.push(next);
    }
    return front.map(({ one }) => one);
  });
}

/** Infinities are equal, which their difference does not say. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a - b;
}
