// One device access from issue to landing: device TLB, ATS request, IOTLB, walk, page request, and the landing at which
// safety is checked. Each place in flight is an agent.
import { bank, swap } from './bank';
import { isHandedOver, named, pageWalked } from './binding';
import { Cache, ENTRY_SHIFT, ENTRY_STALE, ENTRY_W } from './cache';
import { acquire, Agent, agent, block, knowledgeOf, spend, wake } from './clock';
import { awaitEnd, hasOwnTable, isShut } from './consumer';
import {
  add, bump, N_DEVICE_FAULTS, N_DEVICE_HIT, N_DEVICE_MISS, N_DEVICE_STALL_PS, N_DMA, N_FAULT_RETRIES, N_IOTLB_HIT, N_IOTLB_MISS, N_PAGE_REQUESTS,
  N_S2X, N_S5, N_S7, N_SPURIOUS, N_WALK_REFS, N_WALKS,
} from './counters';
import { allowed, beginFault, forbidden, stepList } from './fault';
import { beganAtFreed, initFreed } from './freed';
import { isOthers } from './fork';
import { hazard, HAZARD_OVERTAKEN_WALK } from './hazard';
import { cost, setting } from './layout';
import {
  DENIED, DEVICE_ASKS, DEVICE_FILL, DEVICE_HIT, IOTLB_FILL, IOTLB_HIT, IOTLB_MISS, LANDS, LANDS_STALE, LOG_DEVICE, note, PAGE_REQUEST, WALK_DONE,
  WALK_FAULT,
} from './log';
import { give, Lock, lockOf, newLocks, take, WALKERS } from './lock';
import {
  CAUSE_DEVICE, CAUSE_DEVICE_WALK, CAUSE_IDLE, CAUSE_PAGE_REQUEST, CAUSE_TRANSLATION, COST_DEVICE_HIT, COST_DEVICE_WALK, COST_DEVICE_WALK_START, COST_DMA, COST_IOTLB_HIT,
  COST_PAGE_REQUEST, COST_PTE_SET, COST_TRANSLATION, SET_ATS, SET_CACHES_ABSENT, SET_DMA, SET_IDEAL, SET_LEVELS, SET_SPLIT_WALKS, SET_WALKERS,
} from './ops';
import { fillIotlb, replaceOther, useIotlb, useOf, useOfPasid } from './lookup';
import { findLeaf } from './mapping';
import { isReleased } from './pasid';
import { landed } from './pending';
import { forgetRequest, hasPri, initPri, IS_DROPPED, IS_GRANTED, IS_REFUSED, isAsking, sendGroups, stepRequest } from './pri';
import { isStepwise } from './progress';
import { cursor } from './recent';
import { beginWalk, clearRequest, endWalk, found, initRequests, leafOf, request, swapRequests } from './request';
import { landStale, staleCopyGone, staleCopyMade, violation } from './safety';
import { AT_DEVICE, Flight, flight, flightCount, IN_HAND, leavePlace, ON_ITS_WAY, SQUASHED_FILL, SQUASHED_WALK, takePlace } from './places';
import { ABSENT, deviceOf, deviceTlb, entryOf, fillCopy, FREED, lowOf, own, recheck } from './space';
import { readStructures } from './structures';
import { PASID } from './submission';
import { frameOf, liesIn, orderOf, pte, PTE_A, PTE_D, PTE_P, setPte, touch, vpnOf } from './table';
import { countWalk, WALK_ABSENT, WALK_OK } from './walk';

// Phases of a place in flight.
const REST: u32 = 0;
const TRANSLATE: u32 = 1;
const ARRIVE: u32 = 2; //   at the IOMMU
const WALK: u32 = 3; //     with a walker
const WALKED: u32 = 4;
const REQUEST: u32 = 5; //  the page is not there, or not writable
const FAULT: u32 = 6;
const HANDLE: u32 = 7; //   the handler's list runs
const RETURN: u32 = 8; //   the translation reaches the device
const LAND: u32 = 9;
const INSTALL: u32 = 10; // a fault has read the PTE: into the consumer's own table with it
const FILL: u32 = 11; //    the walk is over, and what it has read in no cache yet: split walks only

let first: u32 = 0; //      agent of place 0
let walkers: Lock = changetype<Lock>(0);

export function initFlights(firstAgent: u32, hardwareAgent: u32): void {
  first = firstAgent;
  if (bank == 0) initFreed();
  initRequests();
  if (hasPri()) initPri(first, hardwareAgent);
  walkers = lockOf(newLocks(1, setting(SET_WALKERS), WALKERS), 0);
  for (let i: u32 = 0; i < flightCount; i++) block(agent(first + i), CAUSE_IDLE);
}
export function swapFlights(): void {
  swapRequests();
  first = swap(first);
  walkers = swap(walkers);
}
@inline
function hasAts(): bool {
  return setting(SET_ATS) != 0;
}
/** What a request or an answer takes on its way between device and IOMMU. */
@inline
function half(): u64 {
  return cost(COST_TRANSLATION) / 2;
}

/** Whether an access is under way that does not wait for its page. */
export function isBusy(): bool {
  for (let i: u32 = 0; i < flightCount; i++) {
    const phase = agent(first + i).phase;
    if (phase != REST && (phase != REQUEST || !isAsking(i))) return true;
  }
  return false;
}

/** Starts an access in a free place, to a 4 KiB page of a page; or, `prefetch`, asks for its translation alone. */
export function launch(place: u32, page: u32, offset: u32, write: u32, issuer: Agent, prefetch: u32 = 0): void {
  const who = agent(first + place);
  const asks = request(place);
  takePlace(place);
  asks.page = page;
  asks.how = write | (prefetch << 1);
  asks.issued = issuer.clock;
  asks.offset = offset;
  wake(who, issuer.clock);
  acquire(who.id, knowledgeOf(issuer.id));
  who.phase = TRANSLATE;
  if (prefetch == 0) bump(N_DMA);
}

/** Whether an access is on its way to memory, so that it asks the IOMMU for nothing more. */
@inline
export function lands(who: Agent): bool {
  return who.phase == LAND;
}

/** One turn; true when the access has landed or was denied, and the place is free again. */
export function stepFlight(who: Agent): bool {
  if (!hasPri()) return turn(who);
  const now = who.clock;
  const over = turn(who);
  sendGroups(who.id - first, now);
  return over;
}
function turn(who: Agent): bool {
  const place = who.id - first;
  const asked = request(place).page;
  // Tables of the process that the entry of the PASID names, as far as the IOMMU knows.
  const walked = pageWalked(asked);
  const page = walked == 0 || who.phase == TRANSLATE || who.phase == LAND ? asked : walked - 1;
  const write = request(place).writes;
  const held = flight(place);
  switch (who.phase) {
    case TRANSLATE: {
      const ats = hasAts();
      held.page = page + 1;
      touch(page);
      const at: usize = ats ? useOfPasid(deviceTlb(deviceOf(place)), leafOf(place, page), page, write) : 0;
      if (ats) bump(at != 0 ? N_DEVICE_HIT : N_DEVICE_MISS);
      if (ats) tell(who, at != 0 ? DEVICE_HIT : DEVICE_ASKS, write, page);
      if (at != 0) {
        if (request(place).prefetches) return rest(who);
        hold(held, at, who.clock);
        spend(who, CAUSE_TRANSLATION, cost(COST_DEVICE_HIT));
        fly(who, place);
        return false;
      }
      who.phase = ARRIVE;
      if (ats) spend(who, CAUSE_TRANSLATION, half());
      return false;
    }
    case ARRIVE: {
      if (isReleased()) return deny(who, held, page, write);
      held.squashed &= ~SQUASHED_WALK;
      const at = useIotlb(leafOf(place, asked), asked, write);
      bump(at != 0 ? N_IOTLB_HIT : N_IOTLB_MISS);
      tell(who, at != 0 ? IOTLB_HIT : IOTLB_MISS, write, page);
      if (at == 0) {
        if (walked == 0) return deny(who, held, page, write);
        who.phase = WALK;
        if (take(walkers, who) && !isStepwise()) walkFor(who, place, page);
        return false;
      }
      if (load<u32>(at, 4) == ABSENT) {
        spend(who, CAUSE_TRANSLATION, cost(COST_IOTLB_HIT));
        if (allowed(page, write)) bump(N_SPURIOUS);
        return deny(who, held, page, write);
      }
      hold(held, at, who.clock);
      spend(who, CAUSE_TRANSLATION, cost(COST_IOTLB_HIT));
      goBack(who, place);
      return false;
    }
    case WALK: {
      walkFor(who, place, page);
      return false;
    }
    case WALKED: {
      give(walkers, who);
      if (hasOwnTable()) {
        const at = useOf(own, page, write);
        tell(who, at != 0 ? WALK_DONE : WALK_FAULT, write, page);
        if (at == 0) {
          who.phase = REQUEST;
          return false;
        }
        hold(held, at, who.clock);
        return endOfWalk(who, held, place, page, write);
      }
      const status = endWalk(place, page, write);
      // The walk began by an entry that has been cleared since: the request is begun anew, and meets that.
      if (isReleased()) {
        who.phase = ARRIVE;
        return false;
      }
      tell(who, status == WALK_OK ? WALK_DONE : WALK_FAULT, write, page);
      if (status != WALK_OK) {
        const keeps = status == WALK_ABSENT && setting(SET_CACHES_ABSENT) != 0;
        // Of the place of a large leaf nothing is kept (assumed).
        return keeps && orderOf(page) == 0 ? endOfWalk(who, held, place, page, write) : reply(who, held, place, page, write);
      }
      const leaf = found.order == orderOf(page) ? page : findLeaf(leafOf(place, page), found.order) - 1;
      setPte(leaf, pte(leaf) | PTE_A | (write ? PTE_D : 0));
      recheck(leaf, who.clock);
      held.frame = (<u32>(found.address >> 12) >> found.order) << found.order;
      held.written = (entryOf(leaf) & ENTRY_W) != 0 ? 1 : 0;
      held.stale = 0;
      held.holds = ON_ITS_WAY;
      held.owner = leaf + 1;
      return endOfWalk(who, held, place, page, write);
    }
    case FILL: {
      tell(who, IOTLB_FILL, write, page);
      // An invalidation is complete when the walks that it finds are, and nothing of theirs is kept.
      if ((held.squashed & SQUASHED_WALK) == 0 || hazard(HAZARD_OVERTAKEN_WALK)) fill(held, page, who.clock);
      return reply(who, held, place, page, write);
    }
    case REQUEST: {
      if (hasPri()) {
        const outcome = stepRequest(who, PASID, named(vpnOf(page)), write);
        if (outcome == IS_REFUSED) return deny(who, held, page, write);
        if (outcome == IS_DROPPED) return rest(who);
        if (outcome == IS_GRANTED) {
          askAgain(who, held);
          spend(who, CAUSE_TRANSLATION, half());
        }
        return false;
      }
      if (forbidden(page, write)) return deny(who, held, page, write);
      bump(N_PAGE_REQUESTS);
      tell(who, PAGE_REQUEST, write, page);
      who.phase = FAULT;
      spend(who, CAUSE_PAGE_REQUEST, cost(COST_PAGE_REQUEST));
      return false;
    }
    case FAULT: {
      if (forbidden(page, write)) return deny(who, held, page, write);
      if (isShut(page)) awaitEnd(who);
      else if (allowed(page, write)) {
        if (hasOwnTable()) takeInHand(who, held, page, write);
        else askAgain(who, held);
      } else if (beginFault(who, page, write)) who.phase = HANDLE;
      return false;
    }
    case HANDLE: {
      if (!stepList(who)) return false;
      if (hasOwnTable()) who.phase = FAULT;
      else askAgain(who, held);
      return false;
    }
    case INSTALL: {
      install(who, held, page);
      return false;
    }
    case RETURN: {
      tell(who, DEVICE_FILL, write, page);
      // Requested before an invalidation and back after it: used once, not cached; nor is another domain's (assumed).
      if ((held.squashed & SQUASHED_FILL) == 0 && meets(held.owner - 1, page)) {
        replaceOther(deviceTlb(deviceOf(place)), held.owner - 1, who.clock);
        keep(deviceTlb(deviceOf(place)), held, who.clock);
      }
      if (request(place).prefetches) return rest(who);
      fly(who, place);
      return false;
    }
    default: {
      land(who, held, page, write);
      return true;
    }
  }
}

@inline
function tell(who: Agent, where: u32, write: bool, page: u32): void {
  note(LOG_DEVICE, who.id, where, write ? 1 : 0, page + 1, who.clock);
}

function deny(who: Agent, held: Flight, page: u32, write: bool): bool {
  tell(who, DENIED, write, page);
  if (!request(who.id - first).prefetches) bump(N_DEVICE_FAULTS);
  return rest(who);
}

/** A walker is there: a walk takes its time. */
function walkFor(who: Agent, place: u32, page: u32): void {
  who.phase = WALKED;
  if (hasOwnTable()) {
    const levels: u64 = setting(SET_LEVELS);
    bump(N_WALKS);
    add(N_WALK_REFS, levels);
    spend(who, CAUSE_DEVICE_WALK, cost(COST_DEVICE_WALK_START) + cost(COST_DEVICE_WALK) * levels);
    return;
  }
  const entries = readStructures(deviceOf(place));
  beginWalk(place, page);
  if (beganAtFreed(page)) violation(N_S5, 5, page, who.id, who.clock, <u32>cursor());
  spend(who, CAUSE_DEVICE_WALK, cost(COST_DEVICE_WALK_START) + cost(COST_DEVICE_WALK) * (entries + countWalk()));
}

/** A walk is over. What it has read goes into the IOTLB, in a turn of its own where walks are split. */
function endOfWalk(who: Agent, held: Flight, place: u32, page: u32, write: bool): bool {
  if (setting(SET_SPLIT_WALKS) != 0) {
    who.phase = FILL;
    return false;
  }
  if ((held.squashed & SQUASHED_WALK) == 0) fill(held, page, who.clock);
  return reply(who, held, place, page, write);
}
function fill(held: Flight, page: u32, now: u64): void {
  if (held.holds == 0) fillIotlb(page, 0, ABSENT, now);
  else fillIotlb(held.owner - 1, lowOf(held), held.frame, now);
}
/** What the IOMMU says once it has walked: the translation, or that there is none. */
function reply(who: Agent, held: Flight, place: u32, page: u32, write: bool): bool {
  if (held.holds != 0) goBack(who, place);
  // Nobody hears page requests of a domain.
  else if (setting(SET_DMA) != 0) return deny(who, held, page, write);
  else who.phase = REQUEST;
  return false;
}

/** Whether two pages have an address in common: they are of one domain. */
@inline
function meets(page: u32, other: u32): bool {
  return page == other || liesIn(page, vpnOf(other), vpnOf(other) + ((<u64>1 << orderOf(other)) - 1));
}
/** The access has the translation of an entry. */
function hold(held: Flight, at: usize, now: u64): void {
  const low = load<u32>(at);
  held.frame = load<u32>(at, 4);
  held.written = (low & ENTRY_W) != 0 ? 1 : 0;
  held.stale = (low & ENTRY_STALE) != 0 ? 1 : 0;
  held.holds = ON_ITS_WAY;
  held.owner = (low >> ENTRY_SHIFT) + 1;
  if (held.stale != 0) staleCopyMade(held.owner - 1, now);
}

/** Puts the translation that an access has into a cache. */
function keep(cache: Cache, held: Flight, now: u64): void {
  fillCopy(cache, held.owner - 1, lowOf(held), held.frame, now);
}

/** A consumer's fault reads the PTE, as get_user_pages does; what it has read goes into the consumer's table afterwards. */
function takeInHand(who: Agent, held: Flight, page: u32, write: bool): void {
  setPte(page, pte(page) | PTE_A | (write ? PTE_D : 0));
  recheck(page, who.clock);
  held.frame = frameOf(page);
  held.written = (entryOf(page) & ENTRY_W) != 0 ? 1 : 0;
  held.stale = held.squashed = 0;
  held.holds = IN_HAND;
  held.owner = page + 1;
  who.phase = INSTALL;
  spend(who, CAUSE_PAGE_REQUEST, cost(COST_PTE_SET));
}
/** It goes in unless the fault has met an invalidation, and is begun anew. */
function install(who: Agent, held: Flight, page: u32): void {
  if (held.holds == 0 || (setting(SET_IDEAL) != 0 && held.squashed != 0)) {
    bump(N_FAULT_RETRIES);
    held.holds = held.squashed = 0;
    who.phase = FAULT;
    return;
  }
  keep(own, held, who.clock);
  if (held.stale != 0) staleCopyGone(page, who.clock);
  held.holds = held.stale = 0;
  askAgain(who, held);
}

/** The page request is answered: the device asks for the translation anew. */
function askAgain(who: Agent, held: Flight): void {
  held.squashed = 0;
  who.phase = ARRIVE;
}

function goBack(who: Agent, place: u32): void {
  if (!hasAts()) {
    fly(who, place);
    return;
  }
  who.phase = RETURN;
  spend(who, CAUSE_TRANSLATION, half());
}

/** Translated: on its way to memory. */
function fly(who: Agent, place: u32): void {
  add(N_DEVICE_STALL_PS, who.clock - request(place).issued);
  flight(place).holds = AT_DEVICE;
  who.phase = LAND;
  spend(who, CAUSE_DEVICE, cost(COST_DMA));
}

function land(who: Agent, held: Flight, page: u32, write: bool): void {
  tell(who, held.stale != 0 ? LANDS_STALE : LANDS, write, page);
  const owner = held.owner - 1;
  const freed = (held.frame & FREED) != 0;
  if (!meets(owner, page)) {
    // By a domain's translation, or that of who had the PASID before: S1 if its frame is free by now.
    if (!isHandedOver()) violation(N_S7, 7, page, who.id, who.clock, <u32>cursor());
    else if (!freed) violation(N_S2X, 8, page, who.id, who.clock, <u32>cursor());
  }
  if (held.stale != 0) {
    const same = (pte(owner) & PTE_P) != 0 && frameOf(owner) == held.frame;
    if (!freed && isOthers(owner, held.frame)) violation(N_S2X, 8, page, who.id, who.clock, <u32>cursor());
    landStale(owner, write, freed, same, who.id, who.clock, <u32>cursor());
    staleCopyGone(owner, who.clock);
  }
  rest(who);
}

/** The access is over, and the place free. */
function rest(who: Agent): bool {
  leavePlace(who.id - first);
  clearRequest(who.id - first);
  if (hasPri()) forgetRequest(who.id - first);
  who.phase = REST;
  landed(who.id - first, who.clock);
  block(who, CAUSE_IDLE);
  return true;
}
