import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { withFolder } from '../../testing/cli.ts';
import { headOf, type Input, openInput, streamInput } from './input.ts';

const TEXT = 'I  04000ff0,5\n L 1ffe000,8\n S 1ffe008,8\n';
const bytes = (base64: string): Uint8Array => Buffer.from(base64, 'base64');
/** The text, as xz 5.4, bzip2 1.0.8, Info-ZIP 3.0 and zstd 1.5 compress it. */
const PACKED = {
  plain: Buffer.from(TEXT),
  gzip: gzipSync(TEXT),
  xz: bytes(
    '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4AAnACFdACSILGA0WnjjGgLVKziHELt22bolCgK0ECO/AggiAQ3tCAAAAADIXnRmz6Qw2AABPShvVdt/H7bzfQEAAAAABFla',
  ),
  bzip2: bytes('QlpoOTFBWSZTWWuQzpIAAA7fAAAQQARmQAAkCAADACAAMQDQAJTRGIaTReudksnHMxPaELzKoJYjD4u5IpwoSDXIZ0kA'),
  zstd: bytes('KLUv/SQoQQEASSAgMDQwMDBmZjAsNQogTCAxZmZlMDAwLDgKIFMgMWZmZTAwOCw4ChkwTvM='),
};
const ZIP = bytes(
  'UEsDBBQAAAAIAK97eV3v7C8xIgAAACgAAAAEABwAYS5sa1VUCQAD2f4Ga9n+Bmt1eAsAAQQAAAAABAAAAADzVFAwMDEwMEhLM9Ax5VLwUTBMS0sF8nUsuBSCoRwLIAcAUEsBAh4DFAAAAAgAr3t5Xe/sLzEiAAAAKAAAAAQAGAAAAAAAAQAAAKSBAAAAAGEubGtVVAUAA9n+Bmt1eAsAAQQAAAAABAAAAABQSwUGAAAAAAEAAQBKAAAAYAAAAAAA',
);

async function textOf(input: Input): Promise<string> {
  const parts: Uint8Array[] = [];
  for await (const block of input.blocks()) parts.push(block.slice());
  return Buffer.concat(parts).toString();
}

for (const [name, packed] of Object.entries({ ...PACKED, zip: ZIP })) {
  test(`${name}: the same content, twice; cut or flipped, an error or other content, never a crash`, () =>
    withFolder(async (folder) => {
      // The name says nothing.
      const path = join(folder, 'app.bin');
      writeFileSync(path, packed);
      const input = openInput(path);
      expect(await textOf(input)).toBe(TEXT);
      expect(await textOf(input)).toBe(TEXT);
      for (let at = 0; at < packed.length; at++) {
        const flipped = Uint8Array.from(packed);
        flipped[at]! ^= 1 << (at % 8);
        for (const damaged of [packed.subarray(0, at), flipped]) {
          writeFileSync(path, damaged);
          const content = await textOf(openInput(path)).catch((error: Error) => error);
          if (typeof content !== 'string') expect(content.message).toMatch(/^app\.bin: /);
        }
      }
    }));
}

for (const [name, packed] of Object.entries(PACKED)) {
  test(`${name} from a pipe, in pieces of one byte; its head can be read again`, async () => {
    const pieces = Array.from(packed, (byte) => Uint8Array.of(byte));
    const input = streamInput('pipe', Readable.from(pieces));
    expect(Buffer.from(await headOf(input, 5)).toString()).toBe(TEXT.slice(0, 5));
    expect(await textOf(input)).toBe(TEXT);
    expect(await textOf(input)).toBe(TEXT);
  });
}

/** 2 MiB of zeros by zstd 1.5, without a checksum: whole blocks of what is read at a time. */
const ZEROS = bytes(
  'KLUv/QBoTAAACAABAPz/ORACAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAACABAAAgAQAAIAEAADABAA',
);

test('zstd: a frame of whole blocks, and frames one behind the other; one error for each that cannot be read', async () => {
  const lengthOf = async (...pieces: Uint8Array[]): Promise<number> => {
    let length = 0;
    for await (const block of streamInput('pipe', Readable.from(pieces)).blocks()) length += block.length;
    return length;
  };
  expect(await lengthOf(ZEROS)).toBe(2 << 20);
  expect(await lengthOf(ZEROS, PACKED.zstd, ZEROS)).toBe((4 << 20) + TEXT.length);
  const checksum = Uint8Array.from(PACKED.zstd);
  checksum[checksum.length - 1]! ^= 1;
  // A window of 2^28 bytes; the number of a dictionary; cut before the last block.
  for (const [damaged, error] of [
    [checksum, 'zstd: its checksum is wrong'],
    [bytes('KLUv/QSQZAAAEAAAAgDp/zdz4AEsAg=='), 'zstd: its window is larger than 128 MiB'],
    [Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x21, 7, 0, 1, 0, 0), 'zstd: it needs a dictionary'],
    [ZEROS.subarray(0, -4), 'zstd: it ends within a frame'],
    [Buffer.concat([ZEROS, Buffer.from('garbage behind')]), 'zstd: it is damaged'],
  ] as const)
    await expect(lengthOf(damaged)).rejects.toThrow(`pipe: cannot be decompressed or read: ${error}`);
});

test('a long stream is read once, a zip needs a file', async () => {
  const block = new Uint8Array(1 << 20);
  const long = streamInput('pipe', Readable.from(Array(6).fill(block)));
  expect((await textOf(long)).length).toBe(6 << 20);
  await expect(textOf(long)).rejects.toThrow('pipe: has to be read twice in this format: give it as a file');
  await expect(textOf(streamInput('pipe', Readable.from([ZIP])))).rejects.toThrow('a zip is read from its end');
});

test('a folder is its files, in the order of their names', () =>
  withFolder(async (folder) => {
    mkdirSync(join(folder, 'sub'));
    for (const name of ['b', 'a']) writeFileSync(join(folder, name), name);
    const { parts } = openInput(folder);
    expect(await Promise.all(parts!.map(textOf))).toEqual(['a', 'b']);
    expect(() => openInput(join(folder, 'sub'))).toThrow(/sub: holds no file$/);
  }));
