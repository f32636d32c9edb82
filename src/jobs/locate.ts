import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { TraceError } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { codec, digest, openRandom, type ReadOptions } from '../trace/input.ts';
import { firstRecords } from '../trace/prefix.ts';
import { type ByteSource, isTrace, openTrace, type Trace } from '../trace/reader.ts';
import type { PlannedTrace } from './plan.ts';

/** The shipped traces, beside `dist` and `src` alike. */
const SHIPPED = fileURLToPath(new URL('../../traces/', import.meta.url));

/** A trace file that is ready to be replayed. */
export interface LocatedTrace extends PlannedTrace {
  readonly path: string;
  /** Only so many records are replayed; all if not given. */
  readonly records?: number;
  /** Removes what was imported on the fly; nothing otherwise. */
  close(): void;
}

/** Names of the shipped traces. */
export function shippedTraces(): string[] {
  const ends = '.trace';
  return readdirSync(SHIPPED)
    .flatMap((file) => (file.endsWith(ends) ? [file.slice(0, -ends.length)] : []))
    .sort();
}

/** A file, or the name of a shipped trace; a foreign file is imported into a temporary one first. */
export async function locateTrace(given: string, reading: ReadOptions = {}): Promise<LocatedTrace> {
  const path = given === '-' || existsSync(given) ? given : join(SHIPPED, `${given}.trace`);
  if (given !== '-' && !existsSync(path)) {
    throw new TraceError(
      given,
      `no such file, and no shipped trace of that name (${shippedTraces().join(', ') || 'none'})`,
    );
  }
  const name = basename(path);
  if (statSync(path, { throwIfNoEntry: false })?.isFile() && withFile(path, (file) => isTrace(file.read(0, 16))))
    return located(
      path,
      given,
      name,
      opened(path, (trace) => trace.meta),
    );
  const { importFile } = await import('./import.ts');
  const imported = await temporaryTrace(name, (imported) => importFile(path, imported, {}, reading));
  return { ...imported, given };
}

/** A trace in a temporary folder, which `close` removes. `write` makes the file. */
export async function temporaryTrace(
  name: string,
  write: (path: string) => TraceMeta | Promise<TraceMeta>,
): Promise<LocatedTrace> {
  const folder = mkdtempSync(join(tmpdir(), 'iommulator-'));
  const close = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'temporary.trace');
    const meta = await write(path);
    return { ...located(path, name, name, meta), close };
  } catch (error) {
    close();
    throw error;
  }
}

/** The trace as if it ended behind so many records; its counts are those of what is left, as far as runs look at them. */
export function prefixOf(whole: LocatedTrace, records: number): LocatedTrace {
  return whole.open((trace) => {
    const counts = { ...whole.meta.counts, records: 0, pages: 0 };
    for (const chunk of firstRecords(trace, records).chunks()) {
      counts.records += chunk.records;
      counts.pages += chunk.pages.length;
    }
    return { ...whole, records, meta: { ...whole.meta, counts } };
  });
}

function located(path: string, given: string, name: string, meta: TraceMeta): LocatedTrace {
  return { path, given, name, sha256: digest(path), meta, open: (use) => opened(path, use), close() {} };
}

function opened<T>(path: string, use: (trace: Trace) => T): T {
  return withFile(path, (file) => use(openTrace(file, codec, basename(path))));
}

function withFile<T>(path: string, use: (file: ByteSource) => T): T {
  const file = openRandom(path);
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** Opens a trace file for as long as `use` runs, which may wait. */
export async function useTrace<T>(path: string, use: (trace: Trace) => T | Promise<T>): Promise<T> {
  const file = openRandom(path);
  try {
    return await use(openTrace(file, codec, basename(path)));
  } finally {
    file.close();
  }
}
