import { CALLBACKS, type Consumer, hears, pricedAs } from '../model/consumer.ts';
import { consumersOf } from '../model/consumers.ts';
import { type CostKey, type Costs, costPs } from '../model/cost.ts';
import { type HazardName, INVALIDATION_TIMEOUT, LOST_EVERY, MALFORMED_EVERY, REPEATED_EVERY } from '../model/hazard.ts';
import { consumerOf, drainsOnItsWay, hasPri, isInBlocks, type Machine, widensRanges } from '../model/machine.ts';
import { PATHS, type PathName, RECLAIM_BATCH } from '../model/path.ts';
import { type MmHalf, READS, type Step, type StepList } from '../model/policy.ts';
import { LATE_RECORDS, LATE_SHARE, type RunSetup, SEED_STEP } from '../model/run.ts';
import { type CacheShape, NO_CACHE, type Replacement } from '../model/tlb.ts';
import type { TraceCounts } from '../model/trace.ts';
import { constant } from './load.ts';

/** The one file where names and the engine's numbers meet. Numbers are read from the module's exports. */

/** Number of an exported constant. */
export type Numbers = (name: string) => number;

/** Agents of one engine: assembly/clock.ts MAX_AGENTS. */
export const MAX_AGENTS = 64;

/** The constants that a module exports. */
export function numbersOf(exports: object): Numbers {
  return (name) => {
    const value = (exports as Record<string, unknown>)[name];
    if (value === undefined) throw new Error(`the engine exports no ${name}`);
    return constant(value);
  };
}

/** Which step list of a policy belongs to which occasion of the engine. */
export const OCCASION_PATH: Readonly<Record<string, PathName>> = {
  AT_RECLAIM_SWAP: 'reclaim_swap',
  AT_RECLAIM_FILE: 'reclaim_file',
  AT_RECLAIM_LAZYFREE: 'reclaim_lazyfree',
  AT_RECLAIM_REDIRTIED: 'reclaim_redirtied',
  AT_RECLAIM_MISMATCH: 'reclaim_mismatch',
  AT_RECLAIM_UNUSED: 'reclaim_unused',
  AT_COW: 'cow',
  AT_UNMAP: 'munmap',
  AT_UNMAP_DIRTY: 'munmap_dirty',
  AT_DISCARD: 'dontneed',
  AT_LAZYFREE: 'madv_free',
  AT_PROTECT: 'mprotect',
  AT_MOVE: 'mremap',
  AT_SHARE: 'fork',
  AT_UNTRACK: 'clear_refs',
  AT_CLEAN: 'page_mkclean',
  AT_REPLACE: 'uprobe',
  AT_MERGE_PROTECT: 'ksm_write_protect',
  AT_MERGE: 'ksm_replace',
  AT_MIGRATE: 'migrate',
  AT_POISON: 'hwpoison',
  AT_COLLECT: 'migrate_vma',
  AT_INSERT: 'migrate_insert',
  AT_HINT: 'numa_hint',
  AT_MISPLACED: 'numa_migrate',
  AT_SPLIT: 'thp_split',
  AT_SPLIT_FILE: 'thp_split_file',
  AT_HUGE_COW: 'thp_cow',
  AT_COLLAPSE: 'thp_collapse',
  AT_POOL_COW: 'hugetlb_cow',
  AT_POOL_PROTECT: 'hugetlb_protect',
  AT_UNSHARE: 'hugetlb_unshare',
  AT_EXIT: 'exit',
};

const STEP: Readonly<Record<string, string>> = {
  RS: 'STEP_RANGE_START',
  RE: 'STEP_RANGE_END',
  LK: 'STEP_LOCK',
  UL: 'STEP_UNLOCK',
  PC: 'STEP_CLEAR',
  CF: 'STEP_CPU_FLUSH',
  CFq: 'STEP_CPU_DEFER',
  CFp: 'STEP_CPU_PENDING',
  CFr: 'STEP_CPU_RANGE',
  SI: 'STEP_SECONDARY',
  'SI*': 'STEP_SECONDARY_ALL',
  SIp: 'STEP_SECONDARY_PENDING',
  'SI?': 'STEP_SECONDARY_TABLES',
  // To an IOMMU the callback for one page is an invalidation of one page.
  IP: 'STEP_SECONDARY',
  CP: 'STEP_CHANGE_PTE',
  RR: 'STEP_REMOVE_RMAP',
  PP: 'STEP_PUT',
  PPc: 'STEP_PUT_CALLER',
  FREE: 'STEP_FREE',
  PTFREE: 'STEP_FREE_TABLES',
  REL: 'STEP_RELEASE',
};

const PTE: Readonly<Record<string, string>> = {
  swp: 'STEP_SET_SWAP', none: 'STEP_SET_NONE', new: 'STEP_SET_NEW', ro: 'STEP_SET_READONLY', clean: 'STEP_SET_CLEAN',
  old: 'STEP_SET_OLD', moved: 'STEP_SET_MOVED', mig: 'STEP_SET_MIGRATION', hwp: 'STEP_SET_POISON',
  numa: 'STEP_SET_NUMA', cache: 'STEP_SET_CACHE',
}; // biome-ignore format: a table

const COST: Readonly<Record<string, CostKey>> = {
  COST_FETCH: 'cpu.fetch',
  COST_ACCESS: 'cpu.access',
  COST_L2_HIT: 'cpu.l2_hit',
  COST_WALK_LEAF: 'cpu.walk_ref_leaf',
  COST_WALK_UPPER: 'cpu.walk_ref_upper',
  COST_INVLPG: 'cpu.invlpg',
  COST_FLUSH_FULL: 'cpu.flush_full',
  COST_INVLPGB: 'cpu.invlpgb',
  COST_TLBSYNC: 'cpu.tlbsync',
  COST_IPI_FIRST: 'cpu.ipi_first',
  COST_IPI_NEXT: 'cpu.ipi_next',
  COST_IPI_HANDLER: 'cpu.ipi_handler',
  COST_SYSCALL: 'syscall.entry',
  COST_LOCK: 'ptl.acquire',
  COST_UNLOCK: 'ptl.release',
  COST_HANDOFF: 'ptl.handoff',
  COST_PTE_CLEAR: 'pte.clear',
  COST_PTE_SET: 'pte.set',
  COST_RMAP: 'rmap.remove',
  COST_PUT: 'page.put',
  COST_FREE: 'page.free',
  COST_RANGE_START: 'notifier.start',
  COST_RANGE_END: 'notifier.end',
  COST_FAULT: 'fault.minor',
  COST_SWAP_IN: 'fault.swap_in',
  COST_FILE_IN: 'fault.file_in',
  COST_PAGE_COPY: 'page.copy',
  COST_PAGE_ZERO: 'page.zero',
  COST_ISOLATE: 'reclaim.isolate',
  COST_INV_PAGE: 'iotlb.inv_page',
  COST_INV_PASID: 'iotlb.inv_pasid',
  COST_INV_DOMAIN: 'iotlb.inv_domain',
  COST_INV_GLOBAL: 'iotlb.inv_global',
  COST_INV_DEVICE: 'device_tlb.inv',
  COST_DEFER: 'deferral.mark',
  COST_ACTIVATE: 'deferral.activate',
  COST_DEVICE_THINK: 'device.think',
  COST_DEVICE_HIT: 'device.translate_hit',
  COST_IOTLB_HIT: 'iommu.iotlb_hit',
  COST_TRANSLATION: 'ats.translation',
  COST_DEVICE_WALK_START: 'iommu.walk_start',
  COST_DEVICE_WALK: 'iommu.walk_ref',
  COST_DMA: 'device.dma_latency',
  COST_PAGE_REQUEST: 'device.page_request',
  COST_PRQ_INTERRUPT: 'prq.interrupt',
  COST_PRQ_REQUEST: 'prq.request',
  COST_PRI_BACKOFF: 'device.pri_backoff',
};

const SHOOTDOWN: Readonly<Record<Machine['cpu']['shootdown'], string>> = {
  ipi: 'SHOOTDOWN_IPI',
  'tlb-gen': 'SHOOTDOWN_GENERATIONS',
  invlpgb: 'SHOOTDOWN_BROADCAST',
};

const PRQ_DRAIN: Readonly<Record<Machine['driver']['prqDrain'], string>> = {
  none: 'PRQ_NOT_DRAINED',
  taken: 'PRQ_TAKEN',
  'poll-then-wait': 'PRQ_POLLED_FIRST',
  'wait-then-poll': 'PRQ_POLLED_LAST',
};
const RETRY: Readonly<Record<Consumer['retry'], string>> = {
  none: 'RETRY_NONE',
  any: 'RETRY_ANY',
  overlap: 'RETRY_OVERLAP',
};

/** Costs that depend on whose command set it is. */
function queueCosts(machine: Machine): Record<string, CostKey> {
  const amd = machine.iommu.commands === 'amd';
  return {
    COST_SUBMIT: amd ? 'amd.submit' : 'qi.submit',
    COST_SUBMIT_NEXT: amd ? 'amd.extra' : 'qi.extra',
    COST_WAIT: amd ? 'amd.wait' : 'qi.wait',
  };
}

/** Keys of all costs that a run of this machine can pay. */
export function paidCosts(machine: Machine): CostKey[] {
  const broadcasts = machine.cpu.shootdown === 'invlpgb';
  const keys = consumersOf(machine).flatMap((one) =>
    [...Object.values(COST), ...Object.values(queueCosts(one))].map((key) => pricedAs(consumerOf(one), key)),
  );
  const pri = hasPri(machine);
  return [...new Set(keys)].filter((key) => (broadcasts || !BROADCAST.has(key)) && (pri || !PRI.has(key)));
}
const BROADCAST: ReadonlySet<CostKey> = new Set(['cpu.invlpgb', 'cpu.tlbsync']);
const PRI: ReadonlySet<CostKey> = new Set(['prq.interrupt', 'prq.request', 'device.pri_backoff']);

/** Costs by the engine's index, in picoseconds. */
export function encodeCosts(costs: Costs, machine: Machine, numbers: Numbers): number[] {
  const row = new Array<number>(numbers('COSTS')).fill(0);
  for (const [name, key] of Object.entries({ ...COST, ...queueCosts(machine) }))
    row[numbers(name)] = costPs(costs, pricedAs(consumerOf(machine), key));
  return row;
}

/** Agents that a consumer has: its command processor, its link, its devices, their places in flight, the handler of page requests and its workers. */
export function agentsOf(machine: Machine, ats = machine.device.ats): number {
  const { count, outstanding } = machine.device;
  return 2 + count * (1 + outstanding) + (hasPri(machine, ats) ? 1 + machine.driver.prqWorkers : 0);
}

/** Sizes that only the trace tells. */
export interface Sizes extends Pick<TraceCounts, 'pages' | 'tables' | 'fetches'> {
  readonly posts: number;
}

/** The two settings of a cache. */
export function encodeCache({ sets, ways, replacement }: CacheShape, numbers: Numbers): [number, number] {
  return [sets, ways + encodeReplacement(replacement, numbers) * 2 ** numbers('WAYS_BITS')];
}

/** Number of a kind of replacement. */
export function encodeReplacement(replacement: Replacement, numbers: Numbers): number {
  return numbers(replacement.toUpperCase());
}

/** Settings by the engine's index, of a machine with one consumer. */
export function encodeSettings(setup: RunSetup, sizes: Sizes, numbers: Numbers): number[] {
  const { machine, device, frames } = setup;
  const { cpu, iommu, driver } = machine;
  const ats = machine.device.ats && (device?.ats ?? true);
  // A child of fork may keep as many frames as the program has pages.
  const unlimited = 2 * sizes.pages + 64;
  const memory = frames ?? unlimited;
  const low = Math.max(RECLAIM_BATCH, memory >> 5);
  const row = new Array<number>(numbers('SETTINGS')).fill(0);
  const set = (name: string, value: number): void => {
    row[numbers(name)] = value;
  };
  const cache = (name: string, shape: CacheShape): void => {
    row.splice(numbers(name), 2, ...encodeCache(shape, numbers));
  };
  set('SET_PAGES', Math.max(1, sizes.pages));
  set('SET_TABLES', Math.max(1, sizes.tables));
  // CPUs and IOMMU read the same tables.
  set('SET_FORMAT', numbers('FORMAT_X86'));
  set('SET_LEVELS', iommu.levels);
  set('SET_FRAMES', memory);
  set('SET_CPUS', setup.cpus);
  set('SET_MMAP_LOCK', setup.cpus > 1 ? 1 : 0);
  set('SET_RECLAIM', frames === null ? 0 : 1);
  set('SET_DEVICE', device === null ? 0 : 1);
  cache('SET_L1I_SETS', cpu.l1i);
  cache('SET_L1D_SETS', cpu.l1d);
  cache('SET_L2_SETS', cpu.l2);
  cache('SET_CPU_PDE_SETS', cpu.walkCache.pde);
  cache('SET_CPU_PDPTE_SETS', cpu.walkCache.pdpte);
  cache('SET_CPU_PML4E_SETS', cpu.walkCache.pml4e);
  cache('SET_IOTLB_SETS', iommu.iotlb);
  cache('SET_IOMMU_PDE_SETS', iommu.walkCache.pde);
  cache('SET_IOMMU_PDPTE_SETS', iommu.walkCache.pdpte);
  cache('SET_IOMMU_PML4E_SETS', iommu.walkCache.pml4e);
  cache('SET_DEVICE_TLB_SETS', ats ? machine.device.deviceTlb : NO_CACHE);
  set('SET_CEILING', cpu.flushCeiling);
  set('SET_SHOOTDOWN', numbers(SHOOTDOWN[cpu.shootdown]));
  set('SET_COMMANDS', iommu.commands === 'amd' ? 1 : 0);
  set('SET_RING', iommu.ring);
  set('SET_WALKERS', iommu.walkers);
  set('SET_ATS', ats ? 1 : 0);
  set('SET_DEVICES', machine.device.count);
  set('SET_EACH_DEVICE', driver.perDevice === 'all' ? 1 : 0);
  set('SET_OUTSTANDING', machine.device.count * machine.device.outstanding);
  for (const [name, value] of Object.entries(queueSettings(machine, numbers))) set(name, value);
  set('SET_DEFERRAL', driver.deferral ? 1 : 0);
  set('SET_CHANGE_PTE', driver.changePte === 'flush' ? 1 : 0);
  set('SET_ALIGNED', widensRanges(machine) ? 1 : 0);
  set('SET_HINT', driver.ih === 'leaf-only' ? 1 : 0);
  set('SET_WALK_DROPS', iommu.walkDrops === 'range' ? 1 : 0);
  const consumer = consumerOf(machine);
  const own = consumer.table === 'own';
  // A table of its own is emptied and flushed in one hold of its lock (4.13 virt/kvm/kvm_main.c: mmu_lock).
  if (own) set('SET_POLL', numbers('POLL_HELD'));
  set('SET_OWN_SETS', own ? Math.max(1, sizes.pages) : 0);
  set('SET_OWN_WAYS', 1);
  set('SET_IF_PRESENT', consumer.invalidate === 'if-present' ? 1 : 0);
  set('SET_RETRY', numbers(RETRY[consumer.retry]));
  const pri = hasPri(machine, ats);
  set('SET_PRI', pri ? machine.device.priRequests : 0);
  set('SET_PRI_GROUP', machine.device.priGroup);
  set('SET_PRQ', iommu.prq);
  set('SET_PRQ_DRAIN', numbers(PRQ_DRAIN[driver.prqDrain]));
  set('SET_PRQ_WORKERS', driver.prqWorkers);
  set('SET_PRQ_RESTARTS', driver.prqRestart ? 1 : 0);
  set('SET_PRQ_ANSWERS', iommu.prqAutoResponse ? 1 : 0);
  set('SET_DROP_ON_IDLE', machine.device.atcOnIdle === 'drop' ? 1 : 0);
  set('SET_IDEAL', setup.ideal ? 1 : 0);
  set('SET_REUSE', 1);
  set('SET_ACTIVE', device?.active ?? 0);
  set('SET_IDLE', device?.idle ?? 0);
  set('SET_LATE_SHARE', device === null ? 0 : LATE_SHARE);
  set('SET_LATE_RECORDS', LATE_RECORDS);
  set('SET_LOOKAHEAD', setup.lookahead);
  set('SET_SEED', setup.seed);
  set('SET_POSTS', Math.max(1, sizes.posts));
  set('SET_BATCH', RECLAIM_BATCH);
  set('SET_LOW', low);
  set('SET_GATHER', setup.policy.mm?.gather ?? 0);
  set('SET_HIGH', low + (low >> 1));
  set('SET_DATA_ONLY', sizes.fetches === 0 ? 1 : 0);
  return row;
}

/** Settings of the queue: what the IOMMU and the device take, and what is wrong with them. */
export function queueSettings(machine: Machine, numbers: Numbers): Record<string, number> {
  const flags = machine.hazards.filter((name) => !OF_THE_HOST.has(name));
  const own = consumerOf(machine).table === 'own'; // at hand for him who has it
  return {
    SET_CONTEXT_READS: own ? 0 : machine.iommu.contextReads,
    SET_PASID_READS: own ? 0 : machine.iommu.pasidReads,
    SET_POLL: numbers(`POLL_${machine.driver.poll.toUpperCase()}`),
    SET_BATCH_COMMANDS: machine.driver.batch,
    SET_DOMAIN_LOCK: machine.driver.domainLock ? 1 : 0,
    SET_BLOCKS: isInBlocks(machine) ? 1 : 0,
    SET_ITAGS: machine.device.itags,
    SET_CAPS: capabilities(machine, numbers),
    SET_HAZARDS: flags.reduce((sum, name) => sum + numbers(`HAZARD_${name.toUpperCase().replaceAll('-', '_')}`), 0),
    SET_LOSES: machine.hazards.includes('lost-invalidation') ? LOST_EVERY : 0,
    SET_TIMEOUT: INVALIDATION_TIMEOUT,
    SET_REPEATS: machine.hazards.includes('answered-twice') ? REPEATED_EVERY : 0,
    SET_MALFORMS: machine.hazards.includes('malformed-command') ? MALFORMED_EVERY : 0,
  };
}
/** Hazards that are in what a driver submits, or are a number. */
const OF_THE_HOST: ReadonlySet<HazardName> = new Set([
  'am-not-widened',
  'device-tlb-before-iotlb',
  'lost-invalidation',
  'answered-twice',
  'malformed-command',
  'mamv-not-checked',
  'no-flush-on-map',
]);

/**
 * What commands the IOMMU takes. VT-d's shared virtual memory is that of 2.x, whose driver did not look at MAMV, and whose
 * hardware is taken to accept any address mask (assumed), but where just that is the hazard.
 */
function capabilities(machine: Machine, numbers: Numbers): number {
  const { family, iommu, hazards } = machine;
  const bits = (...names: string[]): number => names.reduce((sum, name) => sum + numbers(`CAP_${name}`), 0);
  if (iommu.commands === 'amd') return bits('PREFSUP', 'PPRSUP', 'GTSUP', 'IASUP');
  const asks = family === 'dma' || hazards.includes('mamv-not-checked');
  const drains = drainsOnItsWay(machine) ? bits('PDS') : 0;
  return (family === 'mm' ? bits('ECS') : 0) + drains + (asks ? iommu.maxAm : bits('MAMV'));
}

/** What the engine's numbers of steps are called in step lists; `RE!` is two of them. */
export function stepWords(numbers: Numbers): Map<number, string> {
  const set = Object.entries(PTE).map(([state, name]): [number, string] => [numbers(name), `PS(${state})`]);
  return new Map([
    // The last word of a number stays: IP is SI of one page.
    ...Object.entries(STEP)
      .reverse()
      .map(([word, name]): [number, string] => [numbers(name), word]),
    ...set,
    [numbers('STEP_SECONDARY_END'), 'RE!'],
    [numbers('STEP_ZAP'), 'zap'],
    [numbers('STEP_END'), 'END'],
  ]);
}

/** Settings and costs of each consumer of the machine; those of the first say how many agents the others have. */
export function encodeConsumers(
  setup: RunSetup,
  sizes: Sizes,
  numbers: Numbers,
): { settings: number[]; costs: number[] }[] {
  const all = consumersOf(setup.machine);
  const ats = setup.device?.ats ?? true;
  const more = all.slice(1).reduce((sum, machine) => sum + agentsOf(machine, ats && machine.device.ats), 0);
  return all.map((machine, i) => {
    const seed = setup.seed + i * SEED_STEP;
    const settings = encodeSettings({ ...setup, machine, seed }, sizes, numbers);
    if (i === 0) settings[numbers('SET_MORE_AGENTS')] = more;
    return { settings, costs: encodeCosts(setup.costs, machine, numbers) };
  });
}

/** The parts of a list, each closed with END: what is done first, once per batch, and per page at its end. */
export function encodeList(
  name: PathName,
  list: StepList,
  consumers: readonly Consumer[],
  numbers: Numbers,
): number[][] {
  const codes: number[][] = [[], [], []];
  const batch = PATHS[name].kind === 'batch';
  let part = 0;
  const put = (items: StepList['items']): void => {
    for (const item of items) {
      if (item.kind === 'note') {
        if (READS.has(item.word)) codes[part]!.push(numbers('STEP_READ'));
        continue;
      }
      if (item.kind === 'step') {
        codes[part]!.push(...encodeStep(item, consumers, numbers));
        if (item.word === 'PC' && !hasPte(list)) codes[part]!.push(numbers('STEP_SET_NONE'));
        continue;
      }
      if (batch && codes[part]!.length > 0) part = 2;
      const fills = item.body.some((inner) => inner.kind === 'step' && inner.whenFull);
      if (!batch) codes[part]!.push(numbers('STEP_LOOP') + (fills ? numbers('STEP_WHEN_FULL') : 0));
      put(item.body);
      if (!batch) codes[part]!.push(numbers('STEP_AGAIN'));
      else part = 1;
    }
  };
  put(list.items);
  return codes.map((code) => [...code, numbers('STEP_END')]);
}

/** Whether a list says what becomes of the PTE; if not, nothing is left of it. */
function hasPte(list: StepList): boolean {
  return list.text.includes('PS(');
}

/** What a step is: a callback that a consumer does not have is none of its. */
function encodeStep(step: Step, consumers: readonly Consumer[], numbers: Numbers): number[] {
  const called = CALLBACKS.has(step.word) ? consumers : consumers.slice(0, 1);
  const added = step.whenFull ? numbers('STEP_WHEN_FULL') : 0;
  return called.flatMap((consumer, i) =>
    encodeFor(step, consumer, numbers).map((code) => code + added + i * numbers('STEP_CONSUMER')),
  );
}
function encodeFor(step: Step, consumer: Consumer, numbers: Numbers): number[] {
  const { word } = step;
  if (word === 'PS') return [numbers(PTE[step.pte!]!)];
  const zaps = consumer.start === 'zap' ? [numbers('STEP_ZAP')] : [];
  if (word === 'RS') return [numbers('STEP_RANGE_START'), ...zaps];
  // Who is told at range_start empties its table in its release callback, too (virt/kvm/kvm_main.c kvm_mmu_notifier_release).
  if (word === 'REL') return [numbers('STEP_RELEASE'), ...zaps];
  const heard = hears(consumer, word);
  if (word === 'RE!') return [...(heard ? [numbers('STEP_SECONDARY_END')] : []), numbers('STEP_RANGE_END')];
  return heard ? [numbers(STEP[word]!)] : [];
}

/** All lists of a policy for the consumers of an address space: occasion, part, steps. A fault has a list of the engine's own. */
export function encodePolicy(
  mm: MmHalf,
  consumers: readonly Consumer[],
  numbers: Numbers,
): { occasion: number; parts: number[][] }[] {
  const lists = Object.entries(OCCASION_PATH).map(([occasion, path]) => ({
    occasion: numbers(occasion),
    parts: encodeList(path, mm.paths[path], consumers, numbers),
  }));
  const fault = ['STEP_LOCK', 'STEP_SET_NEW', 'STEP_UNLOCK', 'STEP_END'].map(numbers);
  return [...lists, { occasion: numbers('AT_FAULT'), parts: [fault, [], []] }];
}
