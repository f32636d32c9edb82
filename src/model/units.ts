/** Units. One time unit inside: integer picoseconds, exact in a double up to 2.5 hours. */

/** log2 of the base page size, 4 KiB. */
export const PAGE_SHIFT = 12;
export const PAGE_BYTES = 1 << PAGE_SHIFT;
export const PS_PER_NS = 1000;

/** Page sizes of the command line and their log2. */
export const PAGE_SIZES = { '4K': 12, '16K': 14, '64K': 16, '2M': 21, '1G': 30 } as const;
export type PageSize = keyof typeof PAGE_SIZES;

/** Page number of the byte `offset` past a hexadecimal address. The low 12 bits are split off as text: no BigInt. */
export function vpnOfHex(address: string, offset: number): number {
  const page = address.length > 3 ? Number.parseInt(address.slice(0, -3), 16) : 0;
  return page + Math.floor((Number.parseInt(address.slice(-3), 16) + offset) / PAGE_BYTES);
}

/** `0x` and the address of the first byte of page `vpn`. */
export function hexOfVpn(vpn: number): string {
  return `0x${vpn === 0 ? '0' : `${vpn.toString(16)}000`}`;
}
