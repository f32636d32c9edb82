// Counters and histograms. u64 columns; the host reads them as two u32 each and knows their names by position.
import { swap } from './bank';
import { region } from './layout';
import { OCCASIONS } from './ops';

export const N_L1I_HIT: u32 = 0;
export const N_L1I_MISS: u32 = 1;
export const N_L1D_HIT: u32 = 2;
export const N_L1D_MISS: u32 = 3;
export const N_L2_HIT: u32 = 4;
export const N_L2_MISS: u32 = 5;
export const N_WALK_CACHE_HIT: u32 = 6; //   walks that a walk cache shortened
export const N_WALK_CACHE_MISS: u32 = 7;
export const N_WALKS: u32 = 8; //            by CPUs and by the IOMMU
export const N_WALK_REFS: u32 = 9;
export const N_FAULTS: u32 = 10;
export const N_IOTLB_HIT: u32 = 11;
export const N_IOTLB_MISS: u32 = 12;
export const N_DEVICE_HIT: u32 = 13;
export const N_DEVICE_MISS: u32 = 14;
export const N_PAGE_REQUESTS: u32 = 15;
export const N_DEVICE_FAULTS: u32 = 16; //   accesses to pages that the program has unmapped: denied
export const N_DMA: u32 = 17;
export const N_DMA_LATE: u32 = 18; //        of them, on pages unmapped shortly before
export const N_IOTLB_PAGE: u32 = 19;
export const N_IOTLB_RANGE: u32 = 20;
export const N_IOTLB_PASID: u32 = 21;
export const N_IOTLB_DOMAIN: u32 = 22;
export const N_IOTLB_GLOBAL: u32 = 23;
export const N_DEVICE_TLB: u32 = 24;
export const N_WAIT: u32 = 25;
export const N_CPU_PAGE: u32 = 26;
export const N_CPU_FULL: u32 = 27;
export const N_IPI: u32 = 28;
export const N_DEFERRED: u32 = 29;
export const N_SECONDARY: u32 = 30; //       invalidations of the secondary MMU asked for, deferred ones included
export const N_OVER: u32 = 31; //            entries of the IOTLB and device TLB dropped though valid
export const N_UNMAPPED: u32 = 32; //        pages whose PTE stopped translating
export const N_RECLAIMED: u32 = 33;
export const N_STALE: u32 = 34;
export const N_IN_FLIGHT: u32 = 35;
export const N_ALLOWED: u32 = 36;
export const N_S1_READ: u32 = 37;
export const N_S1_WRITE: u32 = 38;
export const N_S2: u32 = 39;
export const N_S3: u32 = 40;
export const N_EXPOSED: u32 = 41; //         obligation points that a reachable old copy survived
export const N_WINDOWS_EMPTY: u32 = 42;
export const N_CPU_STALE: u32 = 43;
export const N_SWAP_INS: u32 = 44;
export const N_COMPUTE: u32 = 45; //         fetches and data accesses done
export const N_LOCK_WAITS: u32 = 46;
export const N_ACTIVATIONS: u32 = 47;
export const N_LOCK_WAIT_PS: u32 = 48; //    page-table locks
export const N_QUEUE_WAIT_PS: u32 = 49; //   the invalidation queue's lock
export const N_DEVICE_STALL_PS: u32 = 50;
export const N_IOTLB_EVICTED: u32 = 51;
export const N_S6: u32 = 52; //             IOVAs handed out before their last invalidation was complete
export const N_MISDIRECTED: u32 = 53; //    accesses to an IOVA that belongs to another mapping by now
export const N_SHARED: u32 = 54; //         stale uses after the obligation, of a frame that is not free
export const N_QUEUED: u32 = 55; //         unmaps put on a flush queue
export const N_QUEUE_FULL: u32 = 56; //     flushes because a queue was full,
export const N_QUEUE_TIMER: u32 = 57; //    or old
export const N_IOVA_SLOW: u32 = 58; //      IOVAs from the tree
export const N_IOVA_REUSED: u32 = 59; //    IOVAs from a magazine
export const N_MAPPED: u32 = 60; //         pages mapped
export const N_ITAG_STALLS: u32 = 61; //    commands that waited for a free ITag
export const N_ABORTED: u32 = 62; //        waits that a time-out aborted
export const N_RETRIES: u32 = 63; //        submissions that were submitted anew after a time-out
export const N_IOVA_WAIT_PS: u32 = 64; //   locks of the IOVA trees
export const N_S4: u32 = 65;
export const N_MMAP_WAIT_PS: u32 = 66; //   mmap_lock
export const N_S7: u32 = 67;
export const N_SPURIOUS: u32 = 68; //       faults of pages that are present, by an entry that says they are not
export const N_S5: u32 = 69;
export const N_S2X: u32 = 70;
export const N_PASID_ENTRY: u32 = 71; //     commands about the PASID cache
export const N_SKIPPED: u32 = 72; //         invalidations that found nothing to flush
export const N_FAULT_RETRIES: u32 = 73; //   faults of a consumer that were begun anew
export const N_PRI_GROUPS: u32 = 74; //      groups of page requests that a device has sent
export const N_PRQ_OVERFLOWS: u32 = 75; //   times that their queue was full: until software has seen to it,
export const N_PRQ_DROPPED: u32 = 76; //     requests are dropped,
export const N_AUTO_ANSWERS: u32 = 77; //    or the last of a group is answered by the IOMMU
export const N_PAGE_RESPONSES: u32 = 78; //  commands that answer a group
export const N_CALLBACK_PS: u32 = 79; //     of several consumers: in the callbacks of this one
export const N_REFUSED: u32 = 80; //         commands that the IOMMU refused
export const N_EVENTS: u32 = 81; //          entries of AMD's event log
export const N_STRANGE: u32 = 82; //         answers of devices that nobody waited for
export const N_CPU_PENDING: u32 = 83; //     CPU flushes of what a batch of reclaim had put off
export const N_CPU_LATE: u32 = 84; //        of N_CPU_STALE, those that a call of the program should have ended
export const N_CONTEXT_HIT: u32 = 85; //     walks whose context entry or DTE the IOMMU held
export const N_CONTEXT_MISS: u32 = 86;
export const N_PASID_HIT: u32 = 87; //       the same of the entry of their PASID
export const N_PASID_MISS: u32 = 88;
export const N_PATH_COUNT: u32 = 89; //      per occasion from here on: runs,
export const N_PATH_PAGES: u32 = N_PATH_COUNT + OCCASIONS; // pages,
export const N_PATH_SECONDARY: u32 = N_PATH_PAGES + OCCASIONS; // invalidations of the secondary MMU,
export const N_PATH_PS: u32 = N_PATH_SECONDARY + OCCASIONS; // time
export const COUNTERS: u32 = N_PATH_PS + OCCASIONS;

/** First of each property's violation: page, record of the change, record of the use, agent, time; u64 each. */
export const FIRST_WORDS: u32 = 6;

let counters: usize = 0; // u64[COUNTERS]: of the consumer in hand, or of one of its devices
let whole: usize = 0; //   u64[COUNTERS]: of the consumer, but for what its devices count
let each: usize = 0; //    u64[devices][COUNTERS], where there are several; or 0
let histograms: usize = 0;
export let first: usize = 0; // u64[FIRST_WORDS]: property 1..7 or 8 S2x, page, change time, use time, agent, record; 0 = none

// Histogram: 32 sub-buckets per power of two, as HdrHistogram with 5 bits; below 32 a bucket a value.
const SUB_LG2: u32 = 5;
const BUCKETS: u32 = (54 - SUB_LG2) << SUB_LG2;
/** u64 count, sum, max, then u32[BUCKETS]. */
const HISTOGRAM_BYTES: usize = 24 + (<usize>BUCKETS << 2);

export const H_WINDOW: u32 = 0;
export const H_EXPOSED: u32 = 1;
export const H_CPU_WINDOW: u32 = 2;
export const H_LOCK_HOLD: u32 = 3;
const HISTOGRAMS: u32 = 4;

export function initCounters(): void {
  counters = whole = region(<usize>COUNTERS << 3);
  each = 0;
  histograms = region(<usize>HISTOGRAMS * HISTOGRAM_BYTES);
  first = region(<usize>FIRST_WORDS << 3);
}
/** Nothing has been counted yet, and no property has broken. */
export function clearCounters(): void {
  memory.fill(whole, 0, first + (<usize>FIRST_WORDS << 3) - whole);
}
/** Counters of one more consumer; histograms are of all. */
export function addCounters(): void {
  counters = whole = region(<usize>COUNTERS << 3);
  each = 0;
}
/** Each of several devices of the consumer in hand has counters of its own, too. */
export function addDeviceCounters(devices: u32): void {
  each = region(<usize>(devices * COUNTERS) << 3);
}
export function swapCounters(): void {
  counters = swap(counters);
  whole = swap(whole);
  each = swap(each);
}
/** From here on it is counted for one of several devices, */
@inline
export function countFor(device: u32): void {
  if (each != 0) counters = each + (<usize>(device * COUNTERS) << 3);
}
/** or for none of them. */
@inline
export function countForAll(): void {
  counters = whole;
}
/** Of the consumer in hand, but for what several devices have counted. */
export function countersAt(): usize {
  return whole;
}
/** Of one of several devices. */
export function deviceCountersAt(device: u32): usize {
  return each + (<usize>(device * COUNTERS) << 3);
}
export function firstAt(): usize {
  return first;
}
export function histogramAt(which: u32): usize {
  return histograms + <usize>which * HISTOGRAM_BYTES;
}

@inline
export function add(counter: u32, n: u64): void {
  const at = counters + (<usize>counter << 3);
  store<u64>(at, load<u64>(at) + n);
}
@inline
export function bump(counter: u32): void {
  add(counter, 1);
}

/** Records a duration in picoseconds. */
export function record(which: u32, ps: u64): void {
  const at = histogramAt(which);
  store<u64>(at, load<u64>(at) + 1);
  store<u64>(at + 8, load<u64>(at + 8) + ps);
  if (ps > load<u64>(at + 16)) store<u64>(at + 16, ps);
  const power: u32 = 63 - <u32>clz(ps | 1);
  const bucket = power < SUB_LG2 ? <u32>ps : ((power - SUB_LG2 + 1) << SUB_LG2) + (<u32>(ps >> (power - SUB_LG2)) & 31);
  const slot = at + 24 + (<usize>min(bucket, BUCKETS - 1) << 2);
  store<u32>(slot, load<u32>(slot) + 1);
}

/** Upper bound, in picoseconds, of the bucket that holds the nearest-rank `perMille` of a histogram; 0 of an empty one. */
export function percentile(which: u32, perMille: u32): f64 {
  const at = histogramAt(which);
  const count = load<u64>(at);
  if (count == 0) return 0;
  let rank = (count * perMille + 999) / 1000;
  for (let bucket: u32 = 0; bucket < BUCKETS; bucket++) {
    const n = <u64>load<u32>(at + 24 + (<usize>bucket << 2));
    if (n >= rank) return min(<f64>upper(bucket), <f64>load<u64>(at + 16));
    rank -= n;
  }
  return <f64>load<u64>(at + 16);
}

function upper(bucket: u32): u64 {
  const power = bucket >> SUB_LG2;
  if (power == 0) return bucket;
  return ((<u64>(32 + (bucket & 31)) + 1) << (power - 1)) - 1;
}
