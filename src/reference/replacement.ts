import type { CacheShape, Replacement } from '../model/tlb.ts';

/** Judges the ways of one set: which makes room when all are taken. */
export interface Judge {
  used(way: number): void;
  filled(way: number): void;
  victim(): number;
}

/** A judge of a set of this shape. `random` is the cache's, for all its sets. */
export function judgeOf({ replacement, ways }: CacheShape, random: Random): Judge {
  const judges: Record<Replacement, () => Judge> = {
    lru: () => new Stamps(ways, true),
    fifo: () => new Stamps(ways, false),
    plru: () => new Tree(ways),
    random: () => ({ used: () => {}, filled: () => {}, victim: () => random.below(ways) }),
    srrip: () => new Predictions(ways),
    lfu: () => new Counts(ways),
  };
  return judges[replacement]();
}

/** The oldest stamp goes: of the last use, or of the fill. */
class Stamps implements Judge {
  private now = 0;
  private readonly stamps: number[];

  constructor(
    ways: number,
    private readonly byUse: boolean,
  ) {
    this.stamps = new Array<number>(ways).fill(0);
  }

  used(way: number): void {
    if (this.byUse) this.filled(way);
  }
  filled(way: number): void {
    this.stamps[way] = ++this.now;
  }
  victim(): number {
    return this.stamps.indexOf(Math.min(...this.stamps));
  }
}

/** A tree of halves, the left one never the larger; each points at the half that was not used last, at first to the left. */
class Tree implements Judge {
  private readonly halves: readonly [Tree, Tree] | null;
  private next = 0;
  private readonly left: number;

  constructor(ways: number) {
    this.left = Math.floor(ways / 2);
    this.halves = ways === 1 ? null : [new Tree(this.left), new Tree(ways - this.left)];
  }

  used(way: number): void {
    if (this.halves === null) return;
    const half = way < this.left ? 0 : 1;
    this.next = 1 - half;
    this.halves[half].used(way - half * this.left);
  }
  filled(way: number): void {
    this.used(way);
  }
  victim(): number {
    return this.halves === null ? 0 : this.next * this.left + this.halves[this.next]!.victim();
  }
}

/** SRRIP-HP with two bits (Jaleel et al., ISCA 2010, figure 3). */
class Predictions implements Judge {
  private values: number[];

  constructor(ways: number) {
    this.values = new Array<number>(ways).fill(3);
  }

  used(way: number): void {
    this.values[way] = 0;
  }
  filled(way: number): void {
    this.values[way] = 2;
  }
  victim(): number {
    while (!this.values.includes(3)) this.values = this.values.map((value) => value + 1);
    return this.values.indexOf(3);
  }
}

/** The fewest accesses since the fill. */
class Counts implements Judge {
  private readonly counts: number[];

  constructor(ways: number) {
    this.counts = new Array<number>(ways).fill(0);
  }

  used(way: number): void {
    this.counts[way]!++;
  }
  filled(way: number): void {
    this.counts[way] = 1;
  }
  victim(): number {
    return this.counts.indexOf(Math.min(...this.counts));
  }
}

/** Marsaglia's xorshift32; the state begins at the seed times the golden ratio, made odd. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = (Math.imul(seed, 0x9e3779b1) | 1) >>> 0;
  }

  /** An integer of 0 .. `end` - 1. */
  below(end: number): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return Math.floor((this.state * end) / 2 ** 32);
  }
}
