import type { DmaJob, MachineJob } from '../jobs/job.ts';
import type { LocatedTrace } from '../jobs/locate.ts';
import { type PoolOptions, runJobs } from '../jobs/pool.ts';
import type { RawRun } from '../model/result.ts';

/** Ideal runs that were made: a sweep of queues asks for the same one again and again. */
export class Ideals {
  private readonly made = new Map<string, RawRun>();

  /** Results of jobs, in their order; an ideal run is made once. */
  async run(
    trace: LocatedTrace,
    jobs: readonly (MachineJob | DmaJob)[],
    options: PoolOptions,
  ): Promise<readonly RawRun[]> {
    const keys = jobs.map((job) => (job.setup.ideal ? keyOf(trace, job) : undefined));
    const wanted = jobs.filter((_, i) => {
      const key = keys[i];
      return key === undefined || (!this.made.has(key) && keys.indexOf(key) === i);
    });
    const runs = (await runJobs(trace, wanted, options)) as RawRun[];
    const raw = new Map(wanted.map((job, i) => [job, runs[i]!]));
    for (const [i, job] of jobs.entries()) {
      const run = raw.get(job);
      if (run !== undefined && keys[i] !== undefined) this.made.set(keys[i], run);
    }
    return jobs.map((job, i) => raw.get(job) ?? this.made.get(keys[i]!)!);
  }
}

/** Of all that decides an ideal run. On a recording of the DMA API that is not the policy. */
function keyOf({ sha256 }: LocatedTrace, { kind, setup }: MachineJob | DmaJob): string {
  return JSON.stringify([sha256, kind, setup], (key, value) =>
    kind === 'dma' && key === 'policy' ? undefined : typeof value === 'bigint' ? String(value) : value,
  );
}
