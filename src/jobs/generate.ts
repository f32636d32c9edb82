import type { TraceMeta } from '../model/trace.ts';
import { generateTrace } from '../trace/generate/index.ts';
import type { Sizes, Workload } from '../trace/generate/workload.ts';
import { openOutput } from '../trace/output.ts';

/** Writes a workload into the trace file `to`, which appears whole or not at all. */
export function generateFile(workload: Workload, sizes: Sizes, seed: number, to: string): TraceMeta {
  const output = openOutput(to);
  try {
    const meta = generateTrace(workload, sizes, seed, output);
    output.commit();
    return meta;
  } finally {
    output.discard();
  }
}
