import { MAX_VPN } from '../../model/limits.ts';

/** Addresses of foreign formats: 64 bits, which a double does not hold, as page number and offset. */

/** Page number and offset of an address. */
export interface Place {
  readonly page: number;
  readonly offset: number;
}

/** Page number and offset of hexadecimal digits, of any number that `Number.parseInt` takes. */
export function splitHex(hex: string): Place {
  return {
    page: hex.length > 3 ? Number.parseInt(hex.slice(0, -3), 16) : 0,
    offset: Number.parseInt(hex.slice(-3), 16),
  };
}

/** Page number and offset of a number as valgrind prints it: decimal, or hexadecimal behind `0x`. */
export function splitNumber(number: string): Place {
  if (number.length > 5 && number.startsWith('0x')) return splitHex(number.slice(2));
  const value = Number(number);
  return { page: Math.floor(value / 4096), offset: value - Math.floor(value / 4096) * 4096 };
}

/** Low and high 32 bits of a hexadecimal word. */
export function halves(hex: string): [low: number, high: number] {
  return [Number.parseInt(hex.slice(-8), 16), hex.length > 8 ? Number.parseInt(hex.slice(0, -8), 16) : 0];
}

/** Page number that an address has no place for: it is not canonical. */
export const NO_PAGE = -1;

/**
 * Page number of a 64-bit virtual address given by halves. Of an address in the upper canonical half (a kernel's) the low
 * 57 bits count, which no address of a program has. `NO_PAGE` for any other.
 */
export function pageOf(low: number, high: number): number {
  const page = (high & 0x1ff_ffff) * 2 ** 20 + (low >>> 12);
  const sign = high >>> 25;
  return sign === 0 || sign === 0x7f ? page : NO_PAGE;
}

/** Like `pageOf`, of hexadecimal digits without `0x`. */
export function placeOf(hex: string): Place {
  const [low, high] = halves(hex);
  return { page: pageOf(low, high), offset: low & 0xfff };
}

/** Bytes of one access that any format may state: FXSAVE and the like, and bulk operations, up to 16 pages. */
export const MAX_SIZE = 16 * 4096;

/** How many pages behind its first an access of `size` bytes touches; NO_PAGE if it is empty, too large or beyond 2^57. */
export function pagesBehind({ page, offset }: Place, size: number): number {
  const more = (offset + size - 1) >> 12;
  return page >= 0 && size >= 1 && size <= MAX_SIZE && page + more <= MAX_VPN ? more : NO_PAGE;
}
