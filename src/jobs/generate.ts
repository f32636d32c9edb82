import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TraceMeta } from '../model/trace.ts';
import { generateTrace } from '../trace/generate/index.ts';
import type { Sizes, Workload } from '../trace/generate/workload.ts';
import { openOutput } from '../trace/output.ts';
import { type LocatedTrace, locateTrace } from './locate.ts';

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

/** A workload as a trace that lives until it is closed. */
export async function generatedTrace(workload: Workload, sizes: Sizes, seed: number): Promise<LocatedTrace> {
  const folder = mkdtempSync(join(tmpdir(), 'iommulator-'));
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const file = join(folder, `${workload.name}.trace`);
    generateFile(workload, sizes, seed, file);
    return { ...(await locateTrace(file)), close };
  } catch (error) {
    close();
    throw error;
  }
}
