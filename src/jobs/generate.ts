import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Interrupted } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { generateTrace } from '../trace/generate/index.ts';
import type { Sizes, Workload } from '../trace/generate/workload.ts';
import { openOutput } from '../trace/output.ts';
import type { GenerateTask } from './generate-worker.ts';
import { type LocatedTrace, locateTrace } from './locate.ts';
import { type Reply, unwrap } from './reply.ts';
import { Threads, watch } from './threads.ts';
import type { WorkOptions } from './turns.ts';

/** Operations, and operations times pages, of which no more than this take about a second. */
const SMALL = { ops: 50_000, pages: 1 << 24 };
/** Steps in which the thread says how much of the trace it has written. */
export const SHARES = 1000;

/** Writes a workload into the trace file `to`, which appears whole or not at all; a large one in a thread of its own. */
export async function generateFile(
  workload: Workload,
  sizes: Sizes,
  seed: number,
  to: string,
  options: WorkOptions = {},
): Promise<TraceMeta> {
  const { ops, pages } = sizes;
  if (ops <= SMALL.ops && ops * pages <= SMALL.pages) {
    if (options.signal?.aborted) throw new Interrupted('interrupted');
    return writeWorkload(workload, sizes, seed, to, () => {});
  }
  const threads = new Threads(new URL('./generate-worker.js', import.meta.url), 1);
  const shared = new SharedArrayBuffer(8);
  const task: GenerateTask = { workload: workload.name, sizes, seed, to, shared };
  try {
    return await watch([shared], SHARES, options, async () =>
      unwrap(await threads.run<GenerateTask, Reply<TraceMeta>>(task)),
    );
  } finally {
    await threads.end();
  }
}

/** Does it in this thread. */
export function writeWorkload(
  workload: Workload,
  sizes: Sizes,
  seed: number,
  to: string,
  onRecords: (records: number) => void,
): TraceMeta {
  const output = openOutput(to);
  try {
    const meta = generateTrace(workload, sizes, seed, output, onRecords);
    output.commit();
    return meta;
  } finally {
    output.discard();
  }
}

/** A workload as a trace that lives until it is closed. */
export async function generatedTrace(workload: Workload, sizes: Sizes, seed: number): Promise<LocatedTrace> {
  const folder = mkdtempSync(join(tmpdir(), 'iommulator-'));
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const file = join(folder, `${workload.name}.trace`);
    writeWorkload(workload, sizes, seed, file, () => {});
    return { ...(await locateTrace(file)), close };
  } catch (error) {
    close();
    throw error;
  }
}
