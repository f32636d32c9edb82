import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TraceMeta } from '../src/model/trace.ts';
import type { ImportOptions } from '../src/trace/import/importer.ts';
import { importTrace } from '../src/trace/import/index.ts';
import { codec, type Input } from '../src/trace/input.ts';
import { openTrace } from '../src/trace/reader.ts';
import { textOf } from '../src/trace/text.ts';
import { ROOT } from './cli.ts';

/** Bytes as an input, in blocks of `size`. */
export function inputOf(bytes: Uint8Array, file = 't', size = bytes.length || 1): Input {
  return {
    file,
    async *blocks() {
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
    },
  };
}

/** What an import left: the meta data, the trace, and the records as lines of the text form. */
export interface Imported {
  readonly meta: TraceMeta;
  readonly trace: Uint8Array;
  readonly lines: string[];
  /** The whole text form. */
  readonly text: string;
}

/** Imports through the real writer and reader; the format is found by content unless `importer` is given. */
export async function imported(
  input: Input,
  options: Partial<ImportOptions> & { readonly importer?: Parameters<typeof importTrace>[2]['importer'] } = {},
): Promise<Imported> {
  const parts: Uint8Array[] = [];
  const sink = { write: (part: Uint8Array) => parts.push(part.slice()) };
  const meta = await importTrace(input, sink, { strict: false, interleave: false, ...options });
  const trace = Buffer.concat(parts);
  const source = {
    size: trace.length,
    read: (at: number, length: number) => trace.subarray(at, at + length),
  };
  const text = [...textOf(openTrace(source, codec, 't'))].join('');
  const lines = text.trimEnd().split('\n');
  return { meta, trace, text, lines: lines.slice(lines.findIndex((line) => /^(by|[a-zA-Z]+) \d/.test(line))) };
}

/** The sample files of a format, by name. */
export function samplesOf(format: string): { readonly name: string; readonly bytes: Uint8Array }[] {
  const folder = join(ROOT, 'traces/samples', format);
  return readdirSync(folder)
    .sort()
    .map((name) => ({ name, bytes: readFileSync(join(folder, name)) }));
}
