/** Units. One time unit inside: integer picoseconds, exact in a double up to 2.5 hours. */

/** log2 of the base page size, 4 KiB. */
export const PAGE_SHIFT = 12;
export const PAGE_BYTES = 1 << PAGE_SHIFT;
export const PS_PER_NS = 1000;

/** Page sizes of the command line and their log2. */
export const PAGE_SIZES = { '4K': 12, '16K': 14, '64K': 16, '2M': 21, '1G': 30 } as const;
export type PageSize = keyof typeof PAGE_SIZES;
