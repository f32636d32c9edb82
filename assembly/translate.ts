// Translations asked one at a time: a CPU's, or a request of a device at an IOMMU, against words of memory that the host
// has written; and what its caches hold, fill by fill and drop by drop. No clock runs.
import { initBlocks, NO_PASID, tagId } from './block';
import { Cache, newCache } from './cache';
import { wordsAt } from './codec';
import { ORDER_ALL } from './command';
import {
  AMD_IO_PAGE_FAULT, AMD_PAGE_TABLE_ERROR, amdContext, Capabilities, Context, contextCache, dropStructures, hasStructure,
  initContexts, newCapabilities, newContext, pasidCache, vtdContext,
} from './context';
import { amdError, vtdError } from './descriptor';
import {
  decodeEntry, entryAddress, entryGrants, entryKind, entryLevel, entryOrder, Format, GRANTS_ALL, GRANTS_USER, GRANTS_WRITE,
  HAS_XD, marksOf,
} from './format';
import {
  decodeCommand, does, DOES_ALL, DOES_CONTEXTS, DOES_DEVICE_ENTRY, DOES_DEVICE_TLB, DOES_PASIDS, DOES_TRANSLATIONS, firstPage,
  leafOnly, pageOrder, scopeDomain, scopeIgnored, scopePasid, scopeSource,
} from './invalidation';
import { openArena } from './layout';
import { initMemory, pageAddress, pageIndex, wordToWrite } from './memory';
import { ANY, ANY_PASID, dropBlocks, holdsBlock, putBlock, useBlock } from './tagged';
import {
  ASKS_AS_USER, ASKS_EXECUTE, ASKS_READ, ASKS_WRITE, Found, newStage, newTrail, newWalkerOf, reads, Stage, walk, WALK_ABSENT,
  WALK_BEYOND, WALK_DENIED, WALK_DENIED_USER, WALK_OK, WALK_RESERVED, WALK_UNMARKABLE, WALK_UNREACHABLE, Walker, writes,
} from './walk';

/** Who translates. */
export const AT_CPU: u32 = 0;
export const AT_VTD: u32 = 1;
export const AT_AMD: u32 = 2;

/** Tag of global entries of a CPU's TLB, which all PCIDs share. */
const GLOBAL: u32 = <u32>-4;
const ENTRY_GLOBAL: u64 = 1 << 8;
/** Status: the structures that name the tables refuse; the fault tells why. */
export const NO_CONTEXT: u32 = 32;
/** 0xfeexxxxx: with a PASID, no interrupt may be asked for there. */
const INTERRUPTS: u64 = 0xfee;
const VTD_INTERRUPT_RANGE: u32 = 0x87;
const VTD_SUPERVISOR: u32 = 0x82; // assumed
/** Order of an answer that no table gave. */
const NO_ORDER: u32 = 255;

/** The host writes the first three before a call, and reads the others after it. */
@unmanaged
class Exchange {
  address: u64; // asked; answered
  root: u64; //    CR3, root table address register, base of the device table
  word: u64; //    of memory, or an entry to decode
  status: u32; //  WALK_*
  fault: u32; //   #PF error code, VT-d fault reason, AMD event code
  order: u32;
  grants: u32;
  domain: u32;
  pasid: u32;
  kind: u32; //    of an entry decoded
  level: u32; //   of the table that it names
  marks: u32; //   MARK_*
  reads: u32; //   of the trail
  writes: u32;
}
const exchange: Exchange = changetype<Exchange>(memory.data(offsetof<Exchange>()));
const found: Found = changetype<Found>(memory.data(offsetof<Found>()));

let tlb: Cache = changetype<Cache>(0);
let deviceTlbs: Cache = changetype<Cache>(0); // of all devices; their tags are source and PASID
let walker: Walker = changetype<Walker>(0);
let stage: Stage = changetype<Stage>(0);
let format: Format = changetype<Format>(0);
let context: Context = changetype<Context>(0);
let can: Capabilities = changetype<Capabilities>(0);
let orders: u64 = 0; // bit by bit, what has been put into the TLB

/** New hardware with caches of these many ways; 0 is none. `pages`, `memories`, `blocks`, `structures`: its memory. */
export function translateInit(
  pages: u32,
  memories: u32,
  blocks: u32,
  structures: u32,
  tlbWays: u32,
  walkWays: u32,
  contextWays: u32,
): usize {
  openArena();
  initMemory(pages, memories, 0);
  initBlocks(blocks, structures);
  initContexts(structures, contextWays, contextWays);
  tlb = newCache(tlbWays == 0 ? 0 : 1, tlbWays, 0, 0);
  deviceTlbs = newCache(tlbWays == 0 ? 0 : 1, tlbWays, 0, 0);
  walker = newWalkerOf(walkWays);
  stage = newStage();
  format = stage.format;
  context = newContext(walker);
  can = newCapabilities();
  orders = 0;
  return changetype<usize>(exchange);
}

/** The rules of a CPU's tables and of entries to decode. */
export function translateFormat(rules: u32, levels: u32, width: u32, features: u32): void {
  format.rules = rules;
  format.levels = levels;
  format.width = width;
  format.features = features;
}
/** What the IOMMU can do; see `Capabilities`. */
export function translateCapabilities(
  width: u32,
  widths: u32,
  first: u32,
  second: u32,
  fiveLevels: u32,
  guestLevels: u32,
  passThrough: u32,
  deviceTable: u32,
): void {
  can.width = width;
  can.widths = widths;
  can.first = first;
  can.second = second;
  can.fiveLevels = fiveLevels;
  can.guestLevels = guestLevels;
  can.passThrough = passThrough;
  can.deviceTable = deviceTable;
}

/** Writes a word of memory. Returns 0 if there is no room. */
export function translateWrite(): u32 {
  const at = wordToWrite(exchange.address);
  if (at == 0) return 0;
  store<u64>(at, exchange.word);
  return 1;
}

/** Decodes one entry at a level. */
export function translateDecode(level: u32): void {
  decodeEntry(format, level, exchange.word);
  exchange.kind = entryKind;
  exchange.address = entryAddress;
  exchange.level = entryLevel;
  exchange.order = entryOrder;
  exchange.grants = entryGrants;
  exchange.marks = marksOf(format, level, exchange.word);
}

/** One translation of the address. `asks`: ASKS_*. */
export function translate(who: u32, asks: u32, source: u32, pasid: u32): void {
  newTrail();
  exchange.fault = 0;
  exchange.order = NO_ORDER;
  exchange.grants = 0;
  exchange.domain = 0;
  exchange.pasid = NO_PASID;
  exchange.status = WALK_OK;
  if (who == AT_CPU) atCpu(asks);
  else atIommu(who, asks, source, pasid);
  exchange.reads = reads;
  exchange.writes = writes;
}

// ---- a CPU ----

function atCpu(asks: u32): void {
  const pcid = <u32>exchange.root & 0xfff;
  const own = tagId(pcid, NO_PASID);
  if (hit(own, asks) || hit(tagId(0, GLOBAL), asks)) return;
  stage.root = exchange.root & 0x000f_ffff_ffff_f000;
  stage.walker = walker;
  stage.tag = own;
  stage.grants = GRANTS_ALL;
  const address = exchange.address;
  const status = walk(stage, address, asks, found);
  if (status == WALK_OK) {
    const global = (load<u64>(found.leaf) & ENTRY_GLOBAL) != 0;
    answer(global ? tagId(0, GLOBAL) : own, address);
    return;
  }
  exchange.status = status;
  if (status == WALK_BEYOND || status == WALK_UNREACHABLE) return;
  // P, W, U, RSVD, I (Intel SDM vol. 3A, 4.7).
  const fetch = (asks & ASKS_EXECUTE) != 0 && (format.features & HAS_XD) != 0;
  exchange.fault =
    (status != WALK_ABSENT ? 1 : 0) |
    ((asks & ASKS_WRITE) != 0 ? 2 : 0) |
    ((asks & ASKS_AS_USER) != 0 ? 4 : 0) |
    (status == WALK_RESERVED ? 8 : 0) |
    (fetch ? 16 : 0);
}

// ---- an IOMMU ----

function atIommu(who: u32, asks: u32, source: u32, pasid: u32): void {
  const address = exchange.address;
  const fault =
    who == AT_VTD
      ? vtdContext(exchange.root, source, pasid, can, context)
      : amdContext(exchange.root, source, pasid, can, context);
  if (fault != 0) return refuse(NO_CONTEXT, fault);
  exchange.domain = context.domain;
  exchange.pasid = context.pasid;
  if (who == AT_VTD && pasid != NO_PASID && address >> 20 == INTERRUPTS) return refuse(NO_CONTEXT, VTD_INTERRUPT_RANGE);
  if (who == AT_VTD && (asks & ASKS_AS_USER) == 0 && context.supervisor == 0) return refuse(NO_CONTEXT, VTD_SUPERVISOR);
  if (context.hasFirst == 0 && context.hasSecond == 0) {
    exchange.grants = context.grants;
    if ((asks & (ASKS_READ | ASKS_WRITE) & ~context.grants) != 0) refuse(WALK_DENIED, AMD_IO_PAGE_FAULT);
    return;
  }
  if (hit(context.tag, asks)) return;
  const from = context.hasFirst != 0 ? context.first : context.second;
  const status = walk(from, address, asks, found);
  if (status == WALK_OK) return answer(context.tag, address);
  // A stage below that refuses gives its own reasons.
  const second = context.hasFirst == 0 || (found.below != 0 && status != WALK_UNMARKABLE);
  if (who == AT_VTD) return refuse(status, second ? secondReason(status, asks) : firstReason(status));
  refuse(status, status == WALK_UNREACHABLE ? AMD_PAGE_TABLE_ERROR : AMD_IO_PAGE_FAULT);
}

function refuse(status: u32, fault: u32): void {
  exchange.status = status;
  exchange.fault = fault;
}

function secondReason(status: u32, asks: u32): u32 {
  if (status == WALK_BEYOND) return 4;
  if (status == WALK_UNREACHABLE) return 7;
  if (status == WALK_RESERVED) return 0xc;
  return (asks & ASKS_WRITE) != 0 ? 5 : 6;
}
function firstReason(status: u32): u32 {
  if (status == WALK_BEYOND) return 0x80;
  if (status == WALK_UNREACHABLE) return 0x70;
  if (status == WALK_ABSENT) return 0x71;
  if (status == WALK_RESERVED) return 0x72;
  if (status == WALK_DENIED_USER) return 0x81;
  return status == WALK_UNMARKABLE ? 0x91 : 0x85;
}

// ---- the TLB ----

/** Looks the address up under a tag, in every page size that there is. An entry that does not serve what is asked is walked anew. */
function hit(tag: u32, asks: u32): bool {
  const address = exchange.address;
  for (let left = orders; left != 0; left &= left - 1) {
    const order = <u32>ctz(left);
    const value = useBlock(tlb, tag, order, address >> (12 + order));
    if (value == 0) continue;
    const grants = value & GRANTS_ALL;
    if ((asks & ~GRANTS_USER & ~grants) != 0 || ((asks & ASKS_AS_USER) != 0 && (grants & GRANTS_USER) == 0)) return false;
    exchange.address = pageAddress(value >> 4) | (address & (((<u64>1 << order) << 12) - 1));
    exchange.order = order;
    exchange.grants = grants;
    return true;
  }
  return false;
}

/** A walk has found this: it is answered, and cached. What grants a write that has not set D yet does not serve one. */
function answer(tag: u32, address: u64): void {
  exchange.address = found.address;
  exchange.order = found.order;
  exchange.grants = found.grants;
  const offset = ((<u64>1 << found.order) << 12) - 1;
  const page = pageIndex(found.address & ~offset);
  if (page == 0) return;
  orders |= <u64>1 << found.order;
  const grants = found.clean != 0 ? found.grants & ~GRANTS_WRITE : found.grants;
  putBlock(tlb, tag, found.order, address >> (12 + found.order), (page << 4) | grants);
}

// ---- fills and drops ----

export const IN_TLB: u32 = 0;
export const IN_CONTEXTS: u32 = 6;
export const IN_PASIDS: u32 = 7;
export const IN_DEVICES: u32 = 8;

/** The TLB, the devices' TLBs, or the walk cache of tables of a level, 1 .. 5. */
function cacheAt(where: u32): Cache {
  return where == IN_TLB ? tlb : where == IN_DEVICES ? deviceTlbs : walker.at(where);
}
/** Puts an entry into one of them: a block of a tag; `domain` is the source in devices' TLBs. */
export function translateFill(where: u32, domain: u32, pasid: u32, order: u32, number: f64): void {
  if (where == IN_TLB) orders |= <u64>1 << order;
  putBlock(cacheAt(where), tagId(domain, pasid), order, <u64>number, (pageIndex(0) << 4) | GRANTS_ALL);
}
/** Whether it is there. */
export function translateHolds(where: u32, domain: u32, pasid: u32, order: u32, number: f64): bool {
  return holdsBlock(cacheAt(where), tagId(domain, pasid), order, <u64>number);
}
/** Whether the structure of a source and a PASID is cached; PASID ANY: its context entry or DTE. */
export function translateKnows(where: u32, source: u32, pasid: u32): bool {
  return hasStructure(where == IN_CONTEXTS ? contextCache : pasidCache, source, pasid);
}

/** Drops translations of what the command names; see `carryOut`. */
function dropTranslations(from: u64, to: u64): void {
  dropBlocks(tlb, scopeDomain, scopePasid, from, to);
  if (scopePasid == NO_PASID) dropBlocks(tlb, scopeDomain, ANY_PASID, 0, u64.MAX_VALUE);
  for (let level: u32 = 1; level <= 5; level++) {
    const cache = walker.at(level);
    if (scopePasid == NO_PASID) dropBlocks(cache, scopeDomain, ANY_PASID, 0, u64.MAX_VALUE);
    if (!leafOnly) dropBlocks(cache, scopeDomain, scopePasid, from, to);
  }
}

/**
 * Carries out an invalidation command, whose words are those of the codec (wordsAt). Returns ERROR_*, or 0. A range of the
 * second stage (NO_PASID) drops all that first stages have of the domain, since nobody can tell which of their addresses it
 * is about; their tables, too, lie behind leaves of the second stage. Translations of AMD
 * take the entries of GCR3 tables along: there is no other command for them (Linux 4.14 drivers/iommu/amd_iommu.c __set_gcr3).
 */
export function translateCommand(who: u32, width: u32, caps: u32): u32 {
  const at = wordsAt();
  const amd = who == AT_AMD;
  const error = amd ? amdError(at, caps) : vtdError(at, width, caps);
  if (error != 0) return error;
  decodeCommand(at, amd);
  const last = pageOrder >= ORDER_ALL ? u64.MAX_VALUE : firstPage + (<u64>1 << pageOrder) - 1;
  if (does == DOES_TRANSLATIONS || does == DOES_ALL) dropTranslations(firstPage, last);
  if (does == DOES_DEVICE_TLB) dropBlocks(deviceTlbs, scopeSource, scopePasid, firstPage, last);
  if (does == DOES_CONTEXTS || does == DOES_DEVICE_ENTRY || does == DOES_ALL) {
    dropStructures(contextCache, scopeDomain, ANY, scopeSource, scopeIgnored);
  }
  if (does == DOES_PASIDS || does == DOES_DEVICE_ENTRY || does == DOES_ALL || (amd && does == DOES_TRANSLATIONS)) {
    dropStructures(pasidCache, scopeDomain, scopePasid == NO_PASID ? ANY : scopePasid, scopeSource, 0);
  }
  return 0;
}
