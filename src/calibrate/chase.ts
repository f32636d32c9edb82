/** Pointer chases: loads each of whose address is the value of the one before, so that nothing can overlap. */

const LINE_WORDS = 16;
const PAGE_WORDS = 1024;

/** A ring of words that a chase goes round; every word holds the index of the next. */
export interface Ring {
  readonly words: Int32Array;
  readonly start: number;
  readonly length: number;
}

/** One word in each of `bytes / 64` lines that lie side by side, in random order. */
export function lineRing(bytes: number): Ring {
  const lines = bytes / 64;
  return ring(
    new Int32Array(lines * LINE_WORDS),
    Array.from({ length: lines }, (_, i) => i * LINE_WORDS),
  );
}

/** One line in each of `pages` pages, each line in another set of the data cache, in random order. */
export function pageRing(pages: number): Ring {
  const lines = PAGE_WORDS / LINE_WORDS;
  return ring(
    new Int32Array(pages * PAGE_WORDS),
    Array.from({ length: pages }, (_, i) => i * PAGE_WORDS + (i % lines) * LINE_WORDS),
  );
}

/** Random order, so that no prefetcher knows the next: a cyclic permutation (S. Sattolo, 1986). */
function ring(words: Int32Array, places: readonly number[]): Ring {
  const order = [...places];
  let state = 0x9e3779b9;
  for (let i = order.length - 1; i > 0; i--) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    const other = (state >>> 0) % i;
    const held = order[i]!;
    order[i] = order[other]!;
    order[other] = held;
  }
  for (let i = 0; i < places.length; i++) words[places[i]!] = order[i]!;
  return { words, start: places[0]!, length: places.length };
}

/** Nanoseconds of one load of `steps` loads. */
export function chase({ words, start }: Ring, steps: number, now: () => number): number {
  let at = start;
  const begin = now();
  for (let i = 0; i < steps; i++) at = words[at]!;
  const end = now();
  // A loop without an outcome would be dropped.
  if (at < 0) throw new Error('left the ring');
  return ((end - begin) * 1e6) / steps;
}
