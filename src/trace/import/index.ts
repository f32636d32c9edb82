import { TraceError } from '../../model/errors.ts';
import type { TraceMeta } from '../../model/trace.ts';
import { codec, headOf, type Input } from '../input.ts';
import { type ByteSink, TraceWriter } from '../writer.ts';
import { champsim, cloudsuite } from './champsim.ts';
import { csv } from './csv.ts';
import { din } from './din.ts';
import { drmemtrace } from './drmemtrace.ts';
import { ftrace } from './ftrace.ts';
import type { Importer, ImportOptions } from './importer.ts';
import { lackey } from './lackey.ts';
import { oracleGeneral } from './oracle.ts';
import { pinatrace } from './pinatrace.ts';
import { qemu } from './qemu.ts';
import { text } from './text.ts';
import { view } from './view.ts';

/** All importers, most particular first. A new format is a file and a line here. */
export const IMPORTERS: readonly Importer[] = [
  text,
  qemu,
  lackey,
  ftrace,
  view,
  drmemtrace,
  pinatrace,
  din,
  csv,
  oracleGeneral,
  champsim,
  cloudsuite,
];

/** Formats that only another program can read, by their magic, with the command that makes them readable. */
const FOREIGN: readonly (readonly [magic: string, name: string, command: string])[] = [
  ['PERFILE2', 'perf.data', 'perf script'],
  ['\x17\x08\x44tracing', 'trace.dat', 'trace-cmd report'],
];

/** The importer that recognises the content of `input`. */
export async function recognise(input: Input): Promise<Importer> {
  const head = await headOf(input);
  if (head.length === 0 && !input.parts) throw new TraceError(input.file, 'is empty');
  const found = IMPORTERS.find((importer) => importer.sniff(head));
  if (found) return found;
  // Files of other kinds may lie in a folder, too.
  for (const part of input.parts?.slice(1) ?? []) {
    const other = await headOf(part);
    const known = IMPORTERS.find((importer) => importer.folders && importer.sniff(other));
    if (known) return known;
  }
  const start = new TextDecoder('latin1').decode(head.subarray(0, 512));
  if (start.startsWith('ustar', 257)) throw new TraceError(input.file, 'is a tar archive: unpack it first');
  for (const [magic, name, command] of FOREIGN) {
    if (start.startsWith(magic))
      throw new TraceError(input.file, `is a ${name}: make it text with \`${command}\` first`);
  }
  const known = IMPORTERS.map((importer) => importer.name).join(', ');
  throw new TraceError(input.file, `is in no known format (${known}; \`iommulator list formats\`)`);
}

/** How a recording is to be imported. */
export interface ImportRequest extends ImportOptions {
  /** Every access a record of its own, see `TraceWriter`. */
  readonly interleave: boolean;
  readonly importer?: Importer | undefined;
}

/** Imports `input` into `sink`; what is in the trace then. */
export async function importTrace(input: Input, sink: ByteSink, request: ImportRequest): Promise<TraceMeta> {
  const importer = request.importer ?? (await recognise(input));
  if (input.parts && !importer.folders) throw new TraceError(input.file, 'is a folder, expected a file');
  const writer = new TraceWriter(sink, codec, request.interleave);
  const imported = await importer.read(input, writer, request);
  return writer.finish({ source: { format: importer.name, file: input.file }, ...imported });
}
