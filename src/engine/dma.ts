import { type DmaSetup, drained, MAX_DMA_PAGES, MAX_DMA_RECORDS } from '../model/dma.ts';
import { UsageError } from '../model/errors.ts';
import type { RawRun } from '../model/result.ts';
import type { TraceMeta } from '../model/trace.ts';
import type { Chunk } from '../trace/format.ts';
import { DmaRecords, type RecordExports } from './dma-records.ts';
import { type Numbers, numbersOf } from './encode.ts';
import { type DmaSizes, encodeDmaCosts, encodeDmaSettings } from './encode-dma.ts';
import { commonBuild, endless, type Instance, instantiate } from './load.ts';
import { EngineLog, type LogExports, type LogSelection } from './log.ts';
import { type RunExports, readRun } from './raw.ts';
import { encodeRecipes } from './recipes.ts';

/** What the module exports for DMA recordings; see assembly/replay.ts. */
interface DmaExports extends LogExports, RecordExports, RunExports {
  servesSettings(): number;
  dmaInit(): void;
  dmaRun(): number;
  dmaElapsed(): number;
  dmaPage(page: number): number;
  configAt(): number;
  recipesAt(): number;
  dmaAgents(): number;
}

const COUNTERS = [
  'N_WALK_CACHE_HIT',
  'N_WALK_CACHE_MISS',
  'N_WALKS',
  'N_WALK_REFS',
  'N_IOTLB_HIT',
  'N_IOTLB_MISS',
  'N_DEVICE_HIT',
  'N_DEVICE_MISS',
  'N_CONTEXT_HIT',
  'N_CONTEXT_MISS',
  'N_PASID_HIT',
  'N_PASID_MISS',
  'N_DEVICE_FAULTS',
  'N_DMA',
  'N_IOTLB_PAGE',
  'N_IOTLB_RANGE',
  'N_IOTLB_PASID',
  'N_IOTLB_DOMAIN',
  'N_IOTLB_GLOBAL',
  'N_DEVICE_TLB',
  'N_WAIT',
  'N_SECONDARY',
  'N_OVER',
  'N_UNMAPPED',
  'N_MAPPED',
  'N_STALE',
  'N_IN_FLIGHT',
  'N_S1_READ',
  'N_S1_WRITE',
  'N_S6',
  'N_S7',
  'N_SPURIOUS',
  'N_MISDIRECTED',
  'N_SHARED',
  'N_EXPOSED',
  'N_WINDOWS_EMPTY',
  'N_QUEUED',
  'N_QUEUE_FULL',
  'N_QUEUE_TIMER',
  'N_IOVA_SLOW',
  'N_IOVA_REUSED',
  'N_LOCK_WAITS',
  'N_QUEUE_WAIT_PS',
  'N_IOVA_WAIT_PS',
  'N_DEVICE_STALL_PS',
  'N_REFUSED',
  'N_ABORTED',
  'N_RETRIES',
  'N_EVENTS',
  'N_STRANGE',
] as const; // prettier-ignore

const CAUSES = [
  'lock_wait',
  'pte',
  'submit',
  'wait',
  'queue_wait',
  'device',
  'translation',
  'device_walk',
  'iova',
  'flush_queue',
] as const; // prettier-ignore

/** Calls of the DMA API, in the order of their rows in the engine. */
const PATHS = { map: 0, unmap: 1 } as const;

/** Timed replay of one DMA recording under one policy. The records are collected first: who waits for whom needs them all. */
export class DmaEngine {
  /** Of a run that is logged, once it is over, what happened in it. */
  log: EngineLog | undefined;
  /** Page number of a page id, within its domain, once it is over. */
  pageNumber: (page: number) => number = () => 0;

  constructor(
    private readonly module: WebAssembly.Module,
    private readonly setup: DmaSetup,
    meta: TraceMeta,
    private readonly selection?: LogSelection,
    /** Those of other runs with the same time scale, which somebody else feeds. */
    private readonly records = new DmaRecords(meta, setup.timeScale),
  ) {
    const { counts } = meta;
    const what = `${setup.policy.name} on ${setup.machine.name}`;
    if (counts.events > MAX_DMA_RECORDS) {
      throw new UsageError(
        `${what}: the trace has ${counts.events} records, expected at most ${MAX_DMA_RECORDS}: a DMA recording is held in memory whole`,
      );
    }
    if (counts.fetches + counts.datas + counts.mmOps > 0)
      throw new UsageError(`${what}: the trace has CPU accesses beside DMA mappings, which is not replayed in time`);
  }

  feed(chunk: Chunk): void {
    this.records.feed(chunk);
  }

  /** Runs the recording. */
  finish(): RawRun {
    const { records, setup } = this;
    const { policy, machine } = setup;
    const what = `${policy.name} on ${machine.name}`;
    const sizes = records.sizes();
    if (sizes.pages > MAX_DMA_PAGES)
      throw new UsageError(`${what}: the mappings cover ${sizes.pages} pages, expected at most ${MAX_DMA_PAGES}`);
    const instance = this.instance(sizes);
    const numbers = numbersOf(instance.exports);
    const give = this.write(instance, numbers);
    if (this.selection !== undefined)
      this.log = new EngineLog(instance, numbers).open(this.selection.room).select(this.selection);
    this.pageNumber = this.isMapped() ? (page) => instance.exports.dmaPage(page) : (page) => records.frameNumber(page);
    const starved = numbers('STOP_STARVED');
    let end = instance.exports.dmaRun();
    for (; end >= starved; end = instance.exports.dmaRun()) give(end - starved);
    if (end === numbers('STOP_NO_IOVA'))
      throw new UsageError(`${what}: a domain ran out of IOVAs; give more with --set machine.iova.limit_pfn=N`);
    if (end === numbers('STOP_ENDLESS')) throw endless(what);
    if (end !== 0) throw new Error(`${what}: the recording waits for itself`);
    return this.result(instance, numbers);
  }

  private isMapped(): boolean {
    return this.setup.ideal || this.setup.policy.dma!.unmap !== 'never';
  }

  /** An engine that has the settings: of the build for common ones, if they are and nothing is logged. */
  private instance(sizes: DmaSizes): Instance<DmaExports> {
    const builds = this.selection === undefined ? [commonBuild(this.module), this.module] : [this.module];
    for (const build of builds) {
      const instance = instantiate<DmaExports>(build);
      const { memory, exports } = instance;
      const numbers = numbersOf(exports);
      const config = new Float64Array(memory.buffer, exports.configAt(), numbers('CONFIG_WORDS'));
      config.set(encodeDmaSettings(this.setup, sizes, numbers));
      config.set(encodeDmaCosts(this.setup, numbers), numbers('CONFIG_COSTS'));
      if (exports.servesSettings() !== 0) return instance;
    }
    throw new Error('no build of the engine has code for all settings');
  }

  /** Lays the engine out for the recording, and gives it that. Returns what gives an actor its next rows. */
  private write({ memory, exports }: Instance<DmaExports>, numbers: Numbers): (actor: number) => void {
    const { setup, records } = this;
    exports.dmaInit();
    const words = numbers('RECIPE_WORDS');
    const recipes = new Uint32Array(memory.buffer, exports.recipesAt(), numbers('RECIPES') * words);
    encodeRecipes(drained(setup), setup.machine.device.ats, numbers).forEach((commands, i) => {
      recipes.set(commands, i * words);
    });
    return records.write(memory, exports, numbers);
  }

  private result(instance: Instance<DmaExports>, numbers: Numbers): RawRun {
    const { exports } = instance;
    const causes = this.setup.machine.iommu.shadowed ? [...CAUSES, 'exit'] : CAUSES;
    const counted = { counters: COUNTERS, causes, paths: PATHS };
    const run = readRun(instance, numbers, counted, { elapsed: exports.dmaElapsed(), agents: exports.dmaAgents() });
    return { ...run, first: run.first && this.located(run.first) };
  }

  /** A violation where it was; its page is a page number, of the domain or, where nothing is mapped, of memory. */
  private located(first: NonNullable<RawRun['first']>): NonNullable<RawRun['first']> {
    const { page, at, changed, record } = first;
    return {
      ...first,
      page: this.pageNumber(page),
      changed: this.isMapped() ? changed : at,
      record: this.records.origin(record),
    };
  }
}
