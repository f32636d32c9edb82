/** Bounds of the trace format and of what readers accept. A file beyond one is refused with its name, never truncated. */

/** Pages of one trace: 27 bits of a record's head (512 GiB of 4 KiB pages). */
export const MAX_PAGES = 1 << 27;
/** Records of one chunk. */
export const CHUNK_RECORDS = 1 << 16;
/** Fetches, or data accesses, of one run: a u16 column. A longer run is continued by a record of the same page. */
export const MAX_RUN = 0xffff;
/** Uncompressed bytes of one chunk; a header that says more is corrupt or hostile. */
export const MAX_CHUNK_BYTES = 64 << 20;
/** Agents, and spaces, of one trace. */
export const MAX_AGENTS = 256;
/** Page numbers: 57-bit addresses (Intel SDM vol. 3A, 5-level paging) of 4 KiB pages. */
export const MAX_VPN = 2 ** 45 - 1;
/** Bytes of one line of a foreign text format. */
export const MAX_LINE = 1 << 16;
/** Entries of each TLB of a scheduled trace: a race's are small. */
export const MAX_SCHEDULE_ENTRIES = 64;
