import { decompress } from 'brotli/decompress';
import { type Codec, type Job, openTrace, runPass } from '../../src/replay.ts';

/** What a page sends to its worker. */
export interface ReplayTask {
  readonly engine: Uint8Array<ArrayBuffer>;
  readonly trace: Uint8Array;
  readonly name: string;
  readonly jobs: readonly Job[];
}

/** CRC-32 as zlib has it, a bit at a time. */
function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

const codec: Codec = {
  compress() {
    throw new Error('nothing is written here');
  },
  decompress: (bytes, raw) => decompress(bytes, raw),
  crc32,
};

addEventListener('message', ({ data: { engine, trace, name, jobs } }: MessageEvent<ReplayTask>) => {
  const source = { size: trace.length, read: (at: number, length: number) => trace.slice(at, at + length) };
  const module = new WebAssembly.Module(engine);
  postMessage(runPass(openTrace(source, codec, name), jobs, module, () => false));
});
