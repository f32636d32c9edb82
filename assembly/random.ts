// The one generator: xorshift32 (Marsaglia 2003), seeded by the host. States live in the arena with the rest: one of each
// device, and one in each cache, so that nobody changes what another draws.
import { region } from './layout';

/** Puts the state at `at` to its beginning. */
export function seedState(at: usize, seed: u32): void {
  store<u32>(at, seed * 0x9e3779b1 | 1);
}

/** The next 32 bits of the state at `at`. */
export function draw(at: usize): u32 {
  let x = load<u32>(at);
  x ^= x << 13;
  x ^= x >> 17;
  x ^= x << 5;
  store<u32>(at, x);
  return x;
}

/** u32[256]: quantiles of the exponential distribution of mean 1, times 65536; from the host, which rounds them once. */
let quantiles: usize = 0;

export function initQuantiles(): usize {
  quantiles = region(256 << 2);
  return quantiles;
}

/** A duration, exponentially distributed about `mean`, drawn from the state at `at`. */
export function exponential(at: usize, mean: u64): u64 {
  return (mean * <u64>load<u32>(quantiles + (<usize>(draw(at) >> 24) << 2))) >> 16;
}
