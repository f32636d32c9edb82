import type { CacheShape } from '../model/tlb.ts';
import { type Judge, judgeOf, Random } from './replacement.ts';

/** The slow twin of the engine's cache: per set the entries, by way, and somebody who judges them. */
export class ReferenceCache<Entry> {
  private readonly lists: { readonly ways: (Entry | undefined)[]; readonly judge: Judge }[];

  constructor(
    private readonly shape: CacheShape,
    seed: number,
    private readonly same: (a: Entry, b: Entry) => boolean,
  ) {
    const random = new Random(seed);
    this.lists = Array.from({ length: shape.sets }, () => ({
      ways: Array.from({ length: shape.ways }, () => undefined),
      judge: judgeOf(shape, random),
    }));
  }

  /** The entry like `wanted` in its set; it has been used. */
  lookup(place: number, wanted: Entry): Entry | undefined {
    const { ways, judge } = this.list(place);
    const way = ways.findIndex((entry) => entry !== undefined && this.same(entry, wanted));
    if (way === -1) return undefined;
    judge.used(way);
    return ways[way];
  }

  /** Puts `entry` into its set; returns the entry that had to go. */
  fill(place: number, entry: Entry): Entry | undefined {
    const { ways, judge } = this.list(place);
    const free = ways.indexOf(undefined);
    const way = free === -1 ? judge.victim() : free;
    const evicted = ways[way];
    ways[way] = entry;
    judge.filled(way);
    return evicted;
  }

  /** Removes all entries that `which` accepts, anywhere; returns them. */
  remove(which: (entry: Entry) => boolean): Entry[] {
    const gone: Entry[] = [];
    for (const { ways } of this.lists) {
      ways.forEach((entry, way) => {
        if (entry === undefined || !which(entry)) return;
        gone.push(entry);
        ways[way] = undefined;
      });
    }
    return gone;
  }

  private list(place: number) {
    return this.lists[place % this.shape.sets]!;
  }
}
