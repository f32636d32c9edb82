import { DmaEngine } from '../engine/dma.ts';
import { DmaRecords } from '../engine/dma-records.ts';
import { MachineEngine } from '../engine/machine.ts';
import { ScheduledEngine } from '../engine/scheduled.ts';
import { TlbEngine } from '../engine/tlb.ts';
import { Interrupted } from '../model/errors.ts';
import type { RunSetup } from '../model/run.ts';
import type { Chunk } from '../trace/format.ts';
import { Follower, type Posts } from '../trace/generate/follow.ts';
import type { Trace } from '../trace/reader.ts';
import type { Job, ResultOf } from './job.ts';

/** Called once a chunk with the records done so far; returns whether to stop. */
export type OnChunk = (records: number) => boolean;

/** An engine at work on one job. */
interface Worker {
  feed(chunk: Chunk): void;
  finish(): ResultOf<Job>;
}

/** One pass over `trace`, in one go. */
export function runPass(
  trace: Trace,
  jobs: readonly Job[],
  module: WebAssembly.Module,
  onChunk: OnChunk,
): ResultOf<Job>[] {
  const pass = passOf(trace, jobs, module);
  for (let step = pass.next(); ; step = pass.next()) {
    if (step.done) return step.value;
    if (onChunk(step.value)) throw new Interrupted('interrupted');
  }
}

/**
 * One pass over `trace`: each chunk is decoded once and given to the engine of every job. Yields the records done so far
 * after each.
 */
export function* passOf(
  trace: Trace,
  jobs: readonly Job[],
  module: WebAssembly.Module,
): Generator<number, ResultOf<Job>[]> {
  const devices = new Devices();
  /** By time scale: what the runs of a DMA recording share. */
  const recordings = new Map<number, DmaRecords>();
  const workers = jobs.map((job): Worker => {
    if (job.kind === 'tlb') {
      const engine = new TlbEngine(module, job.config, trace.meta);
      return { feed: (chunk) => engine.feed(chunk), finish: () => engine.result() };
    }
    if (job.kind === 'dma') {
      const { timeScale } = job.setup;
      const records = recordings.get(timeScale) ?? new DmaRecords(trace.meta, timeScale);
      recordings.set(timeScale, records);
      const engine = new DmaEngine(module, job.setup, trace.meta, undefined, records);
      return { feed: () => {}, finish: () => engine.finish() };
    }
    if (trace.meta.schedule !== undefined) return new ScheduledEngine(module, job.setup, trace.meta);
    const engine = new MachineEngine(module, job.setup, trace.meta);
    return { feed: (chunk) => engine.feed(chunk, devices.posts(job.setup, chunk)), finish: () => engine.finish() };
  });
  let records = 0;
  for (const chunk of trace.chunks()) {
    for (const recording of recordings.values()) recording.feed(chunk);
    for (const worker of workers) worker.feed(chunk);
    records += chunk.records;
    yield records;
  }
  return workers.map((worker) => worker.finish());
}

/** Work of the devices that the jobs add: made once per chunk for all jobs with the same device and seed. */
class Devices {
  private readonly followers = new Map<string, { follower: Follower; chunk: Chunk | undefined; posts: Posts }>();

  posts({ device, seed }: RunSetup, chunk: Chunk): Posts | undefined {
    if (device === null) return undefined;
    const key = JSON.stringify([device, seed]);
    let entry = this.followers.get(key);
    if (entry === undefined) {
      entry = { follower: new Follower(device, seed), chunk: undefined, posts: new Uint32Array(0) };
      this.followers.set(key, entry);
    }
    if (entry.chunk !== chunk) {
      entry.posts = entry.follower.posts(chunk);
      entry.chunk = chunk;
    }
    return entry.posts;
  }
}
