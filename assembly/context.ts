// From a request's source (and PASID) to the tables that translate it: VT-d root, context, PASID directory and PASID entry
// (VT-d 9.1-9.6), AMD device table and GCR3 table (48882, 2.2.2). The words of a context entry, a PASID entry or a DTE are
// cached as they were read. Faults are VT-d fault reasons (VT-d 7.1.3), or AMD event codes (48882, 2.5).
import { NO_PASID, tagId } from './block';
import { Cache, ENTRY_SHIFT, ENTRY_V, fill, find, newCache, placeId, removeAt, use } from './cache';
import {
  FORMAT_AMD_V1, FORMAT_FIRST, FORMAT_SECOND, FORMAT_X86, GRANTS_ALL, GRANTS_READ, GRANTS_WRITE, HAS_1G, HAS_2M, HAS_XD,
  PROTECTS_SUPERVISOR, SETS_ACCESSED, SETS_DIRTY, SETS_EXTENDED,
} from './format';
import { Intern, newIntern } from './intern';
import { region } from './layout';
import { wordAt } from './memory';
import { ANY } from './tagged';
import { ASKS_READ, Found, newStage, noteRead, Stage, walk, WALK_OK, Walker } from './walk';

/** What the hardware can do, as far as tables depend on it. */
@unmanaged
export class Capabilities {
  width: u32; //    HAW, or the width of a system physical address
  widths: u32; //   CAP.SAGAW: bit 1 39, bit 2 48, bit 3 57 bits
  first: u32; //    HAS_* of the first stage
  second: u32; //   HAS_*, SETS_* of the second stage
  fiveLevels: u32; // CAP.FL5LP
  guestLevels: u32; // EFR.GATS: of AMD v2 tables
  passThrough: u32; // ECAP.PT
  deviceTable: u32; // 4 KiB pages of AMD's device table
}

/** What a device's requests go through. */
@unmanaged
export class Context {
  first: Stage; //  by PASID; in use if `hasFirst`
  second: Stage; // in use if `hasSecond`
  hasFirst: u32;
  hasSecond: u32;
  domain: u32;
  pasid: u32; //    NO_PASID: entries are tagged by domain alone
  tag: u32; //      of what the IOTLB holds of it
  grants: u32; //   without tables
  supervisor: u32; // 1: supervisor requests are allowed
}

export function newCapabilities(): Capabilities {
  return changetype<Capabilities>(region(offsetof<Capabilities>()));
}
/** A context whose stages have the walk caches of one IOMMU. */
export function newContext(walker: Walker): Context {
  const context = changetype<Context>(region(offsetof<Context>()));
  context.first = newStage();
  context.second = newStage();
  context.first.walker = context.second.walker = walker;
  return context;
}

// VT-d fault reasons.
export const VTD_BAD_ROOT_MODE: u32 = 0x31;
const VTD_ROOT_UNREACHABLE: u32 = 8;
const VTD_ROOT_ABSENT: u32 = 1;
const VTD_ROOT_RESERVED: u32 = 0xa;
const VTD_CONTEXT_UNREACHABLE: u32 = 9;
const VTD_CONTEXT_ABSENT: u32 = 2;
const VTD_CONTEXT_RESERVED: u32 = 0xb;
const VTD_CONTEXT_INVALID: u32 = 3;
const VTD_DIRECTORY_UNREACHABLE: u32 = 0x50;
const VTD_DIRECTORY_ABSENT: u32 = 0x51;
const VTD_DIRECTORY_RESERVED: u32 = 0x52; // assumed
const VTD_PASID_UNREACHABLE: u32 = 0x58;
const VTD_PASID_ABSENT: u32 = 0x59;
const VTD_PASID_INVALID: u32 = 0x5b;
// AMD event codes.
export const AMD_ILLEGAL_DEVICE_ENTRY: u32 = 1;
export const AMD_IO_PAGE_FAULT: u32 = 2;
const AMD_DEVICE_TABLE_ERROR: u32 = 3;
export const AMD_PAGE_TABLE_ERROR: u32 = 4;

/** Words of a structure, as a cache holds them. */
@unmanaged
class Words {
  q0: u64;
  q1: u64;
  q2: u64;
  source: u32;
  pasid: u32; //  ANY: the device's own
  domain: u32; // ANY: the structure names none
}

export let contextCache: Cache = changetype<Cache>(0); // context entries, DTEs
export let pasidCache: Cache = changetype<Cache>(0); //   PASID entries, entries of GCR3 tables
let ids: Intern = changetype<Intern>(0);
let held: usize = 0; // Words[ids]
let count: u32 = 0;
let limit: u32 = 0;
const scratch: Words = changetype<Words>(memory.data(offsetof<Words>()));
const found: Found = changetype<Found>(memory.data(offsetof<Found>()));

/** Caches of `ways` each for `structures` devices and PASIDs. */
export function initContexts(structures: u32, contextWays: u32, pasidWays: u32): void {
  contextCache = newCache(contextWays == 0 ? 0 : 1, contextWays, 0, structures);
  pasidCache = newCache(pasidWays == 0 ? 0 : 1, pasidWays, 0, structures);
  ids = newIntern(structures);
  held = region(<usize>structures * offsetof<Words>());
  count = 0;
  limit = structures;
}
@inline
function wordsOf(id: u32): Words {
  return changetype<Words>(held + <usize>id * offsetof<Words>());
}

/** Words that the cache holds of a source and a PASID, or null. */
function recall(cache: Cache, source: u32, pasid: u32): Words {
  const id = ids.find(source, pasid);
  if (id == 0 || cache.sets == 0) return changetype<Words>(0);
  const at = find(cache, id - 1);
  if (at == 0) return changetype<Words>(0);
  use(cache, cache.set(id - 1), at);
  return wordsOf(id - 1);
}
/** Words at an address; they are read as one. Null: there is no memory. */
function fetch(address: u64, second: bool, third: bool): Words {
  noteRead(address);
  const at = wordAt(address);
  if (at == 0) return changetype<Words>(0);
  scratch.q0 = load<u64>(at);
  scratch.q1 = second ? load<u64>(at, 8) : 0;
  scratch.q2 = third ? load<u64>(at, 16) : 0;
  return scratch;
}
/** The words are good: the cache may have them. */
function keep(cache: Cache, words: Words, source: u32, pasid: u32, domain: u32): void {
  if (cache.sets == 0 || words != scratch) return;
  let id = ids.find(source, pasid);
  if (id == 0) {
    if (count == limit) return;
    id = ids.id(source, pasid, count++) + 1;
    placeId(cache, id - 1, 0);
  }
  const set = cache.set(id - 1);
  const to = wordsOf(id - 1);
  to.q0 = words.q0;
  to.q1 = words.q1;
  to.q2 = words.q2;
  to.source = source;
  to.pasid = pasid;
  to.domain = domain;
  if (find(cache, id - 1) == 0) fill(cache, set, ((id - 1) << ENTRY_SHIFT) | ENTRY_V);
}

/**
 * Drops structures: of a domain or of ANY; of a PASID or of ANY; of a source or of ANY, with the bits of `ignored` left out
 * of the comparison. An entry that names no domain is dropped with any.
 */
export function dropStructures(cache: Cache, domain: u32, pasid: u32, source: u32, ignored: u32): void {
  const end = cache.entries + (<usize>cache.sets * cache.ways << 3);
  for (let at = end - 8; at >= cache.entries; at -= 8) {
    const low = load<u32>(at);
    if (low == 0) continue;
    const words = wordsOf(low >> ENTRY_SHIFT);
    if (domain != ANY && words.domain != ANY && words.domain != domain) continue;
    if (pasid != ANY && words.pasid != pasid) continue;
    if (source != ANY && ((words.source ^ source) & ~ignored) != 0) continue;
    removeAt(cache, cache.entries, at);
  }
}
/** Whether a cache holds the structure of a source and a PASID. */
export function hasStructure(cache: Cache, source: u32, pasid: u32): bool {
  const id = ids.find(source, pasid);
  return id != 0 && cache.sets != 0 && find(cache, id - 1) != 0;
}

@inline
function bits(word: u64, low: u32, high: u32): u32 {
  return <u32>(word >> low) & ((2 << (high - low)) - 1);
}
/** Bits of a pointer that the machine does not have. */
@inline
function above(capabilities: Capabilities): u64 {
  return ~((<u64>1 << capabilities.width) - 1);
}

function setStage(stage: Stage, rules: u32, root: u64, levels: u32, width: u32, features: u32, grants: u32): void {
  stage.root = root;
  stage.grants = grants;
  const format = stage.format;
  format.rules = rules;
  format.levels = levels;
  format.width = width;
  format.features = features;
}

/** Stages have the tags by which hardware tells their entries apart, and the second is below the first. */
function join(to: Context, fault: u32): u32 {
  to.tag = fault == 0 ? tagId(to.domain, to.pasid) : 0;
  to.first.tag = to.tag;
  to.first.below = to.hasSecond != 0 ? to.second : changetype<Stage>(0);
  return fault;
}

// ---- VT-d ----

/** Levels of an AW field, or 0 if the hardware does not support it. */
@inline
function levelsOf(width: u32, capabilities: Capabilities): u32 {
  return width >= 1 && width <= 3 && ((capabilities.widths >> width) & 1) != 0 ? width + 2 : 0;
}

/** Finds what a request goes through under a root-table address register. Returns 0, or a fault reason. */
export function vtdContext(root: u64, source: u32, pasid: u32, can: Capabilities, to: Context): u32 {
  return join(to, vtdStages(root, source, pasid, can, to));
}
function vtdStages(root: u64, source: u32, pasid: u32, can: Capabilities, to: Context): u32 {
  const mode = bits(root, 10, 11);
  if (mode > 1) return VTD_BAD_ROOT_MODE;
  const scalable = mode == 1;
  let words = recall(contextCache, source, ANY);
  if (changetype<usize>(words) == 0) {
    const half = scalable && (source & 0x80) != 0 ? 8 : 0;
    const entry = fetch((root & ~0xfff) + ((source >> 8) << 4) + half, !scalable, false);
    if (changetype<usize>(entry) == 0) return VTD_ROOT_UNREACHABLE;
    if ((entry.q0 & 1) == 0) return VTD_ROOT_ABSENT;
    if ((entry.q0 & (0xffe | above(can))) != 0 || entry.q1 != 0) return VTD_ROOT_RESERVED;
    const offset = scalable ? (source & 0x7f) << 5 : (source & 0xff) << 4;
    words = fetch((entry.q0 & ~0xfff) + offset, true, false);
    if (changetype<usize>(words) == 0) return VTD_CONTEXT_UNREACHABLE;
  }
  if ((words.q0 & 1) == 0) return VTD_CONTEXT_ABSENT;
  return scalable ? vtdScalable(words, source, pasid, can, to) : vtdLegacy(words, source, can, to);
}

function vtdLegacy(words: Words, source: u32, can: Capabilities, to: Context): u32 {
  if ((words.q0 & (0xff0 | above(can))) != 0 || (words.q1 & 0xffff_ffff_ff00_0080) != 0) return VTD_CONTEXT_RESERVED;
  const levels = levelsOf(bits(words.q1, 0, 2), can);
  const type = bits(words.q0, 2, 3);
  if (levels == 0 || type == 3 || (type == 2 && can.passThrough == 0)) return VTD_CONTEXT_INVALID;
  to.domain = bits(words.q1, 8, 23);
  to.pasid = NO_PASID;
  to.hasFirst = 0;
  to.supervisor = 1; // without PASIDs nobody asks
  to.hasSecond = type == 2 ? 0 : 1;
  to.grants = GRANTS_ALL;
  // Legacy mode writes no A or D.
  const features = can.second & ~(SETS_ACCESSED | SETS_DIRTY);
  setStage(to.second, FORMAT_SECOND, words.q0 & ~0xfff, levels, can.width, features, GRANTS_ALL);
  to.second.tag = tagId(to.domain, NO_PASID);
  keep(contextCache, words, source, ANY, to.domain);
  return 0;
}

function vtdScalable(context: Words, source: u32, asked: u32, can: Capabilities, to: Context): u32 {
  if ((context.q0 & (0x1e0 | above(can))) != 0 || (context.q1 & 0xffff_ffff_ffe0_0000) != 0) return VTD_CONTEXT_RESERVED;
  // PASIDE. Assumed: its reason is that of an entry that is not valid.
  if (asked != NO_PASID && bits(context.q0, 3, 3) == 0) return VTD_PASID_INVALID;
  const pasid = asked == NO_PASID ? bits(context.q1, 0, 19) : asked;
  const directory = context.q0 & ~0xfff;
  const entries: u32 = 128 << bits(context.q0, 9, 11);
  keep(contextCache, context, source, ANY, ANY);
  let words = recall(pasidCache, source, pasid);
  if (changetype<usize>(words) == 0) {
    if (pasid >> 6 >= entries) return VTD_PASID_UNREACHABLE; // assumed
    const entry = fetch(directory + (<u64>(pasid >> 6) << 3), false, false);
    if (changetype<usize>(entry) == 0) return VTD_DIRECTORY_UNREACHABLE;
    if ((entry.q0 & 1) == 0) return VTD_DIRECTORY_ABSENT;
    if ((entry.q0 & (0xffc | above(can))) != 0) return VTD_DIRECTORY_RESERVED;
    words = fetch((entry.q0 & ~0xfff) + ((pasid & 63) << 6), true, true);
    if (changetype<usize>(words) == 0) return VTD_PASID_UNREACHABLE;
  }
  if ((words.q0 & 1) == 0) return VTD_PASID_ABSENT;
  const type = bits(words.q0, 6, 8); // 1 first stage, 2 second, 3 both, 4 neither
  if (type == 0 || type > 4 || (type == 4 && can.passThrough == 0)) return VTD_PASID_INVALID;
  to.hasFirst = type & 1;
  to.hasSecond = (type >> 1) & 1;
  to.domain = bits(words.q1, 0, 15);
  to.pasid = type == 2 ? NO_PASID : pasid;
  to.grants = GRANTS_ALL;
  to.supervisor = bits(words.q2, 0, 0);
  if (to.hasSecond != 0) {
    const levels = levelsOf(bits(words.q0, 2, 4), can);
    if (levels == 0) return VTD_PASID_INVALID;
    const features = bits(words.q0, 9, 9) != 0 ? can.second : can.second & ~(SETS_ACCESSED | SETS_DIRTY);
    setStage(to.second, FORMAT_SECOND, words.q0 & ~0xfff, levels, can.width, features, GRANTS_ALL);
    to.second.tag = tagId(to.domain, NO_PASID);
  }
  if (to.hasFirst != 0) {
    const mode = bits(words.q2, 2, 3);
    if (mode > 1 || (mode == 1 && can.fiveLevels == 0)) return VTD_PASID_INVALID;
    let features = can.first | HAS_2M | SETS_ACCESSED | SETS_DIRTY;
    if (bits(words.q2, 4, 4) != 0) features |= PROTECTS_SUPERVISOR;
    features = bits(words.q2, 5, 5) != 0 ? features | HAS_XD : features & ~HAS_XD;
    if (bits(words.q2, 7, 7) != 0) features |= SETS_EXTENDED;
    setStage(to.first, FORMAT_FIRST, words.q2 & ~0xfff, 4 + mode, can.width, features, GRANTS_ALL);
  }
  keep(pasidCache, words, source, pasid, to.domain);
  return 0;
}

// ---- AMD ----

/** Finds what a request goes through under a device table. Returns 0, or an event code. */
export function amdContext(table: u64, source: u32, pasid: u32, can: Capabilities, to: Context): u32 {
  return join(to, amdStages(table, source, pasid, can, to));
}
function amdStages(table: u64, source: u32, pasid: u32, can: Capabilities, to: Context): u32 {
  let words = recall(contextCache, source, ANY);
  if (changetype<usize>(words) == 0) {
    if (source >= can.deviceTable << 7) return AMD_ILLEGAL_DEVICE_ENTRY;
    words = fetch(table + (<u64>source << 5), true, false);
    if (changetype<usize>(words) == 0) return AMD_DEVICE_TABLE_ERROR;
  }
  to.hasFirst = to.hasSecond = 0;
  to.supervisor = 1;
  to.pasid = NO_PASID;
  to.grants = GRANTS_ALL;
  const mode = bits(words.q0, 9, 11);
  if ((words.q0 & 1) != 0 && mode == 7) return AMD_ILLEGAL_DEVICE_ENTRY;
  to.domain = bits(words.q1, 0, 15);
  keep(contextCache, words, source, ANY, to.domain);
  if ((words.q0 & 1) == 0) return 0; // V: nothing is said of the device
  to.grants = (bits(words.q0, 61, 61) != 0 ? GRANTS_READ : 0) | (bits(words.q0, 62, 62) != 0 ? GRANTS_WRITE : 0) | ~3;
  to.grants &= GRANTS_ALL;
  if (bits(words.q0, 1, 1) == 0) return 0; // TV: there are no tables
  if (mode != 0) {
    to.hasSecond = 1;
    const marks = bits(words.q0, 7, 8);
    const features = HAS_2M | HAS_1G | (marks & 1 ? SETS_ACCESSED : 0) | (marks == 3 ? SETS_DIRTY : 0);
    setStage(to.second, FORMAT_AMD_V1, words.q0 & 0x000f_ffff_ffff_f000, mode, can.width, features, to.grants);
    to.second.tag = tagId(to.domain, NO_PASID);
  }
  const guest = pasid != NO_PASID || bits(words.q0, 54, 54) != 0; // GIOV
  if (bits(words.q0, 55, 55) == 0 || !guest) return 0;
  const root =
    (<u64>bits(words.q0, 58, 60) << 12) | (<u64>bits(words.q1, 16, 31) << 15) | (<u64>bits(words.q1, 43, 63) << 31);
  return amdGuest(root, bits(words.q0, 56, 57), source, pasid == NO_PASID ? 0 : pasid, can, to);
}

/** The GCR3 table, whose addresses the second stage translates if there is one (assumed). */
function amdGuest(root: u64, levels: u32, source: u32, pasid: u32, can: Capabilities, to: Context): u32 {
  let words = recall(pasidCache, source, pasid);
  let next = root;
  if (changetype<usize>(words) == 0) {
    if (levels == 3 || pasid >> (9 * (levels + 1)) != 0) return AMD_ILLEGAL_DEVICE_ENTRY; // assumed
    for (let level = <i32>levels; level >= 0; level--) {
      let at = next + (<u64>((pasid >> (9 * level)) & 511) << 3);
      if (to.hasSecond != 0) {
        if (walk(to.second, at, ASKS_READ, found) != WALK_OK) return AMD_IO_PAGE_FAULT;
        at = found.address;
      }
      words = fetch(at, false, false);
      if (changetype<usize>(words) == 0) return AMD_PAGE_TABLE_ERROR;
      if ((words.q0 & 1) == 0) return AMD_IO_PAGE_FAULT;
      next = words.q0 & 0x000f_ffff_ffff_f000;
    }
  }
  to.hasFirst = 1;
  to.pasid = pasid;
  const features = can.first | HAS_2M | SETS_ACCESSED | SETS_DIRTY | PROTECTS_SUPERVISOR;
  setStage(to.first, FORMAT_X86, words.q0 & 0x000f_ffff_ffff_f000, can.guestLevels, can.width, features, GRANTS_ALL);
  keep(pasidCache, words, source, pasid, to.domain);
  return 0;
}
