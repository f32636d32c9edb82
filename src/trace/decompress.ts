import { createReadStream } from 'node:fs';
import { pipeline, Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import * as zlib from 'node:zlib';
import type * as yauzl from 'yauzl';
import { unzstd } from './zstd.ts';

/**
 * Decompression by magic number, never by file name; always in blocks, so that memory does not grow with the file. What
 * is not built into Node is loaded where it is wanted.
 */

/** Bytes that are read, and that native decompressors return, at a time. */
export const BLOCK = 1 << 20;
/** Bytes that one block of a bzip2 file may expand to in JavaScript; more is a bomb. */
const MAX_EXPANDED = 1 << 29;
/** Members of one zip. */
const MAX_MEMBERS = 1 << 16;

type Bytes = AsyncIterable<Uint8Array>;

/** Compressions of a stream of bytes, by the bytes they begin with. */
const STREAMS: readonly (readonly [magic: readonly number[], expand: (source: Bytes) => Bytes])[] = [
  [[0x1f, 0x8b], (source) => through(source, zlib.createGunzip({ chunkSize: BLOCK }))],
  [[0x28, 0xb5, 0x2f, 0xfd], (source) => unzstd(source, BLOCK)],
  [[0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00], unxz],
  [[0x42, 0x5a, 0x68], bunzip2],
];
const ZIP = [0x50, 0x4b, 0x03, 0x04];
const LONGEST_MAGIC = 6;

/** The decompressed bytes of `source`: gzip, zstd, xz, bzip2 or plain. Zip is for files, see `unzipped`. */
export async function* decompressed(source: Bytes): AsyncGenerator<Uint8Array> {
  const blocks = source[Symbol.asyncIterator]();
  let head: Uint8Array = new Uint8Array(0);
  while (head.length < LONGEST_MAGIC) {
    const { done, value } = await blocks.next();
    if (done) break;
    head = head.length === 0 ? value : Buffer.concat([head, value]);
  }
  const whole = continued(head, blocks);
  if (begins(head, ZIP)) throw new Error('a zip is read from its end: give it as a file');
  const [, expand] = STREAMS.find(([magic]) => begins(head, magic)) ?? [];
  yield* expand ? expand(whole) : whole;
}

/** Whether bytes begin as a zip does. */
export function isZip(head: Uint8Array): boolean {
  return begins(head, ZIP);
}

/** The members of a zip file in the order of their names, one behind the other: a file cut in chunks is whole again. */
export async function* unzipped(path: string): AsyncGenerator<Uint8Array> {
  const { default: zips } = await import('yauzl');
  const zip = await new Promise<yauzl.ZipFile>((resolve, reject) => {
    zips.open(path, { lazyEntries: true, autoClose: false }, (error, opened) =>
      error ? reject(error) : resolve(opened),
    );
  });
  try {
    const members = await new Promise<yauzl.Entry[]>((resolve, reject) => {
      const found: yauzl.Entry[] = [];
      zip.on('error', reject).on('end', () => resolve(found));
      zip.on('entry', (entry: yauzl.Entry) => {
        if (!entry.fileName.endsWith('/')) found.push(entry);
        if (found.length > MAX_MEMBERS) reject(new Error(`has more than ${MAX_MEMBERS} members`));
        else zip.readEntry();
      });
      zip.readEntry();
    });
    members.sort((a, b) => (a.fileName < b.fileName ? -1 : 1));
    for (const member of members) {
      const stream = await new Promise<Readable>((resolve, reject) => {
        zip.openReadStream(member, (error, opened) => (error ? reject(error) : resolve(opened)));
      });
      yield* stream;
    }
  } finally {
    zip.close();
  }
}

/** The bytes of a file as they are stored. */
export function stored(path: string): Readable {
  return createReadStream(path, { highWaterMark: BLOCK });
}

function begins(head: Uint8Array, magic: readonly number[]): boolean {
  return magic.every((byte, i) => head[i] === byte);
}

async function* continued(head: Uint8Array, blocks: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    if (head.length > 0) yield head;
    for (let next = await blocks.next(); !next.done; next = await blocks.next()) yield next.value;
  } finally {
    await blocks.return?.();
  }
}

function through(source: Bytes, decompressor: zlib.Gunzip): Bytes {
  return pipeline(Readable.from(source), decompressor, () => {});
}

/** xz in WebAssembly (xz-embedded); one stream, any check. */
async function* unxz(source: Bytes): AsyncGenerator<Uint8Array> {
  const { default: xz } = await import('xz-decompress');
  const web = Readable.toWeb(Readable.from(source)) as unknown as globalThis.ReadableStream<Uint8Array>;
  yield* new xz.XzReadableStream(web) as unknown as ReadableStream<Uint8Array>;
}

async function* bunzip2(source: Bytes): AsyncGenerator<Uint8Array> {
  const { default: unbzip2 } = await import('unbzip2-stream');
  const ready = new Ready();
  const decompress = unbzip2();
  let failed: Error | undefined;
  decompress.on('data', (block: Uint8Array) => ready.push(block));
  decompress.on('error', (error: Error) => {
    failed ??= error;
  });
  for await (const block of source) {
    decompress.write(block as Buffer);
    if (failed) throw failed;
    yield* ready.take();
  }
  decompress.end();
  if (failed) throw failed;
  yield* ready.take();
}

/** What a decompressor that cannot be made to wait has ready. */
class Ready {
  private blocks: Uint8Array[] = [];
  private bytes = 0;

  push(block: Uint8Array): void {
    this.bytes += block.length;
    if (this.bytes > MAX_EXPANDED) throw new Error(`one block expands to more than ${MAX_EXPANDED} bytes`);
    this.blocks.push(block);
  }

  take(): Uint8Array[] {
    const { blocks } = this;
    this.blocks = [];
    this.bytes = 0;
    return blocks;
  }
}
