// Several consumers of one mm: each has an IOMMU, a device and counters of its own, which many files keep in globals. These
// are banked, as registers of a CPU are: the globals of one consumer are in hand, those of the others lie in memory. With one
// consumer nothing is ever exchanged.

/** Consumers of one mm at most. */
export const MAX_CONSUMERS: u32 = 8;

/** How many there are, and whose globals are in hand. */
export let banks: u32 = 1;
export let bank: u32 = 0;

let mine: usize = 0;
let theirs: usize = 0;

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

/** From here on `swap` puts globals down from `to` on, and takes up those that lie from `from` on, in the same order. */
export function beginSwap(to: usize, from: usize): void {
  mine = to;
  theirs = from;
}
/** Puts a global of the one consumer down, and gives the other's. */
@inline
export function swap<T>(value: T): T {
  store<T>(mine, value);
  mine += 8;
  theirs += 8;
  return load<T>(theirs - 8);
}
