/** A trace in memory, and jobs on it in the caller's thread: what a browser's worker has instead of files and threads. */
import { UsageError } from '../model/errors.ts';
import { crc32 } from '../trace/crc32.ts';
import type { Decoder } from '../trace/format.ts';
import { openTrace } from '../trace/reader.ts';
import type { Job, ResultOf } from './job.ts';
import { passOf } from './pass.ts';
import type { PlannedTrace } from './plan.ts';
import { inTurns, type WorkOptions } from './turns.ts';

/** What opens a trace in memory. */
export interface MemoryOptions {
  /** File name of the trace, for results and errors. */
  readonly file: string;
  /** What commands that repeat a run call it; `file` if not given. */
  readonly name?: string;
  /** Brotli. That it gives `raw` bytes is looked at here. */
  readonly decompress: Decoder['decompress'];
}

/** The trace that `bytes` are. */
export async function traceOf(bytes: Uint8Array<ArrayBuffer>, options: MemoryOptions): Promise<PlannedTrace> {
  const { file, name = file, decompress } = options;
  // A page of http: has no digests.
  if (globalThis.crypto?.subtle === undefined)
    throw new UsageError(`${file}: no SHA-256 here, expected a page of https: or of this computer`);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  const exactly: Decoder['decompress'] = (bytes, raw) => {
    const out: Uint8Array | null = decompress(bytes, raw);
    if (out?.length !== raw) throw new RangeError(`expands to ${out?.length ?? 'no'} bytes, expected ${raw}`);
    return out;
  };
  const decoder: Decoder = { decompress: exactly, crc32 };
  const source = { size: bytes.length, read: (at: number, length: number) => bytes.slice(at, at + length) };
  const open: PlannedTrace['open'] = (use) => use(openTrace(source, decoder, file));
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return { given: name, name: file, sha256, meta: open(({ meta }) => meta), open };
}

/** How jobs are done in the caller's thread. */
export interface HereOptions extends WorkOptions {
  /** `iommulator/engine.wasm`, compiled. */
  readonly engine: WebAssembly.Module;
}

/** Does `jobs` in one pass. Between two chunks the thread goes back to its events. */
export function runHere<J extends Job>(
  trace: PlannedTrace,
  jobs: readonly J[],
  { engine, ...options }: HereOptions,
): Promise<ResultOf<J>[]> {
  const pass = trace.open((opened) => passOf(opened, jobs, engine));
  return inTurns(pass, trace.meta.counts.records, options) as Promise<ResultOf<J>[]>;
}
