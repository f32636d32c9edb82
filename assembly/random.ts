// The one generator: xorshift32 (Marsaglia 2003), seeded by the host. The state lives in the arena with the rest.
import { region } from './layout';

let state: usize = 0; // u32

export function initRandom(seed: u32): void {
  state = region(4);
  store<u32>(state, seed * 0x9e3779b1 | 1);
}

/** The next 32 bits. */
export function random(): u32 {
  let x = load<u32>(state);
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  store<u32>(state, x);
  return x;
}

/** u32[256]: quantiles of the exponential distribution of mean 1, times 65536; from the host, which rounds them once. */
let quantiles: usize = 0;

export function initQuantiles(): usize {
  quantiles = region(256 << 2);
  return quantiles;
}

/** A duration, exponentially distributed about `mean`. */
export function exponential(mean: u64): u64 {
  return (mean * <u64>load<u32>(quantiles + (<usize>(random() >> 24) << 2))) >> 16;
}
