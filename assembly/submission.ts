// An invalidation that a driver has under way, or its answer to page requests, and the words of each command of it.
import { encodeAmdIotlbPages, encodeAmdPageResponse, encodeAmdPages, encodeAmdWait } from './amdvi';
import { coveringOrder, DOMAIN, ORDER_ALL, roundedOrder, SPACE_PAGES_LG2 } from './command';
import { hazard, HAZARD_LEAF_ONLY, HAZARD_NO_DRAIN, HAZARD_NO_REQUEST_DRAIN, HAZARD_RELEASE_FLUSHES_OTHER_PASID } from './hazard';
import { setting } from './layout';
import {
  COMMAND_DEVICE_ALL, COMMAND_DEVICE_PAGE, COMMAND_DEVICE_RANGE, COMMAND_FENCE, COMMAND_IOTLB_DOMAIN, COMMAND_IOTLB_GLOBAL,
  COMMAND_IOTLB_PAGE, COMMAND_IOTLB_PASID, COMMAND_IOTLB_RANGE, COMMAND_PAGE_RESPONSE, COMMAND_PASID_ENTRY,
  COMMAND_WAIT, SET_ALIGNED, SET_COMMANDS, SET_DMA, SET_HINT, SET_ITAGS,
} from './ops';
import { sourceOf } from './pri';
import { addressBits, TABLE_LG2 } from './table';
import {
  askNoDrain, drainRequests, encodeDeviceTlb, encodeExtendedDeviceTlb, encodeExtendedIotlb, encodeFence, encodeIotlb, encodePageResponse,
  encodePasidEntry, encodeWait, QI_DONE, VTD_DOMAIN, VTD_GLOBAL, VTD_PAGE, VTD_PASID, VTD_PASID_PAGE,
} from './vtd';

/** The one space's. */
export const PASID: u32 = 1;

/** With a size beside it, all pages (Linux amd_iommu_types.h CMD_INV_IOMMU_ALL_PAGES_ADDRESS). */
const LAST_ADDRESS: u64 = 0x7fff_ffff_ffff_ffff;

// Stages of the release of a PASID.
export const INVALIDATES: u32 = 1;
export const DRAINS: u32 = 2; // page requests

/** An invalidation under way; part of the agent's path. */
@unmanaged
export class Submission {
  first: u64; //  page numbers, first .. last
  last: u64;
  list: usize; //   its commands
  recipe: usize; // the next one
  group: usize; //  first command of what is in the ring
  slot: u32; //     its first slot
  count: u32; //    its slots
  before: u32; //   commands of the group that earlier submissions have had, and
  sent: u32; //     all that have been submitted
  phase: u32;
  spares: u32; //   1: device TLBs are left out
  frees: u32; //    leaf tables that are freed behind it
  overflows: u32; // 1: of 0..~0, whose pages some drivers count to be none
  releases: u32; // of a PASID that is given back, INVALIDATES or DRAINS: it is never put off, and on VT-d its entry goes first
  answers: u32; //  group + 1 of page requests that it answers: it invalidates nothing, and
  code: u32; //     says this
  device: u32; //   whose turn it is, where the list is submitted for each
}
/** Device-TLB requests that may be outstanding, as VT-d has it: five bits, 0 = 32. */
@inline
function queueDepth(): u32 {
  return setting(SET_ITAGS) & 31;
}
/** Space of a page number: DMA domains share one numbering of pages. */
@inline
export function spaceOf(page: u64): u32 {
  return setting(SET_DMA) != 0 ? <u32>(page >> SPACE_PAGES_LG2) : 0;
}
@inline
function domainOf(page: u64): u32 {
  return DOMAIN + spaceOf(page);
}
@inline
function inDomain(page: u64): u64 {
  return page & ((<u64>1 << SPACE_PAGES_LG2) - 1);
}

/**
 * Whether the driver says that only leaves have changed: it has freed no table. An unmap frees those that its range covers
 * whole (Linux drivers/iommu/intel/iommu.c dma_pte_clear_level); what address spaces free they say.
 */
function spares(job: Submission): bool {
  if (hazard(HAZARD_LEAF_ONLY)) return true;
  if (setting(SET_HINT) == 0 || job.frees != 0) return false;
  const first = (job.first + (1 << TABLE_LG2) - 1) >> TABLE_LG2;
  return setting(SET_DMA) == 0 || ((first + 1) << TABLE_LG2) - 1 > job.last;
}

/** Writes the words of one command about pages first..last; `source`: whose TLB it is about; `status`: where a wait writes. */
export function writeWords(at: usize, command: u32, job: Submission, first: u64, last: u64, source: u32, status: u64): void {
  if (setting(SET_COMMANDS) != 0) writeAmd(at, command, job, first, last, source, status);
  else writeVtd(at, command, job, first, last, source, status);
  if (hazard(HAZARD_NO_DRAIN) && setting(SET_COMMANDS) == 0) askNoDrain(at);
  if (command == COMMAND_WAIT && job.releases == DRAINS && !hazard(HAZARD_NO_REQUEST_DRAIN)) drainRequests(at);
}

function writeAmd(at: usize, command: u32, job: Submission, first: u64, last: u64, source: u32, status: u64): void {
  const pages = last - first + 1;
  const part = command == COMMAND_IOTLB_PAGE || command == COMMAND_IOTLB_RANGE || command == COMMAND_DEVICE_PAGE || command == COMMAND_DEVICE_RANGE;
  const order = !part ? ORDER_ALL : coveringOrder(first, pages);
  const guest: u32 = setting(SET_DMA) != 0 ? 0 : 1;
  const page = inDomain(first);
  if (command == COMMAND_WAIT) encodeAmdWait(at, status, QI_DONE);
  else if (job.releases != 0 && hazard(HAZARD_RELEASE_FLUSHES_OTHER_PASID)) writeSwapped(at, command, job, source);
  else if (command == COMMAND_PAGE_RESPONSE) encodeAmdPageResponse(at, sourceOf(job.answers - 1), PASID, job.answers - 1, job.code);
  else if (command >= COMMAND_DEVICE_PAGE) encodeAmdIotlbPages(at, source, setting(SET_ITAGS), guest * PASID, page, order, guest);
  else encodeAmdPages(at, domainOf(job.first), guest * PASID, page, order, part && spares(job) ? 0 : 1, guest);
}

/** All of a PASID, where the PASID is passed as the size, and 0 as the PASID: one page of that, at the end of what there is. */
function writeSwapped(at: usize, command: u32, job: Submission, source: u32): void {
  const page = LAST_ADDRESS >> 12;
  if (command >= COMMAND_DEVICE_PAGE) encodeAmdIotlbPages(at, source, setting(SET_ITAGS), 0, page, 0, 1);
  else encodeAmdPages(at, domainOf(job.first), 0, page, 0, 1, 1);
}

function writeVtd(at: usize, command: u32, job: Submission, first: u64, last: u64, source: u32, status: u64): void {
  // Linux 4.12 to 6.5 drivers/iommu/intel-svm.c, intel/svm.c: (end - start + 4095) >> 12 of 0..~0 is 0.
  const pages = job.overflows != 0 && setting(SET_ALIGNED) == 0 ? 0 : last - first + 1;
  const order = coveringOrder(first, pages);
  const page = first & addressBits;
  if (command == COMMAND_WAIT) encodeWait(at, status, QI_DONE);
  else if (setting(SET_DMA) != 0) writeLegacy(at, command, job, first, source, order);
  else if (command == COMMAND_FENCE) encodeFence(at);
  else if (command == COMMAND_PAGE_RESPONSE) encodePageResponse(at, sourceOf(job.answers - 1), PASID, job.answers - 1, job.code);
  else if (command == COMMAND_PASID_ENTRY) encodePasidEntry(at, DOMAIN, PASID);
  else if (command == COMMAND_DEVICE_ALL) encodeExtendedDeviceTlb(at, source, PASID, queueDepth(), 0, ORDER_ALL);
  else if (command >= COMMAND_DEVICE_PAGE) encodeExtendedDeviceTlb(at, source, PASID, queueDepth(), page, order);
  else if (command == COMMAND_IOTLB_PASID) encodeExtendedIotlb(at, VTD_PASID, DOMAIN, PASID, 0, 0, 0, 0);
  else if (command == COMMAND_IOTLB_DOMAIN) encodeIotlb(at, VTD_DOMAIN, DOMAIN, 0, 0, 0);
  else if (command == COMMAND_IOTLB_GLOBAL) encodeIotlb(at, VTD_GLOBAL, 0, 0, 0, 0);
  else encodeExtendedIotlb(at, VTD_PASID_PAGE, DOMAIN, PASID, page, setting(SET_ALIGNED) != 0 ? order : roundedOrder(pages), spares(job) ? 1 : 0, 0);
}

/** Commands of a domain without PASIDs. */
function writeLegacy(at: usize, command: u32, job: Submission, first: u64, source: u32, order: u32): void {
  const did = domainOf(job.first);
  const page = inDomain(first);
  if (command == COMMAND_DEVICE_ALL) encodeDeviceTlb(at, source, queueDepth(), 0, ORDER_ALL);
  else if (command >= COMMAND_DEVICE_PAGE) encodeDeviceTlb(at, source, queueDepth(), page, order);
  else if (command == COMMAND_IOTLB_GLOBAL) encodeIotlb(at, VTD_GLOBAL, 0, 0, 0, 0);
  else if (command >= COMMAND_IOTLB_PASID) encodeIotlb(at, VTD_DOMAIN, did, 0, 0, 0);
  else encodeIotlb(at, VTD_PAGE, did, (page >> order) << order, order, spares(job) ? 1 : 0);
}
