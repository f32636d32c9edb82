import { Interrupted } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { codec, openRandom, type ReadOptions } from '../trace/input.ts';
import { mergeTraces } from '../trace/merge.ts';
import { openOutput } from '../trace/output.ts';
import { openTrace } from '../trace/reader.ts';
import { TraceWriter } from '../trace/writer.ts';
import { type LocatedTrace, locateTrace } from './locate.ts';

/** Records between two looks at the signal. */
const TURN = 1 << 16;

/** Merges traces, foreign files and shipped traces into the trace file `to`, which appears whole or not at all. */
export async function mergeFiles(
  given: readonly string[],
  to: string,
  interleave: boolean,
  reading: ReadOptions = {},
): Promise<TraceMeta> {
  const located: LocatedTrace[] = [];
  const files: ReturnType<typeof openRandom>[] = [];
  const output = openOutput(to);
  try {
    for (const name of given) located.push(await locateTrace(name, reading));
    const parts = located.map(({ path, name }) => {
      const file = openRandom(path);
      files.push(file);
      return { name, trace: openTrace(file, codec, name) };
    });
    const records = parts.reduce((sum, { trace }) => sum + trace.meta.counts.records, 0);
    let done = 0;
    const writer = new TraceWriter(output, codec, interleave);
    const provenance = mergeTraces(parts, writer, () => {
      if (++done % TURN !== 0) return;
      reading.onProgress?.(Math.min(1, done / records));
      if (reading.signal?.aborted) throw new Interrupted('interrupted');
    });
    const meta = writer.finish(provenance);
    output.commit();
    return meta;
  } finally {
    output.discard();
    for (const file of files) file.close();
    for (const trace of located) trace.close();
  }
}
