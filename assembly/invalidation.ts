// What an invalidation command drops, read from its words alone: the scope tables of VT-d 6.5.2 and of 48882 section 2.4,
// in one form for both. IH = 1 of VT-d and PDE = 0 of AMD say the same: walk caches may stay.
import {
  AMD_ALL, AMD_DEVICE_ENTRY, AMD_IOTLB_PAGES, AMD_PAGE_RESPONSE, AMD_PAGES, AMD_WAIT, amdDevice, amdDomain, amdFirstPage, amdGuest,
  amdOpcode, amdOrder, amdPasid, amdPde, amdPending,
} from './amdvi';
import { NO_PASID } from './block';
import { ORDER_ALL } from './command';
import { ANY, ANY_PASID } from './tagged';
import {
  VTD_CONTEXT, VTD_DEVICE_TLB, VTD_DOMAIN, VTD_EXTENDED_DEVICE_TLB, VTD_EXTENDED_IOTLB, VTD_GLOBAL, VTD_IOTLB, VTD_PAGE, VTD_PAGE_RESPONSE,
  VTD_PASID, VTD_PASID_CACHE, VTD_PASID_CACHE_GLOBAL, VTD_PASID_CACHE_PASID, VTD_PASID_PAGE, VTD_WAIT, vtdAddressMask, vtdAllPasids, vtdDomain, vtdDrains,
  vtdFirstPage, vtdFunctionMask, vtdGranularity, vtdHint, vtdOrder, vtdPage, vtdPasid, vtdQueueDepth, vtdSource, vtdType,
} from './vtd';

// What a command is about.
export const DOES_OTHER: u32 = 0; //        interrupt entries, prefetches
export const DOES_WAIT: u32 = 1;
export const DOES_TRANSLATIONS: u32 = 2; // IOTLB and walk caches
export const DOES_DEVICE_TLB: u32 = 3;
export const DOES_CONTEXTS: u32 = 4;
export const DOES_PASIDS: u32 = 5;
export const DOES_DEVICE_ENTRY: u32 = 6; // a DTE, and what it leads to of GCR3 tables
export const DOES_ALL: u32 = 7;
export const DOES_RESPONSE: u32 = 8; //     to page requests

// Of the last command decoded.
export let does: u32 = 0;
export let scopeDomain: u32 = 0; //  or ANY
export let scopePasid: u32 = 0; //   or NO_PASID, ANY_PASID, ANY
export let scopeSource: u32 = 0; //  or ANY
export let scopeIgnored: u32 = 0; // bits of the source that are not compared
export let firstPage: u64 = 0;
export let pageOrder: u32 = 0; //    ORDER_ALL: every page
export let leafOnly: bool = false; // walk caches may stay
export let drains: bool = false; //  it waits for accesses in flight
export let depth: u32 = 0; //        requests that may be outstanding at the device

/** Decodes a valid command of 128 or 256 bits. */
export function decodeCommand(at: usize, amd: bool): void {
  scopeDomain = ANY;
  scopePasid = ANY;
  scopeSource = ANY;
  scopeIgnored = 0;
  firstPage = 0;
  pageOrder = ORDER_ALL;
  leafOnly = false;
  drains = true;
  depth = 0;
  if (amd) decodeAmd(at);
  else decodeVtd(at);
}

function decodeAmd(at: usize): void {
  const code = amdOpcode(at);
  does =
    code == AMD_WAIT ? DOES_WAIT
    : code == AMD_DEVICE_ENTRY ? DOES_DEVICE_ENTRY
    : code == AMD_PAGES ? DOES_TRANSLATIONS
    : code == AMD_IOTLB_PAGES ? DOES_DEVICE_TLB
    : code == AMD_ALL ? DOES_ALL
    : code == AMD_PAGE_RESPONSE ? DOES_RESPONSE
    : DOES_OTHER;
  if (does == DOES_DEVICE_ENTRY) scopeSource = amdDevice(at);
  if (does != DOES_TRANSLATIONS && does != DOES_DEVICE_TLB) return;
  // A completion wait covers the requests that used what was dropped, so that they all drain.
  scopePasid = amdGuest(at) ? amdPasid(at) : NO_PASID;
  pageOrder = amdOrder(at);
  firstPage = amdFirstPage(at);
  if (does == DOES_TRANSLATIONS) {
    scopeDomain = amdDomain(at);
    leafOnly = !amdPde(at);
  } else {
    scopeSource = amdDevice(at);
    depth = amdPending(at);
  }
}

function decodeVtd(at: usize): void {
  const type = vtdType(at);
  const granularity = vtdGranularity(at);
  does =
    type == VTD_WAIT ? DOES_WAIT
    : type == VTD_CONTEXT ? DOES_CONTEXTS
    : type == VTD_PASID_CACHE ? DOES_PASIDS
    : type == VTD_IOTLB || type == VTD_EXTENDED_IOTLB ? DOES_TRANSLATIONS
    : type == VTD_DEVICE_TLB || type == VTD_EXTENDED_DEVICE_TLB ? DOES_DEVICE_TLB
    : type == VTD_PAGE_RESPONSE ? DOES_RESPONSE
    : DOES_OTHER;
  if (does == DOES_CONTEXTS) {
    if (granularity == VTD_DOMAIN) scopeDomain = vtdDomain(at);
    if (granularity != VTD_PAGE) return;
    scopeSource = vtdSource(at);
    // FM 0 compares the whole source; 1, 2, 3 leave out the upper one, two, three bits of the function.
    scopeIgnored = 7 & ~(7 >> vtdFunctionMask(at));
  } else if (does == DOES_PASIDS) {
    if (granularity == VTD_PASID_CACHE_GLOBAL) return;
    scopeDomain = vtdDomain(at);
    if (granularity == VTD_PASID_CACHE_PASID) scopePasid = vtdPasid(at);
  } else if (does == DOES_TRANSLATIONS) vtdTranslations(at, type == VTD_IOTLB, granularity);
  else if (does == DOES_DEVICE_TLB) {
    scopeSource = vtdSource(at);
    scopePasid = type == VTD_DEVICE_TLB ? NO_PASID : vtdAllPasids(at) ? ANY_PASID : vtdPasid(at);
    pageOrder = vtdOrder(at);
    firstPage = vtdFirstPage(at);
    depth = vtdQueueDepth(at);
  }
}
function vtdTranslations(at: usize, legacy: bool, granularity: u32): void {
  drains = vtdDrains(at);
  if (legacy && granularity == VTD_GLOBAL) return;
  scopeDomain = vtdDomain(at);
  if (legacy && granularity == VTD_DOMAIN) return;
  if (granularity < VTD_PASID) {
    scopePasid = ANY_PASID; // VT-d 2.x: all of the domain, with or without global entries
    return;
  }
  scopePasid = legacy ? NO_PASID : vtdPasid(at);
  if (granularity != VTD_PASID_PAGE) return;
  // The low AM bits of the address are ignored: a block is always aligned to its size.
  pageOrder = vtdAddressMask(at);
  firstPage = pageOrder >= ORDER_ALL ? 0 : (vtdPage(at) >> pageOrder) << pageOrder;
  leafOnly = vtdHint(at) != 0;
}
