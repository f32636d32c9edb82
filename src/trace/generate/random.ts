/** -ln of the middle of each 256th of 0..1, in 65536ths: quantiles of the exponential distribution with mean 1. */
const QUANTILES = Uint32Array.from({ length: 256 }, (_, i) => Math.round(-Math.log((i + 0.5) / 256) * 65536));

/** Seeded random numbers: xorshift32 (Marsaglia 2003), as in assembly/random.ts. The same on every host. */
export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = (Math.imul(seed, 0x85ebca6b) | 1) >>> 0;
  }

  /** A whole number of 1..2^32-1. */
  next(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x >>> 0;
    return this.state;
  }

  /** A whole number of 0..`bound`-1; `bound` at most 2^32. */
  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound);
  }

  /** A whole number of `least`..`most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True with probability `share`, 0..1. */
  chance(share: number): boolean {
    return this.next() < share * 2 ** 32;
  }

  /** Exponentially distributed around `mean`, rounded to whole units. */
  around(mean: number): number {
    return Math.round((mean * QUANTILES[this.next() >>> 24]!) / 65536);
  }
}
