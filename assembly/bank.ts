// Several consumers of one mm: each has an IOMMU, a device and counters of its own, which many files keep in globals. These
// are banked, as registers of a CPU are: the globals of one consumer are in hand, those of the others lie in memory. With one
// consumer nothing is ever exchanged.

/** Consumers of one mm at most. */
export const MAX_CONSUMERS: u32 = 8;

/** How many there are, and whose globals are in hand. */
export let banks: u32 = 1;
export let bank: u32 = 0;

/** Bytes of what one consumer has in the globals of a part of the engine, at most, and of what all have. */
const BANK_BYTES: usize = 32 * 8;
export const KEPT_BYTES: i32 = <i32>MAX_CONSUMERS * <i32>BANK_BYTES;

let mine: usize = 0;
let theirs: usize = 0;
let end: usize = 0;

export function resetBanks(): void {
  banks = 1;
  bank = 0;
}
/** One more consumer. */
export function addBank(): u32 {
  assert(banks < MAX_CONSUMERS);
  return banks++;
}
export function takeBank(next: u32): void {
  bank = next;
}

/** From here on `swap` puts the globals of a consumer down in `kept`, KEPT_BYTES, and takes up those of the next, in the same order. */
export function beginSwap(kept: usize, last: u32, next: u32): void {
  assert(next < MAX_CONSUMERS);
  mine = kept + <usize>last * BANK_BYTES;
  theirs = kept + <usize>next * BANK_BYTES;
  end = mine + BANK_BYTES;
}
/** Puts a global of the one consumer down, and gives the other's. */
@inline
export function swap<T>(value: T): T {
  assert(mine < end);
  store<T>(mine, value);
  mine += 8;
  theirs += 8;
  return load<T>(theirs - 8);
}
