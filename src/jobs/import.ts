import { Interrupted } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { type ImportRequest, importTrace } from '../trace/import/index.ts';
import { headOf, type Input, openInput, type ReadOptions } from '../trace/input.ts';
import { openOutput } from '../trace/output.ts';

/** Imports a foreign file into the trace file `to`, which appears whole or not at all. */
export async function importFile(
  from: string,
  to: string,
  request: Partial<ImportRequest> = {},
  reading: ReadOptions = {},
): Promise<TraceMeta> {
  const input = openInput(from, reading);
  await headOf(input, 1);
  return importInput(input, to, { strict: false, interleave: false, ...request }, reading.signal);
}

/** Imports what is being read into the trace file `to`, which appears whole or not at all. */
export async function importInput(
  input: Input,
  to: string,
  request: ImportRequest,
  signal: AbortSignal | undefined,
): Promise<TraceMeta> {
  const output = openOutput(to);
  try {
    const meta = await importTrace(input, output, request);
    if (signal?.aborted) throw new Interrupted('interrupted');
    output.commit();
    return meta;
  } finally {
    output.discard();
  }
}
