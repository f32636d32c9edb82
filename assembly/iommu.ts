// The IOMMU's command processor: takes commands off the ring and applies them to the space. What a command says is read
// from its words alone, so that what is priced is what a driver really wrote.
import {
  AMD_IOTLB_PAGES, AMD_PAGES, AMD_WAIT, amdDevice, amdDomain, amdFirstPage, amdOpcode, amdOrder,
} from './amdvi';
import { Agent, block, RUNNABLE, spend, wake } from './clock';
import { DOMAIN, ORDER_ALL, SOURCE, SPACE_PAGES_LG2 } from './command';
import {
  bump, N_DEVICE_TLB, N_IOTLB_DOMAIN, N_IOTLB_GLOBAL, N_IOTLB_PAGE, N_IOTLB_PASID, N_IOTLB_RANGE, N_WAIT,
} from './counters';
import { cost, setting } from './layout';
import {
  CAUSE_IDLE, COST_INV_DEVICE, COST_INV_DOMAIN, COST_INV_GLOBAL, COST_INV_PAGE, COST_INV_PASID, COST_WAIT, SET_ATS,
  SET_COMMANDS, SET_DMA, SET_DRAIN,
} from './ops';
import { fetch, retire } from './ring';
import { deviceTlb, dropCopies, Flight, flight, flightCount, iommuWalker, iotlb } from './space';
import { vpnOf } from './table';
import {
  VTD_DEVICE_TLB, VTD_DOMAIN, VTD_EXTENDED_DEVICE_TLB, VTD_EXTENDED_IOTLB, VTD_GLOBAL, VTD_IOTLB, VTD_PASID_PAGE, VTD_WAIT,
  vtdAddressMask, vtdDomain, vtdFirstPage, vtdGranularity, vtdOrder, vtdPage, vtdSource, vtdType,
} from './vtd';
import { emptyWalker } from './walk';

// What a command is, after decoding.
const IS_WAIT: u32 = 0;
const IS_IOTLB: u32 = 1;
const IS_DEVICE: u32 = 2;

// Phases of the processor.
const FETCH: u32 = 0;
const SERVE: u32 = 1; //  a command is being carried out
const DRAIN: u32 = 2; //  the device still has requests in flight that the command covers

// The command in hand; derived from the ring's words at each fetch, so it is no state.
let what: u32 = 0;
let firstPage: u64 = 0;
let lastPage: u64 = 0;
let price: u32 = 0;
let counter: u32 = 0;

function decode(at: usize): void {
  if (setting(SET_COMMANDS) != 0) decodeAmd(at);
  else decodeVtd(at);
}

function span(first: u64, order: u32): void {
  firstPage = first;
  lastPage = order >= ORDER_ALL ? u64.MAX_VALUE : first + (<u64>1 << order) - 1;
}

/** Puts the span into the page numbers of a domain. */
function place(space: u32): void {
  const base = <u64>space << SPACE_PAGES_LG2;
  lastPage = lastPage == u64.MAX_VALUE ? base + ((<u64>1 << SPACE_PAGES_LG2) - 1) : base + lastPage;
  firstPage += base;
}

function decodeAmd(at: usize): void {
  const code = amdOpcode(at);
  what = code == AMD_WAIT ? IS_WAIT : code == AMD_PAGES ? IS_IOTLB : IS_DEVICE;
  assert(code == AMD_WAIT || code == AMD_PAGES || code == AMD_IOTLB_PAGES);
  if (what == IS_WAIT) return;
  const order = amdOrder(at);
  span(amdFirstPage(at), order);
  const dma = setting(SET_DMA) != 0;
  if (dma) place(what == IS_IOTLB ? amdDomain(at) - DOMAIN : amdDevice(at) - SOURCE);
  price = order < ORDER_ALL ? COST_INV_PAGE : dma ? COST_INV_DOMAIN : COST_INV_PASID;
  counter = order < ORDER_ALL ? (order != 0 ? N_IOTLB_RANGE : N_IOTLB_PAGE) : dma ? N_IOTLB_DOMAIN : N_IOTLB_PASID;
}

function decodeVtd(at: usize): void {
  const type = vtdType(at);
  const device = type == VTD_EXTENDED_DEVICE_TLB || type == VTD_DEVICE_TLB;
  what = type == VTD_WAIT ? IS_WAIT : device ? IS_DEVICE : IS_IOTLB;
  assert(type == VTD_WAIT || type == VTD_EXTENDED_IOTLB || type == VTD_IOTLB || what == IS_DEVICE);
  if (what == IS_DEVICE) {
    span(vtdFirstPage(at), vtdOrder(at));
    if (type == VTD_DEVICE_TLB) place(vtdSource(at) - SOURCE);
  }
  if (what != IS_IOTLB) return;
  const granularity = vtdGranularity(at);
  if (granularity == VTD_PASID_PAGE) {
    // The low AM bits of the address are ignored: a block is always aligned to its size.
    const order = vtdAddressMask(at);
    span((vtdPage(at) >> order) << order, order);
    price = COST_INV_PAGE;
    counter = order != 0 ? N_IOTLB_RANGE : N_IOTLB_PAGE;
    if (setting(SET_DMA) != 0) place(vtdDomain(at) - DOMAIN);
    return;
  }
  span(0, ORDER_ALL);
  const legacy = type == VTD_IOTLB;
  const global = legacy && granularity == VTD_GLOBAL;
  const domain = legacy && granularity == VTD_DOMAIN;
  if (domain && setting(SET_DMA) != 0) place(vtdDomain(at) - DOMAIN);
  price = global ? COST_INV_GLOBAL : domain ? COST_INV_DOMAIN : COST_INV_PASID;
  counter = global ? N_IOTLB_GLOBAL : domain ? N_IOTLB_DOMAIN : N_IOTLB_PASID;
}

/** One step of the processor: fetch, or the effect of what was fetched. */
export function stepIommu(hardware: Agent): void {
  const at = fetch(hardware);
  if (at == 0) return;
  decode(at);
  if (hardware.phase == FETCH) {
    hardware.phase = SERVE;
    spend(hardware, CAUSE_IDLE, what == IS_WAIT ? cost(COST_WAIT) : what == IS_DEVICE ? cost(COST_INV_DEVICE) : cost(price));
    return;
  }
  if (hardware.phase == SERVE) {
    const now = hardware.clock;
    if (what == IS_WAIT) bump(N_WAIT);
    else {
      const device = what == IS_DEVICE;
      bump(device ? N_DEVICE_TLB : counter);
      dropCopies(device ? deviceTlb : iotlb, firstPage, lastPage, now);
      // IH is 0 and PDE is 1 in all that these drivers submit: upper levels of the whole space go (model's choice).
      if (!device) emptyWalker(iommuWalker);
      squash();
      // Without ATS it is the IOMMU that translates and drains; with it, the device answers for what it was given.
      const unit = setting(SET_DMA) != 0 ? setting(SET_DRAIN) != 0 : setting(SET_ATS) == 0;
      if ((device || unit) && cover() != 0) {
        hardware.phase = DRAIN;
        block(hardware, CAUSE_IDLE);
        return;
      }
    }
  }
  hardware.phase = FETCH;
  retire(hardware.clock);
}

@inline
function hit(held: Flight): bool {
  if (held.page == 0) return false;
  const vpn = vpnOf(held.page - 1);
  return vpn >= firstPage && vpn <= lastPage;
}

/** Translations on their way to a cache that the command covers must not be cached (PCIe ATS 10.3: in-flight completions). */
function squash(): void {
  for (let i: u32 = 0; i < flightCount; i++) if (hit(flight(i))) flight(i).squashed = 1;
}

/** An invalidation completes when every access that uses what it drops has landed. */
function cover(): u32 {
  let count: u32 = 0;
  for (let i: u32 = 0; i < flightCount; i++) {
    if (!hit(flight(i)) || flight(i).holds == 0) continue;
    flight(i).covered = 1;
    count++;
  }
  return count;
}

/** An access that an invalidation waits for has landed; the last one lets it complete. */
export function drained(hardware: Agent, now: u64): void {
  for (let i: u32 = 0; i < flightCount; i++) if (flight(i).covered != 0) return;
  if (hardware.state != RUNNABLE && hardware.phase == DRAIN) wake(hardware, now);
}
