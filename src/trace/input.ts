import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import * as zlib from 'node:zlib';
import { Interrupted, TraceError } from '../model/errors.ts';
import { BLOCK, decompressed, isZip, stored, unzipped } from './decompress.ts';
import type { Codec } from './format.ts';

/** Reading files: magic numbers, decompression, random access, digests. */

/** Brotli of quality 5: 40 % smaller than deflate 6 and faster to write, 0.7 of its speed to read (measured on a recorded
 * program). Built into every Node, unlike zstd. */
const BROTLI = { [zlib.constants.BROTLI_PARAM_QUALITY]: 5, [zlib.constants.BROTLI_PARAM_LGWIN]: 20 };

export const codec: Codec = {
  compress: (bytes) => zlib.brotliCompressSync(bytes, { params: BROTLI }),
  decompress: (bytes, raw) => {
    const out = zlib.brotliDecompressSync(bytes, { maxOutputLength: raw + 1 });
    if (out.length !== raw) throw new RangeError(`expands to ${out.length} bytes, expected ${raw}`);
    return out;
  },
  crc32: (bytes, before) => zlib.crc32(bytes, before),
};

/** A foreign recording. */
export interface Input {
  /** Base name, for messages and provenance. */
  readonly file: string;
  /** Blocks of decompressed bytes, in order, each good until the next is asked for; each call reads from the start. */
  blocks(): AsyncIterable<Uint8Array>;
  /** Of a folder: its files, in the order of their names; `blocks` is then that of the first. */
  readonly parts?: readonly Input[];
}

/** How the reading of a large input is watched and stopped. */
export interface ReadOptions {
  /** Told the share of a file, as it is stored, that has been read, 0..1; not of a pipe. */
  readonly onProgress?: (done: number, bytes?: number) => void;
  /** Once aborted, the next block is `Interrupted`. */
  readonly signal?: AbortSignal | undefined;
  /** What `-` names. */
  readonly stdin?: AsyncIterable<Uint8Array>;
}

/** Files of one folder. */
const MAX_PARTS = 4096;
/** Bytes at the beginning of a stream that are kept. */
const KEPT = 4 * BLOCK;

/**
 * A file, decompressed by its magic number (gzip, zstd, xz, bzip2, zip, or plain); a pipe; a folder of files, one per
 * thread; or `-`, standard input.
 */
export function openInput(path: string, options: ReadOptions = {}): Input {
  if (path === '-' && options.stdin) return streamInput('standard input', options.stdin, options);
  const file = basename(path);
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) {
    const names = readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isFile() ? [entry.name] : []));
    if (names.length === 0) throw new TraceError(path, 'holds no file');
    if (names.length > MAX_PARTS)
      throw new TraceError(path, `holds ${names.length} files, expected at most ${MAX_PARTS}`);
    const parts = names.sort().map((name) => openInput(join(path, name), options));
    return { file, blocks: () => parts[0]!.blocks(), parts };
  }
  if (stat?.isFIFO() || stat?.isCharacterDevice()) return streamInput(file, stored(path), options);
  return { file, blocks: () => readBlocks(path, file, options) };
}

/** A stream that can be read once, and its beginning again, so that its format can be found out. */
export function streamInput(file: string, source: AsyncIterable<Uint8Array>, options: ReadOptions = {}): Input {
  const rest = checked(decompressed(source), file, options);
  const head: Uint8Array[] = [];
  let read = 0;
  const blocks = async function* (): AsyncGenerator<Uint8Array> {
    if (read > KEPT) throw new TraceError(file, 'has to be read twice in this format: give it as a file');
    yield* head;
    for (let next = await rest.next(); !next.done; next = await rest.next()) {
      read += next.value.length;
      if (read <= KEPT) head.push(next.value.slice());
      yield next.value;
    }
  };
  return { file, blocks };
}

async function* readBlocks(path: string, file: string, options: ReadOptions): AsyncGenerator<Uint8Array> {
  const { onProgress = () => {} } = options;
  const { head, size } = withFile(path, (fd) => ({ head: readAt(fd, 0, 4), size: fstatSync(fd).size }));
  if (isZip(head)) {
    yield* checked(unzipped(path), file, options);
    return;
  }
  const source = stored(path);
  let done = 0;
  source.on('data', (block: Uint8Array) => {
    done += block.length;
    onProgress(done / size, size);
  });
  yield* checked(decompressed(source), file, options);
}

async function* checked(
  blocks: AsyncIterable<Uint8Array>,
  file: string,
  { signal }: ReadOptions,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const block of blocks) {
      if (signal?.aborted) throw new Interrupted('interrupted');
      yield block;
    }
  } catch (error) {
    if (error instanceof TraceError || error instanceof Interrupted) throw error;
    throw new TraceError(file, `cannot be decompressed or read: ${(error as Error).message}`);
  }
}

/** First `bytes` decompressed bytes of an input: what `sniff` looks at. Empty for an empty file. */
export async function headOf(input: Input, bytes = 1 << 16): Promise<Uint8Array> {
  const head = new Uint8Array(bytes);
  let length = 0;
  for await (const block of input.blocks()) {
    const part = block.subarray(0, bytes - length);
    head.set(part, length);
    length += part.length;
    if (length === bytes) break;
  }
  return head.subarray(0, length);
}

/** Random access to a file that stays open until `close`. */
export interface RandomFile {
  readonly size: number;
  /** Up to `length` bytes at `offset`; fewer only at the end. */
  read(offset: number, length: number): Uint8Array;
  close(): void;
}

/** Opens a file for reads at any place. */
export function openRandom(path: string): RandomFile {
  const fd = open(path);
  return {
    size: fstatSync(fd).size,
    read: (offset, length) => readAt(fd, offset, length),
    close: () => closeSync(fd),
  };
}

/** SHA-256 of a file's bytes, in hexadecimal. */
export function digest(path: string): string {
  return withFile(path, (fd) => {
    const hash = createHash('sha256');
    for (let at = 0; ; ) {
      const block = readAt(fd, at, BLOCK);
      if (block.length === 0) return hash.digest('hex');
      hash.update(block);
      at += block.length;
    }
  });
}

function open(path: string): number {
  try {
    const fd = openSync(path, 'r');
    if (fstatSync(fd).isFile()) return fd;
    closeSync(fd);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new TraceError(path, code === 'ENOENT' ? 'no such file' : `cannot be opened (${code})`);
  }
  throw new TraceError(path, 'is not a file');
}

function withFile<T>(path: string, use: (fd: number) => T): T {
  const fd = open(path);
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const n = readSync(fd, bytes, done, length - done, offset + done);
    if (n === 0) break;
    done += n;
  }
  return bytes.subarray(0, done);
}
