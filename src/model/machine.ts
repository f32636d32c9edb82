/**
 * A machine: modelled hardware and the driver that submits its invalidations. Pure data; numbers come from the files
 * that users copy, nothing here has a default.
 */
import { type Consumer, SHARED_TABLE } from './consumer.ts';
import { checkDevices } from './device.ts';
import { UsageError } from './errors.ts';
import { HAZARDS, type HazardName } from './hazard.ts';
import { nearText, quote } from './near.ts';
import type { Family } from './policy.ts';
import { type CacheShape, cacheText, NO_CACHE, parseCache } from './tlb.ts';

/** Commands of a driver string: scope after the dot. `wait` returns when all before it are complete. */
export const COMMANDS = {
  'iotlb.page': 'one 4 KiB page out of the IOTLB',
  'iotlb.range': 'a power-of-two block of pages out of the IOTLB',
  'iotlb.pasid': 'one address space (PASID) out of the IOTLB and the walk caches',
  'iotlb.domain': 'one domain out of the IOTLB and the walk caches',
  'iotlb.global': 'everything out of the IOTLB and the walk caches',
  'device_tlb.page': 'one 4 KiB page out of the device TLB (ATS invalidate request)',
  'device_tlb.range': 'a power-of-two block of pages out of the device TLB',
  'device_tlb.all': 'the whole space out of the device TLB',
  wait: 'a wait descriptor, and its completion seen by the CPU',
} as const;
export type Command = keyof typeof COMMANDS;
const COMMAND_WORDS = Object.keys(COMMANDS);

/** Upper-level caches of a page walk, by the entry they hold. No sets: absent. */
export interface WalkCache {
  readonly pml4e: CacheShape;
  readonly pdpte: CacheShape;
  readonly pde: CacheShape;
}

/** CPU TLBs; one of each per CPU. */
export interface Cpu {
  readonly l1i: CacheShape;
  readonly l1d: CacheShape;
  /** Of fetches and data. No sets: absent. */
  readonly l2: CacheShape;
  readonly walkCache: WalkCache;
  /** A CPU flush of more pages drops the whole space. */
  readonly flushCeiling: number;
  /** How other CPUs' TLBs are flushed. ipi: each is interrupted (Linux to 4.13). tlb-gen: so, with generations, and idle CPUs
   * flush when they come back (since 5.0). invlpgb: by a broadcast instruction, nobody is interrupted (AMD, since 6.15). */
  readonly shootdown: 'ipi' | 'tlb-gen' | 'invlpgb';
}

/** The IOMMU of a machine: its queue, its caches, its walkers. */
export interface Iommu {
  /** Whose command set and prices: `amd.*` or `qi.*`. */
  readonly commands: 'amd' | 'vtd';
  /** Slots of the command ring. */
  readonly ring: number;
  readonly pageTable: 'amdv1' | 'amdv2' | 'vtdss' | 'x86_64';
  /** Levels of a walk to a 4 KiB page. */
  readonly levels: number;
  readonly iotlb: CacheShape;
  /** Of leaves of 2 MiB, and of 1 GiB: a structure of its own (none: such leaves are walked each time), or the one of 4 KiB. */
  readonly iotlbLarge: CacheShape | 'shared';
  readonly iotlbHuge: CacheShape | 'shared';
  /** What tells entries of one page number apart: the space (domain, PASID) or the source device. */
  readonly iotlbTag: 'space' | 'source';
  /** When a set is full: one entry goes, or the whole cache is cleared. */
  readonly iotlbFull: 'evict' | 'clear';
  /** What a page or range command drops: just that, all pages of the space that agree in the low byte of the page number,
   * or the whole space. */
  readonly pageDrops: 'range' | 'low-byte' | 'space';
  readonly walkCache: WalkCache;
  /** Of the walk caches, what a command that does not spare them drops: what leads to its range, or all of its space. */
  readonly walkDrops: 'range' | 'space';
  /** Entries that a walk reads first where no cache has them: of the device (VT-d root and context entry; AMD's DTE), and of its
   * PASID (VT-d directory and PASID entry; levels of a GCR3 table). */
  readonly contextReads: number;
  readonly pasidReads: number;
  /** Walks at a time. */
  readonly walkers: number;
  /** Largest order (log2 of pages) of a range command; a wider range is submitted as `all`. */
  readonly maxAm: number;
  /** A hypervisor emulates it: each doorbell is an exit, in which it reads the page tables of what is invalidated. Of dma
   * machines. */
  readonly shadowed: boolean;
  /** Slots of the page request queue (VT-d PRQ, AMD PPR log), one of which stays empty; 0: it is off. */
  readonly prq: number;
  /** Whether it answers what a full queue has dropped. VT-d always does, AMD if told to (PprAutoRspEn, which Linux leaves off). */
  readonly prqAutoResponse: boolean;
}

/** The devices behind the IOMMU. */
export interface Device {
  /** Address Translation Services: the device has a TLB of its own. */
  readonly ats: boolean;
  readonly deviceTlb: CacheShape;
  /** ATS invalidations in flight at a time. */
  readonly itags: number;
  /** Accesses in flight at a time. */
  readonly outstanding: number;
  /** What becomes of the device TLB when the device stops using a PASID. */
  readonly atcOnIdle: 'keep' | 'drop';
  /** Page requests that may be outstanding (PCIe PRI). 0: each is served by itself, at `device.page_request`, and any number at a
   * time. Of mm machines with ATS. */
  readonly priRequests: number;
  /** Page requests of one group at most. */
  readonly priGroup: number;
  /** How many of the kind share the IOMMU and work on the space. Of mm machines; a recording of the DMA API says it itself. */
  readonly count: number;
}

/** Sizes of leaves, and log2 of their 4 KiB pages. */
export const LEAF_ORDER = { '4K': 0, '2M': 9, '1G': 18 } as const;
export type PageSize = keyof typeof LEAF_ORDER;

/** What one secondary invalidation submits. See `submission`. */
export interface Driver {
  /** Of one page. */
  readonly page: readonly Command[];
  /** Of more pages. */
  readonly range: readonly Command[];
  /** Of the whole space; on dma machines also one drain of a flush queue. */
  readonly all: readonly Command[];
  /** Of a map; empty without caching mode. */
  readonly map: readonly Command[];
  /** `aligned`: the order is raised until one aligned block covers the range. `as-given`: order of the rounded-up page count
   * alone, so that an unaligned IOTLB range is covered in part; the device-TLB word is right in both. `blocks`: as many aligned
   * blocks as it takes, and no page more. */
  readonly rangeCover: 'aligned' | 'as-given' | 'blocks';
  /** Commands of one submission at most, its wait not counted; 0: any number. What is left is submitted afterwards. */
  readonly batch: number;
  /** What is submitted for each of several devices: commands to its TLB, among the others; or all, one device after the other. */
  readonly perDevice: 'device_tlb' | 'all';
  /** Whether one invalidation of a domain at a time has its commands submitted: its cache tags are gone through under a lock. */
  readonly domainLock: boolean;
  /**
   * What who polls for a wait does with the queue's lock. held: keeps it (Linux amd/iommu.c up to 6.12). retaken: drops it and
   * takes it again for each look, and so to see the end (dmar.c qi_submit_sync). Of VT-d.
   */
  readonly poll: 'held' | 'retaken';
  /** Commands that spare the walk caches (VT-d IH = 1, AMD PDE = 0): never, or whenever no table page was freed. */
  readonly ih: 'never' | 'leaf-only';
  /** Leaves that it maps: the largest that address, frame and length allow. Machines of address spaces have 4K alone. */
  readonly pageSizes: readonly PageSize[];
  /** An idle PASID is marked instead of invalidated; see `deferral.*` costs. */
  readonly deferral: boolean;
  /** Whether the driver clears an overflow of the page request queue, once it has emptied it. */
  readonly prqRestart: boolean;
  /** Workers of the queue that the thread which takes page requests gives groups to; 0: it faults pages in and answers itself. */
  readonly prqWorkers: number;
  /** What of page requests is waited for where a PASID is given back. `taken`: that the handler has done with what it has taken.
   * `poll-then-wait`: that the queue is empty, then for a wait with PD. `wait-then-poll`: the other way round. Both of VT-d. */
  readonly prqDrain: 'none' | 'taken' | 'poll-then-wait' | 'wait-then-poll';
  /** Whether the driver has a change_pte callback, which invalidates one page. */
  readonly changePte: 'none' | 'flush';
}

/** The IOVA allocator of a domain: per-CPU magazines over one tree (drivers/iommu/iova.c). */
export interface Iova {
  /** Largest page number handed out. */
  readonly limitPfn: number;
  /** Page numbers of one magazine; a CPU has two of each size. */
  readonly magazine: number;
  /** Full magazines that all CPUs share, per size. */
  readonly depot: number;
  /** Sizes that have magazines: 1, 2, 4, ... pages, this many. */
  readonly sizes: number;
}

/** A machine, checked. */
export interface Machine {
  readonly name: string;
  readonly family: Family;
  /** One line. */
  readonly title: string;
  readonly source: string;
  /** Timer ticks per second of the kernel. */
  readonly hz: number;
  readonly cpu: Cpu;
  readonly iommu: Iommu;
  readonly device: Device;
  readonly driver: Driver;
  /** Faults that it has on purpose. */
  readonly hazards: readonly HazardName[];
  /** Of dma machines, and only of those. */
  readonly iova?: Iova;
  /** Of mm machines, and only of those. */
  readonly consumer?: Consumer;
  /** Further consumers of the same address space, in the order in which notifiers are called, behind this one. Of mm machines. */
  readonly also?: readonly Machine[];
}

/** The consumer that a machine is. Where the DMA API calls, nobody else is told of anything. */
export function consumerOf({ consumer }: Machine): Consumer {
  return consumer ?? SHARED_TABLE;
}

/** A machine as its file has it: snake_case keys, geometries and commands as strings. The schema has checked its shape. */
export interface MachineSpec {
  readonly [key: string]: string | number | boolean | MachineSpec;
}

const CACHES = new Set(['l1i', 'l1d', 'l2', 'pml4e', 'pdpte', 'pde', 'iotlb', 'iotlbLarge', 'iotlbHuge', 'deviceTlb']);
const SUBMISSIONS = new Set(['page', 'range', 'all', 'map']);
/** Commands of one submission. */
const MAX_COMMANDS = 8;
/** Aligned blocks of one range of page numbers, twice as many as they have bits, and a wait. */
const MOST_BLOCKS = 128;
/** Caches without which nothing is translated. */
const PRESENT = new Set(['l1i', 'l1d', 'iotlb']);
/**
 * Fewest and most levels of a table: first stages translate virtual addresses (AMD EFR.GATS, VT-d CAP.FL5LP); second stages as
 * in CAP.SAGAW; a DTE's mode.
 */
const LEVELS = { x86_64: [4, 5], amdv2: [4, 5], vtdss: [3, 5], amdv1: [3, 6] } as const;
/** Caches that can be one with the IOTLB. */
const SPLIT = ['iotlbLarge', 'iotlbHuge'];
const SHARED = 'shared';

const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
const snake = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Slots of the page request queue where a file says nothing: PRQ_ORDER 0 of Linux 4.12 intel-svm.c, a page of 16-byte requests. */
const PRQ_SLOTS = 256;

/** The machine of a file, checked. `place` is the file. */
export function machineOf(spec: MachineSpec, place: string): Machine {
  const consumer = spec.family === 'mm' && spec.consumer === undefined ? { consumer: specGroup(SHARED_TABLE) } : {};
  const queue = { prq: PRQ_SLOTS, prq_auto_response: true };
  const entries = {
    context_reads: (spec.iommu as MachineSpec).commands === 'amd' ? 1 : 2,
    pasid_reads: spec.family === 'mm' ? 2 : 0,
  };
  const iommu = { iotlb_large: SHARED, iotlb_huge: SHARED, ...entries, ...queue, ...(spec.iommu as MachineSpec) };
  const device = { pri_requests: 0, pri_group: 1, count: 1, ...(spec.device as MachineSpec) };
  const poll = (spec.iommu as MachineSpec).commands === 'amd' ? 'held' : 'retaken';
  const requests = { prq_restart: true, prq_workers: 0, prq_drain: 'none' };
  const base = { batch: 0, per_device: 'device_tlb', domain_lock: false, poll, ...requests };
  const given = { ...base, ...(spec.driver as MachineSpec) };
  const whole = { hazards: 'none', ...spec, ...consumer, iommu, device, driver: given };
  const machine = parseGroup(whole, place, '') as unknown as Machine;
  const { family, driver } = machine;
  checkConsumer(machine, place);
  checkDevices(machine, place);
  if (family === 'dma' && machine.iova === undefined)
    throw new UsageError(`${place}: iova is missing, expected it in a machine of family dma`);
  if (family === 'mm' && machine.iova !== undefined)
    throw new UsageError(`${place}: iova: read a group, expected none in a machine of family mm`);
  for (const key of ['page', 'range', 'all', 'map'] as const) {
    if (family === 'dma' && driver[key].includes('iotlb.pasid')) {
      throw new UsageError(
        `${place}: driver.${key}: read "iotlb.pasid", expected iotlb.domain: a dma machine has domains`,
      );
    }
  }
  const { pageTable, levels } = machine.iommu;
  const [reach, most] = LEVELS[pageTable];
  // An address space has 48 bits.
  const fewest = family === 'mm' ? 4 : reach;
  if (levels < fewest || levels > most)
    throw new UsageError(
      `${place}: iommu.levels: read ${levels}, expected ${fewest} to ${most} with page_table: ${pageTable}`,
    );
  if (family === 'mm' && machine.iommu.shadowed)
    throw new UsageError(`${place}: iommu.shadowed: read true, expected false in a machine of family mm`);
  for (const key of ['iotlbLarge', 'iotlbHuge'] as const) {
    const shape = machine.iommu[key];
    if (family === 'mm' && shape !== SHARED)
      throw new UsageError(
        `${place}: iommu.${snake(key)}: read ${quote(cacheText(shape))}, expected shared in a machine of family mm`,
      );
  }
  if (family === 'mm' && driver.pageSizes.length > 1)
    throw new UsageError(
      `${place}: driver.page_sizes: read ${quote(driver.pageSizes.join(' '))}, expected 4K in a machine of family mm`,
    );
  if (machine.iommu.commands === 'amd' && driver.poll === 'retaken')
    throw new UsageError(
      `${place}: driver.poll: read "retaken", expected held with commands: amd, whose driver waits under its lock`,
    );
  for (const key of ['page', 'range', 'all'] as const) {
    if (driver[key].length === 0)
      throw new UsageError(`${place}: driver.${key}: read "none", expected commands such as "iotlb.page wait"`);
  }
  const together = driver.perDevice === 'all' ? 1 : machine.device.count;
  for (const key of ['page', 'range', 'all', 'map'] as const) {
    const longest = Math.max(
      ...driver[key]
        .join(' ')
        .split(/(?<=wait)/)
        .map((group) => group.trim().split(' '))
        .map((words) => words.reduce((sum, word) => sum + (isOfDevice(word) ? together : 1), 0)),
    );
    const most = driver.batch === 0 ? longest : Math.min(longest, driver.batch + 1);
    if (most < machine.iommu.ring) continue;
    throw new UsageError(
      `${place}: iommu.ring: read ${machine.iommu.ring}, expected above ${most}: driver.${key} submits as many commands at a time, and a slot stays empty`,
    );
  }
  if (isInBlocks(machine) && machine.iommu.ring < MOST_BLOCKS)
    throw new UsageError(
      `${place}: iommu.ring: read ${machine.iommu.ring}, expected ${MOST_BLOCKS} or more with driver.range_cover: blocks`,
    );
  if (machine.device.ats && machine.device.deviceTlb.sets === 0) {
    throw new UsageError(`${place}: device.device_tlb: read "none", expected SETSxWAYS with ats: true`);
  }
  return machine;
}

/** Whether page requests go through the IOMMU's queue; `ats`: unless the device goes without. */
export function hasPri({ device }: Machine, ats = device.ats): boolean {
  return ats && device.priRequests > 0;
}
/** What a consumer can do without. */
function checkConsumer({ family, consumer, driver, iommu, device }: Machine, place: string): void {
  if (consumer === undefined) return;
  const { table, invalidate, flushesBy } = consumer;
  const refuse = (key: string, expected: string): never => {
    const value = key.split('.').reduce<unknown>((group, name) => (group as Record<string, unknown>)[camel(name)], {
      consumer,
      driver,
      iommu,
      device,
    });
    throw new UsageError(`${place}: ${key}: read ${JSON.stringify(value)}, expected ${expected}`);
  };
  if (family === 'dma')
    throw new UsageError(`${place}: consumer: read a group, expected none in a machine of family dma`);
  if (table === 'shared' && consumer.retry !== 'none')
    refuse('consumer.retry', 'none with a shared table: a walk is no fault that could be begun anew');
  if (table === 'own' && invalidate === 'if-present')
    refuse('consumer.invalidate', 'flush with a table of its own: what it does not have is not flushed');
  if (table === 'own' && driver.deferral)
    refuse('driver.deferral', 'false with a table of its own, which no activation empties');
  if (flushesBy !== 'commands' && iommu.commands !== 'vtd')
    refuse('iommu.commands', `vtd, in whose words a flush by ${flushesBy} is kept`);
}

/** The CPU TLBs of a file or of a machine's group, checked. */
export function cpuOf(spec: MachineSpec, place: string): Cpu {
  return parseGroup(spec, place, '') as unknown as Cpu;
}

/** The file form of a machine: the inverse of `machineOf`. */
export function machineSpec(machine: Machine): MachineSpec {
  return specGroup(machine);
}

function parseGroup(spec: MachineSpec, place: string, group: string): Record<string, unknown> {
  const parsed = Object.entries(spec).map(([name, value]) => {
    const key = camel(name);
    const at = `${place}: ${group}${name}`;
    if (typeof value === 'object') return [key, parseGroup(value, place, `${group}${name}.`)];
    if (typeof value === 'string' && CACHES.has(key)) return [key, cache(value, key, at)];
    if (group === 'driver.' && typeof value === 'string' && SUBMISSIONS.has(key)) return [key, commands(value, at)];
    if (key === 'pageSizes') return [key, String(value).split(' ')];
    if (key === 'hazards') return [key, hazards(String(value), at)];
    return [key, value];
  });
  return Object.fromEntries(parsed) as Record<string, unknown>;
}

function cache(text: string, key: string, at: string): CacheShape | typeof SHARED {
  if (text === SHARED && SPLIT.includes(key)) return SHARED;
  if (text !== 'none') return parseCache(text, at);
  if (PRESENT.has(key)) throw new UsageError(`${at}: read "none", expected SETSxWAYS, such as 16x4`);
  return NO_CACHE;
}

function hazards(text: string, at: string): readonly HazardName[] {
  const words = text.trim() === 'none' ? [] : text.trim().split(/\s+/);
  for (const word of words) {
    if (Object.hasOwn(HAZARDS, word)) continue;
    const known = Object.keys(HAZARDS);
    throw new UsageError(
      `${at}: ${quote(word)} is not a hazard${nearText(word, known)}; \`list hazards\` has them all`,
    );
  }
  return words as HazardName[];
}

function commands(text: string, at: string): readonly Command[] {
  const words = text.trim().split(/\s+/);
  if (words.length === 1 && (words[0] === 'none' || words[0] === '')) return [];
  if (words.length > MAX_COMMANDS)
    throw new UsageError(`${at}: ${words.length} commands, expected at most ${MAX_COMMANDS}`);
  for (const word of words) {
    if (!Object.hasOwn(COMMANDS, word)) {
      throw new UsageError(
        `${at}: ${quote(word)} is not a command${nearText(word, COMMAND_WORDS)}; commands are ${COMMAND_WORDS.join(' ')}`,
      );
    }
  }
  if (words[0] === 'wait') throw new UsageError(`${at}: begins with "wait", expected a command to wait for`);
  return words as Command[];
}

function specGroup(group: object): MachineSpec {
  const entries = Object.entries(group).map(([key, value]: [string, unknown]) => {
    if (Array.isArray(value)) return [snake(key), value.length === 0 ? 'none' : value.join(' ')];
    if (CACHES.has(key)) return [snake(key), value === SHARED ? SHARED : cacheText(value as CacheShape)];
    return [snake(key), typeof value === 'object' && value !== null ? specGroup(value) : value];
  });
  return Object.fromEntries(entries) as MachineSpec;
}

/**
 * Commands that one invalidation submits on this machine. Without ATS the device-TLB commands fall out, and so do waits
 * that then have nothing to wait for.
 */
export function submission(machine: Machine, what: 'page' | 'range' | 'all' | 'map'): Command[] {
  if (what === 'map' && machine.hazards.includes('no-flush-on-map')) return [];
  const order = machine.hazards.includes('device-tlb-before-iotlb')
    ? deviceFirst
    : (words: readonly Command[]) => words;
  const words = order(machine.driver[what]).filter((word) => machine.device.ats || !isOfDevice(word));
  return words.filter((word, i) => word !== 'wait' || (i > 0 && words[i - 1] !== 'wait'));
}

/** The same commands, those to the device before the others, each group with its wait. */
function deviceFirst(words: readonly Command[]): Command[] {
  const ends = words.flatMap((word, i) => (word === 'wait' ? [i + 1] : []));
  const groups = ends.map((end, i) => words.slice(ends[i - 1] ?? 0, end));
  const first = (of: readonly Command[]): Command[] => [
    ...of.filter(isOfDevice),
    ...of.filter((word) => !isOfDevice(word)),
  ];
  return [
    ...groups.filter((group) => group.some(isOfDevice)),
    ...groups.filter((group) => !group.some(isOfDevice)),
  ].flatMap(first);
}
/** Whether each device is sent such a command. */
function isOfDevice(word: string): boolean {
  return word.startsWith('device_tlb.');
}

/** Whether an IOTLB range is several commands, none of which names a page outside of it. */
export function isInBlocks({ driver }: Machine): boolean {
  return driver.rangeCover === 'blocks';
}

/** Whether page requests on their way to their queue are drained, which takes a wait that says so (ECAP.PDS). */
export function drainsOnItsWay({ driver }: Machine): boolean {
  return driver.prqDrain === 'poll-then-wait' || driver.prqDrain === 'wait-then-poll';
}

/** Whether an IOTLB range is widened to one aligned block. */
export function widensRanges({ driver, hazards }: Machine): boolean {
  return driver.rangeCover !== 'as-given' && !hazards.includes('am-not-widened');
}
