// Order replay: a recording's events in the order of their lines, no clock, recorded IOVAs and frames. Predicts what the
// IOMMU and its driver did: hits, fills, faults, every invalidation command with its words, the IOVAs given back. The
// machine is an emulator's: one cache of translations by device and page, emptied when full.
import { encodeAmdIotlbPages, encodeAmdPages } from './amdvi';
import { alignedOrder, coveringOrder, ORDER_ALL } from './command';
import {
  cacheTranslation, command, hits, initEmulated, setStatus, setWhy, submit, submitAmd, waitAmd,
} from './emulated';
import { CHUNK_RECORDS, openArena, region } from './layout';
import {
  beginEvent, initRows, row, ROW_FAULT, ROW_IOVA_FREE, rowsFit, setValue, WHY_ATTACH, WHY_ENABLE, WHY_MAP, WHY_QUEUE_FULL,
  WHY_STRICT, WHY_TIMER,
} from './prediction';
import { encodeContext, encodeDeviceTlb, encodeIotlb, VTD_DOMAIN, VTD_GLOBAL, VTD_PAGE } from './vtd';

// An event, f64[ORDER_EVENT_WORDS]: op, agent, fields in the order of src/model/trace.ts.
export const ORDER_EVENT_WORDS: u32 = 10;
export const ORDER_OTHER: u32 = 0; // nothing here
export const ORDER_IOMMU: u32 = 1;
export const ORDER_ATTACH: u32 = 2;
export const ORDER_MAP: u32 = 3;
export const ORDER_UNMAP: u32 = 4;
export const ORDER_DMA: u32 = 5;
export const ORDER_DMA_RAW: u32 = 6;
export const ORDER_LAZY: u32 = 7;
export const ORDER_HOLD: u32 = 8;
export const ORDER_SUBMIT: u32 = 9;
export const ORDER_TIMER: u32 = 10;

export const POLICY_RECORDED: u32 = 0;
export const POLICY_STRICT: u32 = 1;
export const POLICY_LAZY: u32 = 2;

const PROT_READ: u32 = 1;
const PROT_WRITE: u32 = 2;
// VT-d specification, appendix A: fault reasons.
const FAULT_CONTEXT: u32 = 2;
const FAULT_WRITE: u32 = 5;
const FAULT_READ: u32 = 6;
/** Maps and unmaps held at once: src/model/order.ts MAX_HELD. */
const HELD: u32 = 64;
/** Aligned blocks of one mapping, at most: two for each bit of its length. */
const BLOCKS: u32 = 64;
const NO_TOKEN: u32 = 0xffff_ffff;

/** A domain, with its flush queue's counters (Linux 6.1 drivers/iommu/dma-iommu.c, struct iommu_dma_cookie). */
@unmanaged
class Domain {
  did: u32;
  attached: u32;
  lazy: u32;
  started: u32; //  flushes begun
  finished: u32; // flushes done
  pad: u32;
}

@unmanaged
class Device {
  space: u32;
  source: u32;
  ats: u32;
  attached: u32;
}

@unmanaged
class Instance {
  page: u64;
  frame: u64;
  pages: u32;
  space: u32;
  prot: u32;
  live: u32;
}

/** A map or unmap whose invalidation is still to come. */
@unmanaged
class Work {
  page: u64;
  pages: u64;
  space: u32;
  agent: u32;
  unmap: u32;
  used: u32;
}

/** One CPU's flush queue of a domain; `queue` entries follow it. */
@unmanaged
class Ring {
  head: u32;
  count: u32;
}

@unmanaged
class Queued {
  page: u64;
  pages: u32;
  counter: u32;
}

let events: usize = 0; //    f64[CHUNK_RECORDS * ORDER_EVENT_WORDS], written by the host
let domains: usize = 0; //   Domain[spaces]
let devices: usize = 0; //   Device[agents]
let instances: usize = 0; // Instance[]
let held: usize = 0; //      Work[HELD]
let rings: usize = 0; //     Ring and its entries, [spaces * agents]

let agentCount: u32 = 0;
let ringBytes: usize = 0;
let amd: bool = false;
let maxOrder: u32 = 0;
let queue: u32 = 0;
let policy: u32 = 0;

let caching: bool = false;
let hint: u32 = 0;
let holding: u32 = NO_TOKEN;

@inline
function domain(space: u32): Domain {
  return changetype<Domain>(domains + <usize>space * offsetof<Domain>());
}
@inline
function device(agent: u32): Device {
  return changetype<Device>(devices + <usize>agent * offsetof<Device>());
}
@inline
function instance(id: u32): Instance {
  return changetype<Instance>(instances + <usize>id * offsetof<Instance>());
}
@inline
function work(token: u32): Work {
  return changetype<Work>(held + <usize>token * offsetof<Work>());
}
@inline
function ringOf(space: u32, agent: u32): Ring {
  return changetype<Ring>(rings + <usize>(space * agentCount + agent) * ringBytes);
}
@inline
function queued(ring: Ring, index: u32): Queued {
  return changetype<Queued>(changetype<usize>(ring) + offsetof<Ring>() + <usize>(index % queue) * offsetof<Queued>());
}
@inline
function field(event: usize, index: u32): f64 {
  return load<f64>(event + (<usize>(index + 2) << 3));
}

/** A new replay. Returns the address of the events. */
export function orderInit(
  agents: u32, spaces: u32, ids: u32, isAmd: u32, size: u32, dropped: u32, order: u32, ringSlots: u32, queueSlots: u32,
  rule: u32,
): usize {
  openArena();
  events = region(<usize>CHUNK_RECORDS * ORDER_EVENT_WORDS << 3);
  domains = region(<usize>spaces * offsetof<Domain>());
  devices = region(<usize>agents * offsetof<Device>());
  instances = region(<usize>ids * offsetof<Instance>());
  held = region(<usize>(HELD + 1) * offsetof<Work>());
  ringBytes = offsetof<Ring>() + <usize>queueSlots * offsetof<Queued>();
  rings = region(<usize>spaces * agents * ringBytes);
  // A timer gives back all of a domain's queues and flushes every device; a page command is split into aligned blocks.
  initRows(agents * queueSlots + (agents + 1) * 3 * BLOCKS);
  initEmulated(isAmd != 0, size, dropped, ringSlots);
  agentCount = agents;
  amd = isAmd != 0;
  maxOrder = order;
  queue = queueSlots;
  policy = rule;
  caching = false;
  hint = 0;
  holding = NO_TOKEN;
  return events;
}

/** Runs events `from` .. `count - 1`; stops before one for which the rows might not suffice. Returns where. */
export function orderRun(from: u32, count: u32): u32 {
  for (let i = from; i < count; i++) {
    if (!rowsFit()) return i;
    beginEvent(i);
    step(events + <usize>i * (ORDER_EVENT_WORDS << 3));
  }
  return count;
}

function step(event: usize): void {
  const op = <u32>load<f64>(event);
  const agent = <u32>load<f64>(event, 8);
  const first = <u32>field(event, 0);
  switch (op) {
    case ORDER_DMA: {
      const mapping = instance(first);
      const page = <u32>field(event, 1);
      return translate(agent, mapping.page + page, field(event, 3) != 0, mapping, page);
    }
    case ORDER_DMA_RAW:
      return translate(agent, <u64>field(event, 1), field(event, 3) != 0, changetype<Instance>(0), 0);
    case ORDER_MAP:
      return map(event, agent);
    case ORDER_UNMAP:
      return unmap(agent, first, <u32>field(event, 1), <u32>field(event, 2));
    case ORDER_TIMER:
      return timer(first);
    case ORDER_HOLD:
      holding = first;
      return;
    case ORDER_SUBMIT:
      return submitHeld(first);
    case ORDER_LAZY:
      domain(first).lazy = 1;
      return;
    case ORDER_IOMMU:
      return enable(event, first);
    case ORDER_ATTACH:
      return attach(event, agent);
    default:
      assert(op == ORDER_OTHER);
  }
}

function enable(event: usize, kind: u32): void {
  if ((kind != 0) != amd) return;
  caching = field(event, 1) != 0;
  hint = <u32>field(event, 2);
  setStatus(<u64>field(event, 3));
  setWhy(WHY_ENABLE);
  if (amd) return;
  encodeContext(command, VTD_GLOBAL, 0, 0, 0);
  submit();
  encodeIotlb(command, VTD_GLOBAL, 0, 0, 0, 0);
  submit();
}

function attach(event: usize, agent: u32): void {
  const who = device(agent);
  who.space = <u32>field(event, 0);
  who.source = <u32>field(event, 2);
  who.ats = <u32>field(event, 3);
  who.attached = 1;
  const space = domain(who.space);
  space.did = <u32>field(event, 1);
  space.attached = 1;
  if (amd || !caching) return;
  // Not-present entries are cached under domain 0 (Linux intel/iommu.c, domain_context_mapping_one).
  setWhy(WHY_ATTACH);
  encodeContext(command, VTD_PAGE, 0, who.source, 0);
  submit();
  encodeIotlb(command, VTD_DOMAIN, space.did, 0, 0, 0);
  submit();
}

function map(event: usize, agent: u32): void {
  const mapping = instance(<u32>field(event, 1));
  mapping.space = <u32>field(event, 0);
  mapping.pages = <u32>field(event, 2);
  mapping.frame = <u64>field(event, 3);
  mapping.prot = <u32>field(event, 4);
  mapping.page = <u64>field(event, 5);
  mapping.live = 1;
  // A piece of a scatter list widens the invalidation that its first piece has held (iommu_map_sg).
  if (field(event, 6) != 0) {
    for (let token: u32 = 0; token < HELD; token++) {
      const piece = work(token);
      if (piece.used == 0 || piece.unmap != 0 || piece.space != mapping.space) continue;
      if (piece.page + piece.pages != mapping.page) continue;
      piece.pages += mapping.pages;
      return;
    }
  }
  run(mapping.space, agent, mapping.page, mapping.pages, 0);
}

function unmap(agent: u32, space: u32, first: u32, count: u32): void {
  let pages: u64 = 0;
  for (let id = first; id < first + count; id++) {
    instance(id).live = 0;
    pages += instance(id).pages;
  }
  run(space, agent, instance(first).page, pages, 1);
}

/** Invalidates at once, or keeps the work for `submit`. */
function run(space: u32, agent: u32, page: u64, pages: u64, isUnmap: u32): void {
  const job = work(holding == NO_TOKEN ? HELD : holding);
  job.space = space;
  job.agent = agent;
  job.page = page;
  job.pages = pages;
  job.unmap = isUnmap;
  if (holding == NO_TOKEN) return invalidate(job);
  job.used = 1;
  holding = NO_TOKEN;
}

function submitHeld(token: u32): void {
  const job = work(token);
  if (job.used == 0) return;
  job.used = 0;
  invalidate(job);
}

function invalidate(job: Work): void {
  if (job.unmap == 0) {
    setWhy(WHY_MAP);
    if (caching) invalidatePages(job, false);
    return;
  }
  const lazy = policy == POLICY_LAZY || (policy == POLICY_RECORDED && domain(job.space).lazy != 0);
  if (lazy) return enqueue(job);
  setWhy(WHY_STRICT);
  invalidatePages(job, true);
  freeIova(job.page, job.pages, job.space);
}

/** dma-iommu.c queue_iova */
function enqueue(job: Work): void {
  const space = domain(job.space);
  const ring = ringOf(job.space, job.agent);
  reclaim(space, job.space, ring);
  if (ring.count == queue - 1) {
    setWhy(WHY_QUEUE_FULL);
    flush(space, job.space);
    reclaim(space, job.space, ring);
  }
  const last = queued(ring, ring.head + ring.count);
  last.page = job.page;
  last.pages = <u32>job.pages;
  last.counter = space.started;
  ring.count++;
}

/** dma-iommu.c fq_flush_timeout */
function timer(space: u32): void {
  setWhy(WHY_TIMER);
  flush(domain(space), space);
  for (let agent: u32 = 0; agent < agentCount; agent++) reclaim(domain(space), space, ringOf(space, agent));
}

/** dma-iommu.c fq_flush_iotlb */
function flush(space: Domain, index: u32): void {
  space.started++;
  invalidateDomain(space, index);
  space.finished++;
}

/** dma-iommu.c fq_ring_free */
function reclaim(space: Domain, index: u32, ring: Ring): void {
  while (ring.count != 0) {
    const oldest = queued(ring, ring.head);
    if (oldest.counter >= space.finished) return;
    freeIova(oldest.page, oldest.pages, index);
    ring.head = (ring.head + 1) % queue;
    ring.count--;
  }
}

function freeIova(page: u64, pages: u64, space: u32): void {
  setValue(row(ROW_IOVA_FREE, 3, <f64>page, <f64>pages), 2, <f64>space);
}

/** After a map (`toDevices` false) or unmap: the pages in the IOTLB, then in the devices that have a TLB. */
function invalidatePages(job: Work, toDevices: bool): void {
  const space = domain(job.space);
  if (space.attached == 0) return;
  if (amd) return invalidateBlocks(space, job, toDevices);
  const order = coveringOrder(job.page, job.pages);
  if (order > maxOrder) encodeIotlb(command, VTD_DOMAIN, space.did, 0, 0, 0);
  else encodeIotlb(command, VTD_PAGE, space.did, job.page, order, hint);
  submit();
  if (toDevices) invalidateDevices(job.space, job.page, order);
}

/** Under NpCache the range goes as naturally aligned blocks (amd/iommu.c amd_iommu_domain_flush_pages). */
function invalidateBlocks(space: Domain, job: Work, toDevices: bool): void {
  const end = job.page + job.pages;
  for (let page = job.page; page < end; ) {
    const order = alignedOrder(page, end - page);
    encodeAmdPages(command, space.did, 0, page, order, 0, 0);
    submitAmd();
    if (toDevices) invalidateDevices(job.space, page, order);
    page += <u64>1 << order;
  }
  waitAmd();
}

function invalidateDomain(space: Domain, index: u32): void {
  if (space.attached == 0) return;
  if (amd) {
    encodeAmdPages(command, space.did, 0, 0, ORDER_ALL, 1, 0);
    submitAmd();
    invalidateDevices(index, 0, ORDER_ALL);
    waitAmd();
    return;
  }
  encodeIotlb(command, VTD_DOMAIN, space.did, 0, 0, 0);
  submit();
  if (!caching) invalidateDevices(index, 0, ORDER_ALL);
}

function invalidateDevices(space: u32, page: u64, order: u32): void {
  for (let agent: u32 = 0; agent < agentCount; agent++) {
    const who = device(agent);
    if (who.attached == 0 || who.ats == 0 || who.space != space) continue;
    if (amd) encodeAmdIotlbPages(command, who.source, 0, 0, page, order, 0);
    else encodeDeviceTlb(command, who.source, 0, page, order);
    if (amd) submitAmd();
    else submit();
  }
}

function translate(agent: u32, page: u64, write: bool, mapping: Instance, index: u32): void {
  const who = device(agent);
  if (who.attached == 0) return fault(FAULT_CONTEXT, page);
  if (hits(agent, page)) return;
  const present = changetype<usize>(mapping) != 0 && mapping.live != 0 && mapping.space == who.space;
  if (!present || (!amd && write && (mapping.prot & PROT_WRITE) == 0)) return fault(write ? FAULT_WRITE : FAULT_READ, page);
  // VT-d: Linux sets the read bit of every present entry. AMD: QEMU keeps the first frame of a large page.
  const prot = amd ? mapping.prot : mapping.prot | PROT_READ;
  const frame = mapping.frame + (amd ? index & ~(largePage(mapping) - 1) : index);
  cacheTranslation(agent, page, frame, domain(who.space).did, prot);
}

function fault(reason: u32, page: u64): void {
  row(ROW_FAULT, 2, amd ? 0 : <f64>reason, <f64>page);
}

/** Pages of a mapping's large pages: the largest that addresses and size allow (AMD's host tables take any size). */
function largePage(mapping: Instance): u32 {
  const order = min(alignedOrder(mapping.page, mapping.pages), alignedOrder(mapping.frame, mapping.pages));
  return <u32>1 << order;
}
