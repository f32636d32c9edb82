/** Pages that an invalidation is for, both included. `whole`: all of a space. */
export interface Span {
  readonly first: number;
  readonly last: number;
  readonly whole?: boolean;
  /** The driver takes it to be of no page: it asks for a block of one at its beginning. */
  readonly overflows?: boolean;
}

/** All pages of all spaces. */
export const EVERYTHING: Span = { first: 0, last: Number.POSITIVE_INFINITY, whole: true };

/** Smallest aligned block of 2^n pages that covers a span. */
export function covering({ first, last }: Span): Span {
  let size = 1;
  while (Math.floor(first / size) !== Math.floor(last / size)) size *= 2;
  const start = Math.floor(first / size) * size;
  return { first: start, last: start + size - 1 };
}

/** The fewest aligned blocks that a span is made of, the largest that fits first at each place. */
export function blocksOf({ first, last }: Span): Span[] {
  const blocks: Span[] = [];
  for (let page = first; page <= last; page = blocks.at(-1)!.last + 1) {
    let size = 1;
    while (page % (size * 2) === 0 && page + size * 2 - 1 <= last) size *= 2;
    blocks.push({ first: page, last: page + size - 1 });
  }
  return blocks;
}

/** What hardware makes of a first page and the rounded-up number of pages: the block is aligned, so it may fall short. */
export function rounded({ first, last }: Span): Span {
  let size = 1;
  while (size < last - first + 1) size *= 2;
  const start = Math.floor(first / size) * size;
  return { first: start, last: start + size - 1 };
}
