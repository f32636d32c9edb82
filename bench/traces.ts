import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { generateTrace, workloadNamed } from '../src/trace/generate/index.ts';
import { parseSizes, type Sizes } from '../src/trace/generate/workload.ts';
import { codec } from '../src/trace/input.ts';
import { type ByteSource, openTrace, type Trace } from '../src/trace/reader.ts';
import { ROOT } from './harness.ts';

/** A trace that is in memory as a whole, as a file would be. */
export interface InMemory {
  readonly bytes: Uint8Array;
  readonly trace: Trace;
}

/** A trace of the repository, by its path below traces/. */
export function shipped(name: string): InMemory {
  return inMemory(name, readFileSync(join(ROOT, `traces/${name}.trace`)));
}

/** A synthetic workload; sizes that are not given are its own. */
export function generated(name: string, sizes: Partial<Record<keyof Sizes, string>> = {}): InMemory {
  const workload = workloadNamed(name);
  const parts: Uint8Array[] = [];
  generateTrace(workload, parseSizes(workload, sizes), 1, { write: (part) => void parts.push(part.slice()) });
  return inMemory(name, Buffer.concat(parts));
}

function inMemory(name: string, bytes: Uint8Array): InMemory {
  const source: ByteSource = { size: bytes.length, read: (at, length) => bytes.subarray(at, at + length) };
  return { bytes, trace: openTrace(source, codec, name) };
}
