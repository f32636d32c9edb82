import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ALL_EVENTS,
  type Content,
  contentOf,
  memorySource,
  openBytes,
  PROVENANCE,
  type Program,
  programs,
  writeProgram,
} from '../../testing/program.ts';
import { engineModule } from '../../testing/wasm.ts';
import { TlbEngine } from '../engine/tlb.ts';
import { TraceError } from '../model/errors.ts';
import type { TlbConfig } from '../model/tlb.ts';
import type { TraceMeta } from '../model/trace.ts';
import {
  CHUNK_FIELDS,
  CHUNK_HEADER_BYTES,
  CHUNK_KINDS,
  type ChunkHeader,
  checksum,
  decodeChunkHeader,
  encodeChunkHeader,
  HEADER_BYTES,
  TRAILER_BYTES,
} from './format.ts';
import { codec } from './input.ts';
import { openTrace } from './reader.ts';

// Two agents, two chunks' worth of kinds: records with pages and events of every sort, outcomes, meta.
const SMALL: Program = fc
  .sample(
    programs({
      agents: 2,
      vpn: fc.nat(9),
      events: ALL_EVENTS,
      field: () => fc.nat(50),
      steps: 120,
      interleaved: false,
    }),
    { seed: 7, numRuns: 40 },
  )
  .reduce((a, b) => (a.steps.length > b.steps.length ? a : b));

/** What reading comes to: the content, or the one error. Anything but a TraceError is thrown on. */
function outcomeOf(bytes: Uint8Array): Content | TraceError {
  try {
    return contentOf(openBytes(bytes));
  } catch (error) {
    if (error instanceof TraceError) return error;
    throw error;
  }
}

describe('a damaged trace', () => {
  const bytes = writeProgram(SMALL);
  const content = contentOf(openBytes(bytes));

  test('the sample holds all kinds of chunks, and events', () => {
    expect(content.outcomes.length).toBeGreaterThan(3);
    expect(content.meta.counts.events).toBeGreaterThan(10);
    expect(new Set(content.records.map((record) => record.agent)).size).toBe(2);
  });

  test('cut anywhere, is refused', () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(outcomeOf(bytes.slice(0, length)), `cut to ${length} bytes`).toBeInstanceOf(TraceError);
    }
  });

  test('with any one bit flipped, is refused or reads the same', () => {
    let refused = 0;
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const flipped = bytes.slice();
        flipped[at]! ^= 1 << bit;
        const outcome = outcomeOf(flipped);
        if (outcome instanceof TraceError) refused++;
        else expect(outcome, `bit ${bit} of byte ${at}`).toEqual(content);
      }
    }
    // All but the brotli streams' padding bits.
    expect(refused).toBeGreaterThan(bytes.length * 8 * 0.99);
  });

  test('with bytes put in, taken out, or overwritten, is refused or reads the same', () => {
    const damage = fc.record({ at: fc.nat(bytes.length), out: fc.nat(64), put: fc.uint8Array({ maxLength: 64 }) });
    fc.assert(
      fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
        const list = [...bytes];
        for (const { at, out, put } of damages) list.splice(at, out, ...put);
        const outcome = outcomeOf(Uint8Array.from(list));
        if (!(outcome instanceof TraceError)) expect(outcome).toEqual(content);
      }),
      { seed: 4, numRuns: 2000 },
    );
  });
});

interface Part {
  header: ChunkHeader;
  raw: Uint8Array;
}

/** The chunks of a trace, the meta chunk last. */
function partsOf(bytes: Uint8Array): Part[] {
  const parts: Part[] = [];
  for (let at = HEADER_BYTES; at < bytes.length - TRAILER_BYTES; ) {
    const header = decodeChunkHeader(bytes.slice(at, at + CHUNK_HEADER_BYTES), 't');
    at += CHUNK_HEADER_BYTES;
    parts.push({ header, raw: codec.decompress(bytes.slice(at, at + header.stored), header.raw) });
    at += header.stored;
  }
  return parts;
}

/** A file of `parts` with sizes, checksums and trailer that fit: damage that a checksum does not show. */
function sealed(head: Uint8Array, parts: readonly Part[]): Uint8Array {
  const blocks: Uint8Array[] = [head.slice(0, HEADER_BYTES)];
  let meta = 0;
  for (const { header, raw } of parts) {
    const stored = codec.compress(raw);
    const full = { ...header, stored: stored.length, raw: raw.length, crc: 0 };
    meta = blocks.reduce((sum, block) => sum + block.length, 0);
    blocks.push(encodeChunkHeader({ ...full, crc: checksum(full, raw, codec) }), stored);
  }
  const trailer = new Uint8Array(TRAILER_BYTES);
  new DataView(trailer.buffer).setBigUint64(0, BigInt(meta), true);
  trailer.set(new TextEncoder().encode('iommend\n'), 8);
  return Buffer.concat([...blocks, trailer]);
}

const CONFIG: TlbConfig = {
  l1d: { sets: 3, ways: 2, replacement: 'lru' },
  l1i: { sets: 2, ways: 2, replacement: 'lru' },
  l2: { sets: 5, ways: 3, replacement: 'srrip' },
  seed: 1,
  pageShift: 14,
  dataOnly: false,
  straddle: 'both',
  invalidate: 'all',
};

describe('a forged trace, whose checksums fit', () => {
  const bytes = writeProgram({ ...SMALL, interleaved: true });
  const parts = partsOf(bytes);

  test('sealing what was taken apart gives the same bytes', () => {
    expect(Buffer.compare(sealed(bytes, parts), bytes)).toBe(0);
  });

  test('never breaks a reader or an engine', () => {
    const index = fc.nat(parts.length - 1);
    const forgery = fc.oneof(
      fc.record({ part: index, at: fc.nat(4000), put: fc.uint8Array({ minLength: 1, maxLength: 9 }), out: fc.nat(9) }),
      fc.record({
        part: index,
        field: fc.constantFrom(...CHUNK_FIELDS),
        value: fc.oneof(fc.nat(70), fc.constantFrom(65_535, 65_536, 2 ** 26, 2 ** 27, 2 ** 32 - 1)),
      }),
    );
    const reached = { read: 0, refused: 0 };
    fc.assert(
      fc.property(fc.array(forgery, { minLength: 1, maxLength: 4 }), (forgeries) => {
        const forged = parts.map(({ header, raw }) => ({ header: { ...header }, raw }));
        for (const each of forgeries) {
          const part = forged[each.part]!;
          if ('field' in each) part.header[each.field] = each.value;
          else {
            const list = [...part.raw];
            list.splice(each.at % (list.length + 1), each.out, ...each.put);
            part.raw = Uint8Array.from(list);
          }
        }
        const file = sealed(bytes, forged);
        if (outcomeOf(file) instanceof TraceError) {
          reached.refused++;
          return;
        }
        reached.read++;
        const trace = openBytes(file);
        const engine = new TlbEngine(engineModule('checked'), CONFIG, { ...trace.meta, interleaved: true });
        for (const chunk of trace.chunks()) engine.feed(chunk);
        const { l1d, l1i } = engine.result();
        expect(l1d.misses <= l1d.accesses && l1i.misses <= l1i.accesses).toBe(true);
      }),
      { seed: 5, numRuns: 1500 },
    );
    expect(reached.read).toBeGreaterThan(50);
    expect(reached.refused).toBeGreaterThan(500);
  });

  // A change of the meta chunk's JSON, and the error.
  const metas: [string, (meta: TraceMeta) => unknown, string][] = [
    ['no object', () => 5, 'has no "format": 1'],
    ['of another format', (meta) => ({ ...meta, format: 2 }), 'has no "format": 1'],
    ['no agents', (meta) => ({ ...meta, agents: undefined }), 'agents is not a short list'],
    [
      'a thousand agents',
      (meta) => ({ ...meta, agents: Array(1000).fill(meta.agents[0]) }),
      'agents is not a short list',
    ],
    [
      'an agent without a space',
      (meta) => ({ ...meta, agents: [{ name: 'a', kind: 'cpu', space: 0.5 }] }),
      'has a malformed agent',
    ],
    ['an agent of no kind', (meta) => ({ ...meta, agents: [{ name: 'a', space: 0 }] }), 'has a malformed agent'],
    ['a space of no kind', (meta) => ({ ...meta, spaces: [null] }), 'has a malformed space'],
    ['no counts', (meta) => ({ ...meta, counts: null }), 'has no counts'],
    [
      'counts below 0',
      (meta) => ({ ...meta, counts: { ...meta.counts, maps: -1 } }),
      'counts.maps is -1, expected a count',
    ],
    [
      'huge pages',
      (meta) => ({ ...meta, counts: { ...meta.counts, pages: 2 ** 40 } }),
      'counts.pages is 1099511627776, expected at most 134217728',
    ],
    ['no tally', (meta) => ({ ...meta, tally: undefined }), 'tally has no rules'],
    [
      'a rule that is no count',
      (meta) => ({ ...meta, tally: { ...PROVENANCE.tally, rules: { a: 'b' } } }),
      'tally.rules["a"] is "b", expected a count',
    ],
    [
      'a line without a fate',
      (meta) => ({ ...meta, tally: { ...PROVENANCE.tally, lines: 4 } }),
      'tally has 4 lines, expected 1 + 1 + 1',
    ],
    ['no source', (meta) => ({ ...meta, source: {} }), 'source is not {"format": NAME, "file": NAME}'],
    ['an odd inference', (meta) => ({ ...meta, inferred: [1] }), 'inferred is not a short list of sentences'],
    ['an odd flag', (meta) => ({ ...meta, interleaved: 1 }), 'interleaved is neither true nor false'],
  ];
  for (const [name, change, message] of metas) {
    test(`meta chunk: ${name}`, () => {
      const last = parts.at(-1)!;
      const json = JSON.stringify(change(JSON.parse(new TextDecoder().decode(last.raw))));
      const file = sealed(bytes, [...parts.slice(0, -1), { header: last.header, raw: new TextEncoder().encode(json) }]);
      expect(() => openBytes(file)).toThrow(`test.trace: meta: ${message}`);
    });
  }

  test('a chunk left out, doubled, or of another kind is missed', () => {
    const records = parts.findIndex((part) => CHUNK_KINDS[part.header.kind] === 'records');
    const without = parts.filter((_, i) => i !== records);
    expect(() => openBytes(sealed(bytes, without))).toThrow(/has 0 records, its meta chunk says/);
    expect(() => openBytes(sealed(bytes, [parts[records]!, ...parts]))).toThrow(/records, its meta chunk says/);
    expect(() => openBytes(sealed(bytes, parts.slice(0, -1)))).toThrow('is outcomes, expected meta');
  });
});

// Bytes overwritten in a good file, and the error. A hostile length must be refused before it is believed.
const HOSTILE: [name: string, at: number, value: number, message: string][] = [
  ['magic', 0, 0, 'test.trace: is not an iommulator trace'],
  ['version', 8, 2, 'test.trace: is of format version 2, expected 1'],
  ['end of the header', 12, 1, 'test.trace: has a header that does not end in 0'],
  ['kind', 16, 3, 'kind is 3, expected at most 2'],
  ['stored', 20, 0xffff_ffff, 'stored is 4294967295, expected at most 67108864'],
  ['stored, within bounds', 20, 1 << 26, 'runs past the meta chunk'],
  ['raw', 24, 0xffff_ffff, 'raw is 4294967295, expected at most 67108864'],
  ['raw, within bounds', 24, 1 << 26, 'cannot be decompressed: expands to'],
  ['records', 32, 65_537, 'records is 65537, expected at most 65536'],
  ['pages', 40, 0xffff_ffff, 'pages is 4294967295, expected at most 134217728'],
];

for (const [name, at, value, message] of HOSTILE) {
  test(`hostile ${name}`, () => {
    const bytes = writeProgram(SMALL);
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(at, value, true);
    const outcome = outcomeOf(bytes);
    expect(outcome).toBeInstanceOf(TraceError);
    expect((outcome as TraceError).message).toContain(message);
  });
}

test('a trailer that points nowhere is refused', () => {
  const bytes = writeProgram(SMALL);
  for (const at of [0n, 15n, BigInt(bytes.length), 2n ** 63n]) {
    new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(bytes.length - TRAILER_BYTES, at, true);
    expect(() => openBytes(bytes)).toThrow(/its trailer points to byte \d+, outside the file/);
  }
});

test('a decompression bomb stops at the stated size', () => {
  const parts = partsOf(writeProgram(SMALL));
  const bytes = sealed(writeProgram(SMALL), [{ ...parts[0]!, raw: new Uint8Array(1 << 22) }, ...parts.slice(1)]);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(24, 1000, true);
  const outcome = outcomeOf(bytes);
  expect((outcome as TraceError).message).toContain('chunk 0: cannot be decompressed');
});

test('a source that ends early is cut short, not waited for', () => {
  const bytes = writeProgram(SMALL);
  const source = {
    ...memorySource(bytes),
    read: (at: number, n: number) => bytes.slice(at, at + (n > 48 ? n - 1 : n)),
  };
  expect(() => openBytes(bytes)).not.toThrow();
  expect(() => openTrace(source, codec, 't')).toThrow('is cut short');
});
