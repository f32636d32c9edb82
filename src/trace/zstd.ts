import type { ZSTDDecoder } from 'zstddec/stream';

/** Zstandard (RFC 8878) by the format's own decoder, as the WebAssembly of the npm package zstddec: one code on every Node. */

/** What is called of the module: `ZSTD_decompressStream` of zstd.h and what it needs. Pointers and sizes have 32 bits. */
interface Decoder {
  readonly memory: WebAssembly.Memory;
  malloc(bytes: number): number;
  ZSTD_createDCtx(): number;
  /** Bytes of input it would like next, 0 at the end of a frame, or an error: minus its number, as 32 bits. */
  ZSTD_decompressStream(context: number, output: number, input: number): number;
}

/** Numbers of zstd_errors.h with a cause that a user can do something about; the rest is damage. */
const ERRORS: Readonly<Record<number, string>> = {
  16: 'its window is larger than 128 MiB',
  22: 'its checksum is wrong',
  32: 'it needs a dictionary',
  64: 'there is not enough memory',
};
/** ZSTD_error_maxCode: no size is as large as an error. */
const MAX_ERROR = 120;

let loaded: Promise<WebAssembly.Module> | undefined;

/**
 * The module. The package's own loop takes no notice of errors (it never ends where bytes are damaged) and keeps all it
 * allocates, so that each stream gets an instance of its own, and is driven here.
 */
async function load(): Promise<WebAssembly.Module> {
  const { ZSTDDecoder: Package } = await import('zstddec/stream');
  const decoder: ZSTDDecoder = new Package();
  return new Promise((resolve, reject) => {
    decoder._init = ({ module }) => resolve(module);
    decoder.init().catch(reject);
  });
}

/** The content of all frames of `source`, in blocks of at most `size` bytes, each good until the next. Memory is a window, at most 128 MiB. */
export async function* unzstd(source: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  loaded ??= load();
  const instance = new WebAssembly.Instance(await loaded, { env: { emscripten_notify_memory_growth() {} } });
  const decoder = instance.exports as unknown as Decoder;
  const context = decoder.ZSTD_createDCtx();
  const input = decoder.malloc(size);
  const output = decoder.malloc(size);
  /** ZSTD_inBuffer, then ZSTD_outBuffer: pointer, size, position. */
  const buffers = decoder.malloc(24);
  let wanted = 0;
  for await (const block of source) {
    for (let from = 0; from < block.length; from += size) {
      const part = block.subarray(from, from + size);
      // Memory that grows is another buffer: views last for a call.
      new Uint8Array(decoder.memory.buffer).set(part, input);
      for (let taken = 0, made = size; taken < part.length || (made === size && wanted !== 0); ) {
        new Uint32Array(decoder.memory.buffer, buffers, 6).set([input, part.length, taken, output, size, 0]);
        wanted = decoder.ZSTD_decompressStream(context, buffers + 12, buffers) >>> 0;
        const error = -(wanted | 0);
        if (error > 0 && error <= MAX_ERROR) throw new Error(`zstd: ${ERRORS[error] ?? 'it is damaged'}`);
        const after = new Uint32Array(decoder.memory.buffer, buffers, 6);
        taken = after[2]!;
        made = after[5]!;
        if (made > 0) yield new Uint8Array(decoder.memory.buffer, output, made);
      }
    }
  }
  if (wanted !== 0) throw new Error('zstd: it ends within a frame');
}
