// Whether a device is using the address space, and VT-d 2.x deferred invalidation: an idle PASID is marked instead of
// invalidated, and hardware makes up for it when the PASID next becomes active (Linux 4.12 drivers/iommu/intel-svm.c
// intel_flush_svm_range; VT-d 2.x extended context, PASID-state table).
import { bump, N_ACTIVATIONS, N_DEFERRED } from './counters';
import { region, setting } from './layout';
import { SET_DEFERRAL, SET_DROP_ON_IDLE } from './ops';
import { deviceTlb, dropCopies, iommuWalker, iotlb } from './space';
import { emptyWalker } from './walk';

let state: usize = 0; // u32 active count, u32 deferred invalidation pending

export function initPasid(): void {
  state = region(8);
}

/** Whether an entry can be used before hardware has dropped it. */
@inline
export function reachable(): bool {
  return load<u32>(state, 4) == 0;
}

/** One atomic compare: an idle, unmarked PASID is marked and nothing is flushed. Returns whether that was so. */
export function defer(): bool {
  if (setting(SET_DEFERRAL) == 0 || load<u64>(state) != 0) return false;
  store<u32>(state, 1, 4);
  bump(N_DEFERRED);
  return true;
}

/** The device begins to use the space. Returns whether a deferred invalidation was carried out. */
export function activate(now: u64): bool {
  bump(N_ACTIVATIONS);
  store<u32>(state, load<u32>(state) + 1);
  if (load<u32>(state) != 1 || load<u32>(state, 4) == 0) return false;
  store<u32>(state, 0, 4);
  dropCopies(iotlb, 0, u64.MAX_VALUE, now);
  dropCopies(deviceTlb, 0, u64.MAX_VALUE, now);
  emptyWalker(iommuWalker);
  return true;
}

/** The device stops using it; no request is in flight. Its TLB keeps what it has unless the machine says otherwise. */
export function deactivate(now: u64): void {
  store<u32>(state, load<u32>(state) - 1);
  if (setting(SET_DROP_ON_IDLE) != 0) dropCopies(deviceTlb, 0, u64.MAX_VALUE, now);
}
