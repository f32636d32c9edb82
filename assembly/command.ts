// A 128-bit invalidation command, two u64 words at an arena address, and the one size scheme that PCIe ATS, VT-d's
// device-TLB requests and all of AMD's page commands share.

/** Bytes of a command: a slot of a 128-bit queue, the only width that Linux uses in legacy mode. */
export const COMMAND_BYTES: usize = 16;

// Names in commands. The first space and its device have these; those of DMA domains count up from them.
export const DOMAIN: u32 = 1;
export const SOURCE: u32 = 0x100; // 01:00.0
/** log2 of the page numbers of one DMA domain; the domain's index stands above them. */
export const SPACE_PAGES_LG2: u64 = 40;

const PAGE_MASK: u64 = ~(<u64>0xfff);

@inline
export function word0(at: usize): u64 {
  return load<u64>(at);
}

@inline
export function word1(at: usize): u64 {
  return load<u64>(at, 8);
}

@inline
export function setWords(at: usize, low: u64, high: u64): void {
  store<u64>(at, low);
  store<u64>(at, high, 8);
}

/** Address of the first byte of page `page`. */
@inline
export function addressOf(page: u64): u64 {
  return page << 12;
}

/** Order of an invalidation of the whole address space: 2^52 pages. */
export const ORDER_ALL: u32 = 52;

/**
 * Order of the smallest naturally aligned block that covers `pages` pages from `page` on (Linux
 * drivers/iommu/intel/cache.c calculate_psi_aligned_address; amd/iommu.c build_inv_address gives the same blocks).
 */
export function coveringOrder(page: u64, pages: u64): u32 {
  const last = page + pages - 1;
  return pages <= 1 ? 0 : 64 - <u32>clz(page ^ last);
}

/**
 * log2 of the largest aligned block that begins at a page and ends by `last`: what is invalidated next where no page more may
 * be (Linux 6.1 drivers/iommu/amd/iommu.c amd_iommu_domain_flush_pages with NpCache).
 */
export function blockOrder(page: u64, last: u64): u32 {
  const fits: u32 = 63 - <u32>clz(last - page + 1);
  return page == 0 ? fits : min<u32>(fits, <u32>ctz(page));
}

/** As Linux up to 6.1 rounds: `pages` up to a power of two, whatever the alignment of the first page. */
@inline
export function roundedOrder(pages: u64): u32 {
  return pages <= 1 ? 0 : 64 - <u32>clz(pages - 1);
}

// Address of 2^order pages (PCIe ATS 10.3.2 "S bit"): the address' bit 11 + order is 0, those below it, down to bit 12,
// are 1, and a size bit elsewhere in the word is set. Everything: all ones up to bit 62.
/** Address bits of a block of 2^order pages; the caller adds the size bit where order is above 0. */
export function sizedAddress(page: u64, order: u32): u64 {
  if (order == 0) return addressOf(page);
  if (order >= ORDER_ALL) return 0x7fff_ffff_ffff_f000;
  const address = addressOf(page) & ~((<u64>1 << (12 + order)) - 1);
  return address | (((<u64>1 << (11 + order)) - 1) & PAGE_MASK);
}

/** Order of the block that an address with the size bit set names: 1 + the ones from bit 12 on. */
export function sizedOrder(word: u64): u32 {
  const order = 1 + <u32>ctz(~(word >> 12));
  return order > 51 ? ORDER_ALL : order;
}

/** First page of a block of 2^order pages. */
@inline
export function sizedPage(word: u64, order: u32): u64 {
  return order >= ORDER_ALL ? 0 : ((word >> 12) >> order) << order;
}

/** Order of the largest naturally aligned block at `page` that holds no more than `pages`. */
export function alignedOrder(page: u64, pages: u64): u32 {
  const size = 63 - <u32>clz(pages);
  return page == 0 ? size : min(<u32>ctz(page), size);
}
