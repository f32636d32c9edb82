// Whether a device is using the address space, and VT-d 2.x deferred invalidation: an idle PASID is marked instead of
// invalidated, and hardware makes up for it when the PASID next becomes active (Linux 4.12 drivers/iommu/intel-svm.c
// intel_flush_svm_range; VT-d 2.x extended context, PASID-state table).
import { swap } from './bank';
import { bump, N_ACTIVATIONS, N_DEFERRED } from './counters';
import { hazard, HAZARD_ACTIVATION_WITHOUT_FLUSH, HAZARD_READ_THEN_SET } from './hazard';
import { region, setting } from './layout';
import { SET_DEFERRAL, SET_DROP_ON_IDLE } from './ops';
import { deviceCount, deviceTlb, dropCopies, dropIotlb, iommuStage } from './space';
import { emptyWalker } from './walk';

/** Of a PASID-state entry: an invalidation is deferred. */
const DINV: u64 = 1 << 63;
/** One active reference; the count is bits 47:32. */
const REFERENCE: u64 = 1 << 32;

let entry: usize = 0; // u64 PASID-state entry, u32 1: the PASID table has no entry of the space any more

export function initPasid(): void {
  entry = region(16);
}
export function swapPasid(): void {
  entry = swap(entry);
}
/** Address of the PASID-state entry. */
export function pasidStateAt(): usize {
  return entry;
}
@inline
function deferred(): bool {
  return (load<u64>(entry) & DINV) != 0;
}

/** The notifier is released: what devices ask for from here on is denied, and invalidations are no longer deferred. */
export function releaseSpace(): void {
  store<u32>(entry, 1, 8);
}
@inline
export function isReleased(): bool {
  return load<u32>(entry, 8) != 0;
}

/** Whether a device uses the space. */
export function isActive(): bool {
  return (load<u64>(entry) & ~DINV) != 0;
}

/** Whether an entry of a cache can be used before hardware has dropped it. */
@inline
export function reachable(): bool {
  return load<u64>(entry) != DINV;
}

/** One atomic compare: an idle, unmarked PASID is marked and nothing is flushed. Returns whether that was so. */
export function markDeferred(): bool {
  if (load<u64>(entry) != 0) return false;
  store<u64>(entry, DINV);
  return true;
}
// How far a deferral has come.
export const FLUSHES: u32 = 0; // there is none
export const DEFERRED: u32 = 1;
export const HAS_READ: u32 = 2; // the entry was 0 and has yet to be marked

/** Defers an invalidation if it may be. */
export function defer(): u32 {
  if (setting(SET_DEFERRAL) == 0 || isReleased()) return FLUSHES;
  if (hazard(HAZARD_READ_THEN_SET)) return load<u64>(entry) == 0 ? HAS_READ : FLUSHES;
  if (!markDeferred()) return FLUSHES;
  bump(N_DEFERRED);
  return DEFERRED;
}
/** Marks the entry, whatever it has become. */
export function markLate(): void {
  store<u64>(entry, load<u64>(entry) | DINV);
  bump(N_DEFERRED);
}

/** A device begins to use the space. Returns whether a deferred invalidation was carried out, in the TLBs of all devices. */
export function activate(now: u64): bool {
  bump(N_ACTIVATIONS);
  store<u64>(entry, load<u64>(entry) + REFERENCE);
  if ((load<u64>(entry) & ~DINV) != REFERENCE || !deferred()) return false;
  store<u64>(entry, load<u64>(entry) & ~DINV);
  if (hazard(HAZARD_ACTIVATION_WITHOUT_FLUSH)) return false;
  dropIotlb(0, u64.MAX_VALUE, now);
  for (let i: u32 = 0; i < deviceCount; i++) dropCopies(deviceTlb(i), 0, u64.MAX_VALUE, now);
  emptyWalker(iommuStage.walker);
  return true;
}

/** A device stops using it; no request of it is in flight. Its TLB keeps what it has unless the machine says otherwise. */
export function deactivate(device: u32, now: u64): void {
  store<u64>(entry, load<u64>(entry) - REFERENCE);
  if (setting(SET_DROP_ON_IDLE) != 0) dropCopies(deviceTlb(device), 0, u64.MAX_VALUE, now);
}
