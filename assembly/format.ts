// Page-table formats: what one entry says at one level. x86-64 (Intel SDM vol. 3A, 4.5; AMD v2 tables are the same), VT-d
// first stage (VT-d 9.7), VT-d second stage (VT-d 9.8), AMD v1 (publication 48882, 2.2.3). Levels count from 1 here, as
// the specifications and their tables do; level 1 holds leaves of 4 KiB.

export const FORMAT_X86: u32 = 0;
export const FORMAT_FIRST: u32 = 1;
export const FORMAT_SECOND: u32 = 2;
export const FORMAT_AMD_V1: u32 = 3;

// What of a format depends on the machine or on the context.
export const HAS_XD: u32 = 1; //        EFER.NXE, PASID entry NXE: bit 63 forbids execution; otherwise it is reserved
export const HAS_2M: u32 = 2; //        CAP.SLLPS bit 0
export const HAS_1G: u32 = 4; //        CPUID.1GB, CAP.FL1GP, CAP.SLLPS bit 1
export const HAS_SNOOP: u32 = 8; //     ECAP.SC: bit 11 of a second-stage leaf
export const HAS_DEVICE_TLB: u32 = 16; // ECAP.DT: bit 62 of a second-stage leaf
export const SETS_ACCESSED: u32 = 32; // walks write A
export const SETS_DIRTY: u32 = 64; //   walks write D
export const SETS_EXTENDED: u32 = 128; // PASID entry EAFE: walks write EA, bit 10 of a first-stage entry
export const PROTECTS_SUPERVISOR: u32 = 256; // CR0.WP, PASID entry WPE: W binds supervisors, too

/** A format with its parameters. */
@unmanaged
export class Format {
  rules: u32; //    FORMAT_*
  levels: u32;
  width: u32; //    bits of a physical address: MAXPHYADDR, HAW
  features: u32; // HAS_*, SETS_*, PROTECTS_*
}

// What a path of entries grants, ANDed on the way.
export const GRANTS_READ: u32 = 1;
export const GRANTS_WRITE: u32 = 2;
export const GRANTS_EXECUTE: u32 = 4;
export const GRANTS_USER: u32 = 8;
export const GRANTS_ALL: u32 = 15;

export const ENTRY_ABSENT: u32 = 0;
export const ENTRY_TABLE: u32 = 1;
export const ENTRY_LEAF: u32 = 2;
export const ENTRY_RESERVED: u32 = 3; //  a reserved bit is set
export const ENTRY_BAD_LEVEL: u32 = 4; // AMD v1: a table of the same level or above, or a leaf that the level cannot have

// The entry decoded last.
export let entryKind: u32 = 0;
export let entryAddress: u64 = 0; // of the next table, or first of the leaf's frame
export let entryLevel: u32 = 0; //   of the next table
export let entryOrder: u32 = 0; //   log2 of a leaf's 4 KiB pages
export let entryGrants: u32 = 0;

const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const BIT_63: u64 = 1 << 63;
const ACCESSED: u64 = 1 << 5; // x86 and AMD v1
const DIRTY: u64 = 1 << 6;
const EXTENDED: u64 = 1 << 10;
const SECOND_ACCESSED: u64 = 1 << 8;
const SECOND_DIRTY: u64 = 1 << 9;

/** log2 of the pages that one entry at a level covers. */
@inline
export function orderAt(level: u32): u32 {
  return 9 * (level - 1);
}

/** Decodes an entry at `level` into `entryKind` and the values beside it. */
export function decodeEntry(format: Format, level: u32, entry: u64): void {
  entryLevel = level - 1;
  entryOrder = orderAt(level);
  entryAddress = entry & ADDRESS;
  if (format.rules == FORMAT_AMD_V1) decodeAmd(format, level, entry);
  else if (format.rules == FORMAT_SECOND) decodeSecond(format, level, entry);
  else decodeX86(format, level, entry);
}

/** Address bits that the machine does not have. */
@inline
function tooWide(format: Format): u64 {
  return ADDRESS & ~((<u64>1 << format.width) - 1);
}
/** Address bits below the frame of a leaf at a level, from `lowest` up. */
@inline
function below(level: u32, lowest: u32): u64 {
  return ((<u64>1 << (12 + orderAt(level))) - 1) & ~((<u64>1 << lowest) - 1);
}
/** Whether the machine has leaves at a level. */
@inline
function hasLeaves(format: Format, level: u32): bool {
  return level == 1 || (level == 2 && (format.features & HAS_2M) != 0) || (level == 3 && (format.features & HAS_1G) != 0);
}

function decodeX86(format: Format, level: u32, entry: u64): void {
  if ((entry & 1) == 0) {
    entryKind = ENTRY_ABSENT;
    entryGrants = 0;
    return;
  }
  entryGrants =
    GRANTS_READ |
    ((entry & 2) != 0 ? GRANTS_WRITE : 0) |
    ((entry & 4) != 0 ? GRANTS_USER : 0) |
    ((entry & BIT_63) == 0 ? GRANTS_EXECUTE : 0);
  const large = level > 1 && (entry & 0x80) != 0;
  let reserved = tooWide(format);
  if ((format.features & HAS_XD) == 0) reserved |= BIT_63;
  if (large) {
    if (!hasLeaves(format, level)) reserved |= 0x80;
    else {
      reserved |= below(level, 13); // bit 12 is PAT
      entryAddress &= ~below(level, 12);
    }
  }
  entryKind = (entry & reserved) != 0 ? ENTRY_RESERVED : level == 1 || large ? ENTRY_LEAF : ENTRY_TABLE;
}

function decodeSecond(format: Format, level: u32, entry: u64): void {
  entryGrants =
    ((entry & 1) != 0 ? GRANTS_READ : 0) | ((entry & 2) != 0 ? GRANTS_WRITE : 0) | ((entry & 4) != 0 ? GRANTS_EXECUTE : 0);
  // There is no present bit; execution alone makes no entry present.
  if ((entryGrants & (GRANTS_READ | GRANTS_WRITE)) == 0) {
    entryKind = ENTRY_ABSENT;
    return;
  }
  const large = level > 1 && (entry & 0x80) != 0;
  const leaf = level == 1 || large;
  let reserved = tooWide(format);
  if (!leaf || (format.features & HAS_SNOOP) == 0) reserved |= 0x800;
  if (leaf && (format.features & HAS_DEVICE_TLB) == 0) reserved |= 1 << 62;
  if (large) reserved |= hasLeaves(format, level) ? below(level, 12) : 0x80;
  entryKind = (entry & reserved) != 0 ? ENTRY_RESERVED : leaf ? ENTRY_LEAF : ENTRY_TABLE;
}

function decodeAmd(format: Format, level: u32, entry: u64): void {
  const next = <u32>(entry >> 9) & 7;
  entryGrants = ((entry >> 61) & 1 ? GRANTS_READ : 0) | ((entry >> 62) & 1 ? GRANTS_WRITE : 0) | GRANTS_EXECUTE | GRANTS_USER;
  if ((entry & 1) == 0) {
    entryKind = ENTRY_ABSENT;
    entryGrants = 0;
    return;
  }
  if ((entry & tooWide(format)) != 0) {
    entryKind = ENTRY_RESERVED;
    return;
  }
  if (next != 0 && next != 7) {
    entryLevel = next;
    entryKind = next < level ? ENTRY_TABLE : ENTRY_BAD_LEVEL;
    return;
  }
  if (next == 7) {
    // Ones from bit 12 up give the size.
    const order = <u32>ctz(~(entry >> 12)) + 1;
    if (order <= orderAt(level) || order >= orderAt(level + 1)) {
      entryKind = ENTRY_BAD_LEVEL;
      return;
    }
    entryOrder = order;
  }
  entryAddress &= ~(((<u64>1 << entryOrder) - 1) << 12);
  entryKind = level < 6 ? ENTRY_LEAF : ENTRY_BAD_LEVEL;
}

// What else an entry says: bits of `marksOf`.
export const MARK_ACCESSED: u32 = 1;
export const MARK_DIRTY: u32 = 2;
export const MARK_GLOBAL: u32 = 4;
export const MARK_PAT: u32 = 8;
export const MARK_EXTENDED: u32 = 16; //  first stage: extended access
export const MARK_SNOOP: u32 = 32; //     second stage
export const MARK_TRANSIENT: u32 = 64; // second stage
export const MARK_COHERENT: u32 = 128; // AMD v1: FC
export const MARK_USED: u32 = 256; //     AMD v1: U
export const MARK_EXECUTE: u32 = 512; //  second stage: X

@inline
function mark(entry: u64, bit: u32, value: u32): u32 {
  return ((entry >> bit) & 1) != 0 ? value : 0;
}
/** Marks of an entry at a level. */
export function marksOf(format: Format, level: u32, entry: u64): u32 {
  if (format.rules == FORMAT_SECOND) {
    return (
      mark(entry, 8, MARK_ACCESSED) | mark(entry, 9, MARK_DIRTY) | mark(entry, 11, MARK_SNOOP) | mark(entry, 62, MARK_TRANSIENT) |
      mark(entry, 2, MARK_EXECUTE)
    );
  }
  const both = mark(entry, 5, MARK_ACCESSED) | mark(entry, 6, MARK_DIRTY);
  if (format.rules == FORMAT_AMD_V1) return both | mark(entry, 60, MARK_COHERENT) | mark(entry, 59, MARK_USED);
  const more = format.rules == FORMAT_FIRST ? mark(entry, 10, MARK_EXTENDED) : 0;
  return both | more | mark(entry, 8, MARK_GLOBAL) | mark(entry, level == 1 ? 7 : 12, MARK_PAT);
}

/** The entry as a walk that uses it writes it back: with A, and as the leaf of a write with D. */
export function marked(format: Format, entry: u64, leaf: bool, write: bool): u64 {
  const second = format.rules == FORMAT_SECOND;
  let value = entry;
  // AMD v1 knows both of leaves only.
  if ((format.features & SETS_ACCESSED) != 0 && (leaf || format.rules != FORMAT_AMD_V1)) {
    value |= second ? SECOND_ACCESSED : ACCESSED;
  }
  if ((format.features & SETS_EXTENDED) != 0) value |= EXTENDED;
  if (leaf && write && (format.features & SETS_DIRTY) != 0) value |= second ? SECOND_DIRTY : DIRTY;
  return value;
}

/** Whether a write through the leaf has to set its D bit first. */
@inline
export function isClean(format: Format, leaf: u64): bool {
  return (format.features & SETS_DIRTY) != 0 && (leaf & (format.rules == FORMAT_SECOND ? SECOND_DIRTY : DIRTY)) == 0;
}

/** Whether a table of the format's levels reaches the address: x86 addresses are sign-extended, others have zeros above. */
export function reaches(format: Format, address: u64): bool {
  const bits = 12 + 9 * format.levels;
  if (bits >= 64) return true;
  if (format.rules == FORMAT_X86 || format.rules == FORMAT_FIRST) {
    const up = 64 - bits;
    return <u64>((<i64>(address << up)) >> up) == address;
  }
  return address >> bits == 0;
}

/** An entry that names the table of a level, and takes nothing away. It has been used. */
export function tableEntry(format: Format, level: u32, address: u64): u64 {
  if (format.rules == FORMAT_SECOND) return address | 3;
  if (format.rules == FORMAT_AMD_V1) return address | (<u64>level << 9) | (<u64>3 << 61) | 1;
  return address | ACCESSED | 7;
}
/** An entry of a page of a user; `large`: not at the lowest level. */
export function leafEntry(format: Format, address: u64, large: bool, writable: bool, accessed: bool, dirty: bool): u64 {
  const second = format.rules == FORMAT_SECOND;
  const marks =
    (accessed ? (second ? SECOND_ACCESSED : ACCESSED) : 0) |
    (dirty ? (second ? SECOND_DIRTY : DIRTY) : 0) |
    (large && format.rules != FORMAT_AMD_V1 ? 0x80 : 0);
  if (second) return address | marks | (writable ? 3 : 1);
  if (format.rules == FORMAT_AMD_V1) return address | marks | (<u64>(writable ? 3 : 1) << 61) | 1;
  return address | marks | (writable ? 7 : 5);
}
