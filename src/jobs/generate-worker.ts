import { Interrupted } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { generateTrace, workloadNamed } from '../trace/generate/index.ts';
import type { Sizes, Workload } from '../trace/generate/workload.ts';
import { SHARES, writeWorkload } from './generate.ts';
import { type Reply, replyOf } from './reply.ts';

/** What a worker is sent that writes a workload. */
export interface GenerateTask {
  readonly workload: string;
  readonly sizes: Sizes;
  readonly seed: number;
  readonly to: string;
  /** i32[2]: the share that is done, of SHARES, and not 0 once the work is to stop. */
  readonly shared: SharedArrayBuffer;
}

/** Piscina's task: one workload, written whole or not at all. */
export default function generate({ workload, sizes, seed, to, shared }: GenerateTask): Reply<TraceMeta> {
  const words = new Int32Array(shared);
  const check = (): void => {
    if (Atomics.load(words, 1) !== 0) throw new Interrupted('interrupted');
  };
  return replyOf(() => {
    const found = workloadNamed(workload);
    const all = recordsOf(found, sizes, seed, check);
    return writeWorkload(found, sizes, seed, to, (records) => {
      Atomics.store(words, 0, Math.floor(Math.min(1, records / all) * SHARES));
      check();
    });
  });
}

/** Operations at most of the smaller sample. */
const SAMPLE = 100;

/** About how many records a workload has: from two small samples of it, since some is written before the first operation. */
function recordsOf(workload: Workload, sizes: Sizes, seed: number, check: () => void): number {
  const step = Math.max(1, Math.min(SAMPLE, Math.floor(sizes.ops / 100)));
  const [few, more] = [step, 2 * step].map(
    (ops) => generateTrace(workload, { ...sizes, ops }, seed, { write: check }).counts.records,
  ) as [number, number];
  return few + ((more - few) / step) * (sizes.ops - step);
}
