import { type CostKey, costPs } from '../model/cost.ts';
import type { DmaSetup } from '../model/dma.ts';
import { UsageError } from '../model/errors.ts';
import { type Iommu, LEAF_ORDER, type Machine, submission, widensRanges } from '../model/machine.ts';
import type { DmaHalf, LazyUnmap } from '../model/policy.ts';
import { NO_CACHE } from '../model/tlb.ts';
import { encodeCache, encodeCosts, MAX_AGENTS, type Numbers, queueSettings } from './encode.ts';

/** Costs that only the DMA API pays. */
const COST: Readonly<Record<string, CostKey>> = {
  COST_IOVA_ALLOC: 'iova.alloc',
  COST_IOVA_ALLOC_SLOW: 'iova.alloc_slow',
  COST_IOVA_FREE: 'iova.free',
  COST_IOVA_FREE_SLOW: 'iova.free_slow',
  COST_ENQUEUE: 'fq.enqueue',
  COST_MAP_CALL: 'io_pte.map_call',
  COST_MAP_PAGE: 'io_pte.map_page',
  COST_UNMAP_CALL: 'io_pte.unmap_call',
  COST_UNMAP_PAGE: 'io_pte.unmap_page',
};

/** What a hypervisor that emulates the IOMMU takes. */
export const SHADOW_COST: Readonly<Record<string, CostKey>> = {
  COST_EXIT: 'viommu.exit',
  COST_SHADOW: 'viommu.entry',
};

/** Costs that a run of a DMA recording can pay, beside those of the queue. */
export const DMA_COSTS: readonly CostKey[] = [
  ...Object.values(COST),
  'iotlb.inv_page',
  'iotlb.inv_domain',
  'device_tlb.inv',
  'iommu.iotlb_hit',
  'iommu.walk_start',
  'iommu.walk_ref',
  'ats.translation',
  'device.translate_hit',
  'device.dma_latency',
];

const UNMAP: Readonly<Record<DmaHalf['unmap'], string>> = {
  strict: 'UNMAP_STRICT',
  lazy: 'UNMAP_LAZY',
  never: 'UNMAP_NEVER',
};

/** Rules of the I/O page tables. */
const FORMAT: Readonly<Record<Iommu['pageTable'], string>> = {
  amdv1: 'FORMAT_AMD_V1',
  amdv2: 'FORMAT_X86',
  vtdss: 'FORMAT_SECOND',
  x86_64: 'FORMAT_FIRST',
};

const DRAIN: Readonly<Record<LazyUnmap['flush'], string>> = {
  domain: 'DRAIN_DOMAIN',
  'each-domain': 'DRAIN_EACH',
  global: 'DRAIN_GLOBAL',
};

/** Page numbers of a domain's allocator, from 0 up. */
const MAX_IOVAS = 1 << 22;
const PS_PER_S = 1e12;
const PS_PER_MS = 1e9;

/** Sizes that only the recording tells. */
export interface DmaSizes {
  readonly cpus: number;
  readonly devices: number;
  /** Of the domain that has most. */
  readonly devicesOfOne: number;
  readonly spaces: number;
  readonly records: number;
  readonly instances: number;
  /** Pages of all mappings. */
  readonly pages: number;
  readonly frames: number;
}

/** Costs by the engine's index, in picoseconds. */
export function encodeDmaCosts({ costs, machine }: DmaSetup, numbers: Numbers): number[] {
  const row = encodeCosts(costs, machine, numbers);
  for (const [name, key] of Object.entries({ ...COST, ...SHADOW_COST })) row[numbers(name)] = costPs(costs, key);
  return row;
}

/** Settings by the engine's index. */
export function encodeDmaSettings(setup: DmaSetup, sizes: DmaSizes, numbers: Numbers): number[] {
  const { machine, policy } = setup;
  const { iommu, device, iova } = machine;
  check(setup, sizes);
  const row = new Array<number>(numbers('SETTINGS')).fill(0);
  const set = (name: string, ...values: number[]): void => {
    values.forEach((value, i) => {
      row[numbers(name) + i] = value;
    });
  };
  const dma = policy.dma!;
  set('SET_PAGES', Math.max(1, sizes.pages));
  set('SET_TABLES', Math.min(sizes.pages, sizes.spaces * Math.ceil((iova!.limitPfn + 1) / 512)) + 1);
  set('SET_FRAMES', Math.max(1, sizes.frames));
  set('SET_CPUS', sizes.cpus);
  set('SET_IOTLB_SETS', ...encodeCache(iommu.iotlb, numbers));
  if (iommu.iotlbLarge !== 'shared') set('SET_LARGE_IOTLB_SETS', ...encodeCache(iommu.iotlbLarge, numbers));
  if (iommu.iotlbHuge !== 'shared') set('SET_HUGE_IOTLB_SETS', ...encodeCache(iommu.iotlbHuge, numbers));
  set('SET_SPLIT', (iommu.iotlbLarge === 'shared' ? 0 : 1) | (iommu.iotlbHuge === 'shared' ? 0 : 2));
  set('SET_IOMMU_PDE_SETS', ...encodeCache(iommu.walkCache.pde, numbers));
  set('SET_IOMMU_PDPTE_SETS', ...encodeCache(iommu.walkCache.pdpte, numbers));
  set('SET_IOMMU_PML4E_SETS', ...encodeCache(iommu.walkCache.pml4e, numbers));
  set('SET_DEVICE_TLB_SETS', ...encodeCache(device.ats ? device.deviceTlb : NO_CACHE, numbers));
  set('SET_COMMANDS', iommu.commands === 'amd' ? 1 : 0);
  set('SET_RING', iommu.ring);
  set('SET_LEVELS', iommu.levels);
  set('SET_FORMAT', numbers(FORMAT[iommu.pageTable]));
  set('SET_WALKERS', iommu.walkers);
  set('SET_ATS', device.ats ? 1 : 0);
  set('SET_OUTSTANDING', device.outstanding * sizes.devices);
  for (const [name, value] of Object.entries(queueSettings(machine, numbers))) set(name, value);
  set('SET_ALIGNED', widensRanges(machine) ? 1 : 0);
  set('SET_HINT', machine.driver.ih === 'leaf-only' ? 1 : 0);
  set('SET_WALK_DROPS', iommu.walkDrops === 'range' ? 1 : 0);
  set('SET_IDEAL', setup.ideal ? 1 : 0);
  set('SET_SEED', setup.seed);
  set('SET_DMA', 1);
  set('SET_SPACES', sizes.spaces);
  set('SET_DEVICES', sizes.devices);
  set('SET_INSTANCES', Math.max(1, sizes.instances));
  set('SET_RECORDS', sizes.records);
  set('SET_UNMAP', numbers(setup.ideal ? 'UNMAP_IDEAL' : UNMAP[dma.unmap]));
  set('SET_REUSE', setup.reuse === 'immediate' ? 1 : 0);
  set('SET_IOVA', iova!.limitPfn, iova!.magazine, iova!.depot, iova!.sizes);
  const tick = Math.round(PS_PER_S / machine.hz);
  if (dma.unmap === 'lazy') set('SET_DRAIN', numbers(DRAIN[dma.flush]));
  if (dma.unmap === 'lazy') set('SET_ONE_QUEUE', dma.queues === 'single' ? 1 : 0);
  if (dma.unmap === 'lazy') set('SET_QUEUE', dma.queueSize, Math.round(dma.timeoutMs * PS_PER_MS), tick);
  set('SET_MAX_ORDER', iommu.maxAm);
  set('SET_CACHES_ABSENT', machine.driver.map.length > 0 ? 1 : 0);
  set(
    'SET_LEAVES',
    leafOrders(machine).reduce((sum, order) => sum + 2 ** order, 0),
  );
  set('SET_SHADOWED', iommu.shadowed ? 1 : 0);
  return row;
}

/**
 * Orders of the large leaves that the driver maps; a table has only those of its levels. Where domains share an id there are
 * none: what an entry of two domains and several sizes is taken for is not modelled.
 */
function leafOrders({ driver, iommu, hazards }: Machine): number[] {
  if (hazards.includes('shared-domain-id')) return [];
  return driver.pageSizes.map((size) => LEAF_ORDER[size]).filter((order) => order > 0 && order < 9 * iommu.levels);
}

/** Commands of the longest submission, its wait included: each device of the domain has its own. */
function longest(machine: Machine, devices: number): number {
  const groups = (['page', 'range', 'all', 'map'] as const).flatMap((what) =>
    submission(machine, what)
      .join(' ')
      .split(/(?<=wait) /)
      .map((group) => group.split(' ')),
  );
  const lengths = groups.map((words) =>
    words.reduce((n, word) => n + (word.startsWith('device_tlb.') ? devices : 1), 0),
  );
  return Math.max(...lengths);
}

function check({ policy, machine }: DmaSetup, { cpus, devices, devicesOfOne, spaces }: DmaSizes): void {
  const what = `${policy.name} on ${machine.name}`;
  const { iova, device, iommu } = machine;
  const commands = longest(machine, devicesOfOne);
  if (commands >= iommu.ring) {
    throw new UsageError(
      `${what}: a domain has ${devicesOfOne} devices, so that up to ${commands} commands are submitted at a time, and machine.iommu.ring is ${iommu.ring}, expected more than that`,
    );
  }
  if (policy.dma!.unmap === 'lazy' && policy.dma!.flush === 'global' && device.ats) {
    throw new UsageError(
      `${what}: a global flush says nothing to the TLBs of devices; give --set machine.device.ats=false`,
    );
  }
  const agents = cpus + 2 + spaces + devices * (1 + device.outstanding);
  if (agents > MAX_AGENTS) {
    throw new UsageError(
      `${what}: ${cpus} CPUs, ${spaces} domains and ${devices} devices with ${device.outstanding} accesses in flight each are ${agents} agents, expected at most ${MAX_AGENTS}; give less with --set machine.device.outstanding=N`,
    );
  }
  if (iova!.limitPfn >= MAX_IOVAS) {
    throw new UsageError(
      `${what}: machine.iova.limit_pfn is ${iova!.limitPfn}, expected below ${MAX_IOVAS}: the engine keeps a bit per page`,
    );
  }
}
