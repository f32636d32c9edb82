// Several consumers on one mm (Linux mm/mmu_notifier.c): which of them is in hand, with all that belongs to its side of the
// engine below its device. A CPU that calls one of them takes it in hand for that step.
import { addBank, bank, banks, beginSwap, KEPT_BYTES, MAX_CONSUMERS, takeBank } from './bank';
import { initConsumer, swapConsumer } from './consumer';
import { addCounters, swapCounters } from './counters';
import { initEventLog, swapEventLog } from './eventlog';
import { initIommu, swapIommu } from './iommu';
import { CONFIG_BYTES, keepConfig, readConfig, takeConfig } from './layout';
import { initPasid, reachable, swapPasid } from './pasid';
import { initPending, swapPending } from './pending';
import { initRegisters, swapRegisters } from './registers';
import { initRing, swapRing } from './ring';
import { hasStaleCopy } from './safety';
import { holdsStale, initSecondary, turnTo } from './space';
import { initStructures, swapStructures } from './structures';
import { initSubmit, swapSubmit } from './submit';

const kept: usize = memory.data(KEPT_BYTES);
const configs: usize = memory.data(<i32>MAX_CONSUMERS * <i32>CONFIG_BYTES);

/** Takes a consumer in hand. */
export function select(next: u32): void {
  if (next == bank) return;
  turnTo(next);
  beginSwap(kept, bank, next);
  swapCounters();
  swapRegisters();
  swapEventLog();
  swapRing();
  swapIommu();
  swapPending();
  swapPasid();
  swapStructures();
  swapConsumer();
  swapSubmit();
  takeConfig(configs + <usize>next * CONFIG_BYTES);
  takeBank(next);
}

/** One more consumer, by the settings that the host has written; it is in hand then. Its IOMMU and its link are agents. */
export function addConsumer(hardware: u32, link: u32): void {
  if (banks == 1) keepConfig(configs);
  const added = addBank();
  select(added);
  readConfig();
  keepConfig(configs + <usize>added * CONFIG_BYTES);
  addCounters();
  initSecondary();
  initHardware(hardware, link);
}
/** The IOMMU of the consumer in hand, and its driver. */
export function initHardware(hardware: u32, link: u32): void {
  initRegisters();
  initEventLog();
  initRing();
  initIommu();
  initPending(hardware, link);
  initPasid();
  initStructures();
  initConsumer();
  initSubmit(hardware);
}

/** Whether an old copy of the page can be used before hardware has dropped it: one that is behind no deferred invalidation. */
export function canReach(page: u32): bool {
  if (banks == 1) return reachable();
  if (!hasStaleCopy(page)) return true;
  const home = bank;
  let found = false;
  for (let i: u32 = 0; i < banks && !found; i++) {
    select(i);
    found = reachable() && holdsStale(page);
  }
  select(home);
  return found;
}
