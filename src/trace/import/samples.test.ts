import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../../testing/cli.ts';
import { imported, inputOf, samplesOf } from '../../../testing/imports.ts';
import { TraceError } from '../../model/errors.ts';
import type { ImportTally } from '../../model/trace.ts';
import { codec, type Input } from '../input.ts';
import { TraceWriter } from '../writer.ts';
import { IMPORTERS, recognise } from './index.ts';

/** Mutated inputs per format; every so many are written out, compressed and read back, too. */
const MUTANTS = 1000;
const WHOLE = 20;
/** A writer's codec that costs nothing: what an importer does is of interest, not what becomes of its chunks. */
const RAW = { ...codec, compress: (bytes: Uint8Array) => bytes, crc32: () => 0 };
/** Recordings that are nearly all garbage on purpose: only what they say about garbage is of interest. */
const GARBAGE = ['garbage.lk'];

const FORMATS = readdirSync(join(ROOT, 'traces/samples')).sort();
/** Formats whose samples have tests of their own. */
const OWN_TESTS = ['lackey', 'qemu'];
const PAIRED = new Set(samplesOf('qemu').map(({ name }) => name));
const TEXTS = ['csv', 'din', 'drmemtrace-view', 'pinatrace'];

test('every format has samples', () => {
  expect(FORMATS).toEqual(IMPORTERS.map(({ name }) => name).sort());
});

describe.each(FORMATS)('%s', (format) => {
  const samples = samplesOf(format);
  const importer = IMPORTERS.find(({ name }) => name === format)!;

  test('its samples are recognised by content', async () => {
    for (const { name, bytes } of samples)
      expect([name, (await recognise(inputOf(bytes))).name]).toEqual([name, format]);
  });

  test('its samples are read to the last line, whatever the blocks', async () => {
    for (const { name, bytes } of samples.filter(({ name }) => !GARBAGE.includes(name))) {
      const whole = await imported(inputOf(bytes));
      if (!OWN_TESTS.includes(format) && !PAIRED.has(name))
        await expect(whole.text).toMatchFileSnapshot(join(ROOT, 'traces/golden/import', `${format}-${name}.txt`));
      const { lines, accepted, rejected, ignored } = whole.meta.tally;
      expect(accepted + rejected + ignored, name).toBe(lines);
      const small = await imported(inputOf(bytes, 't', 13));
      expect(Buffer.compare(small.trace, whole.trace), name).toBe(0);
    }
  });

  test('nothing is an error', async () => {
    await expect(imported(inputOf(new Uint8Array(0)), { importer })).rejects.toThrow(
      /^t: (holds no record|lacks its source)/,
    );
  });

  type Reading = (input: Input, maxRejected: number | undefined) => Promise<ImportTally>;
  const whole: Reading = async (input, maxRejected) => (await imported(input, { importer, maxRejected })).meta.tally;
  const alone: Reading = async (input, maxRejected) => {
    const out = new TraceWriter({ write() {} }, RAW);
    const { tally, inferred } = await importer.read(input, out, { strict: false, maxRejected });
    out.finish({ source: { format, file: 't' }, tally, inferred });
    return tally;
  };

  test('damaged input: an error, or every line has its fate', async () => {
    const random = generator(0x1009 + FORMATS.indexOf(format));
    for (let i = 0; i < MUTANTS; i++) {
      const { bytes } = samples[i % samples.length]!;
      const mutant = mutate(bytes, random);
      // Both what a user gets and what lies behind the threshold.
      const maxRejected = i % 2 === 0 ? 1 : undefined;
      const reading = i % WHOLE < 2 ? whole : alone;
      const tally = await reading(inputOf(mutant, 't', 4093), maxRejected).catch((error: unknown) => {
        expect(error, (error as Error).stack).toBeInstanceOf(TraceError);
      });
      if (!tally) continue;
      const { lines, accepted, rejected, ignored, rejections = {} } = tally;
      expect(accepted + rejected + ignored).toBe(lines);
      expect(Object.values(rejections).reduce((sum, kind) => sum + kind.lines, 0)).toBe(rejected);
    }
  });
});

describe.each([...TEXTS, 'ftrace', 'qemu', 'text'])('%s', (format) => {
  test('line ends of another system, or none at the end, change nothing', async () => {
    for (const { bytes } of samplesOf(format)) {
      const { lines } = await imported(inputOf(bytes));
      const text = Buffer.from(bytes).toString();
      for (const other of [text.replaceAll('\n', '\r\n'), text.trimEnd()])
        expect((await imported(inputOf(Buffer.from(other)))).lines).toEqual(lines);
    }
  });
});

describe.each(TEXTS)('%s', (format) => {
  test('a line that is no record is rejected, and named', async () => {
    const { bytes } = samplesOf(format)[0]!;
    const text = `${Buffer.from(bytes).toString()}`.split('\n');
    const dirty = Buffer.from([text[0], '\u0000 neither, "this"', ...text.slice(1)].join('\n'));
    const importer = IMPORTERS.find(({ name }) => name === format)!;
    await expect(imported(inputOf(dirty), { importer, strict: true })).rejects.toThrow(
      /^t:2: "\\u0000 neither, .* is not a /,
    );
    await expect(imported(inputOf(dirty), { importer })).rejects.toThrow(/^t: 1 of \d+ lines .* first, line 2: /);
    const { meta, lines } = await imported(inputOf(dirty), { importer, maxRejected: 0.5 });
    expect(Object.values(meta.tally.rejections!)).toEqual([{ lines: 1, first: 2 }]);
    expect(lines).toEqual((await imported(inputOf(bytes))).lines);
  });
});

test.each(['champsim', 'champsim-cloudsuite', 'oracleGeneral'])(
  '%s: lost bytes cost a few records, not the rest',
  async (format) => {
    const { bytes } = samplesOf(format)[0]!;
    const importer = IMPORTERS.find(({ name }) => name === format)!;
    const many = Buffer.concat(Array(40).fill(bytes));
    const records = (await imported(inputOf(many), { importer })).meta.tally.lines;
    for (const at of [70, 401, 1000]) {
      for (const lost of [1, 4, 22]) {
        const cut = Buffer.concat([many.subarray(0, at), many.subarray(at + lost)]);
        const { meta } = await imported(inputOf(cut, 't', 100), { importer, strict: false, maxRejected: 0.05 });
        expect(meta.tally.lines, `${lost} bytes at ${at}`).toBeGreaterThan(records - 4);
        expect(meta.tally.rejected, `${lost} bytes at ${at}`).toBeLessThanOrEqual(6);
      }
    }
    const cut = await imported(inputOf(bytes.subarray(0, -5)), { importer });
    expect(cut.meta.tally.rules).toEqual({ 'record cut off by the end of the file': 1 });
  },
);

/** Numbers of 0..1, seeded (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Bytes with some bits flipped, a part cut out, or a part repeated. */
function mutate(bytes: Uint8Array, random: () => number): Uint8Array {
  let mutant = Buffer.from(bytes.subarray(0, 20_000));
  const below = (bound: number): number => Math.floor(random() * bound);
  for (let changes = 1 + below(4); changes > 0 && mutant.length > 0; changes--) {
    const at = below(mutant.length);
    const end = Math.min(mutant.length, at + 1 + below(200));
    const part = mutant.subarray(at, end);
    const kind = random();
    if (kind < 0.5) mutant[at]! ^= 1 << below(8);
    else if (kind < 0.75) mutant = Buffer.concat([mutant.subarray(0, at), mutant.subarray(end)]);
    else mutant = Buffer.concat([mutant.subarray(0, end), ...Array(1 + below(3)).fill(part), mutant.subarray(end)]);
  }
  return mutant;
}
