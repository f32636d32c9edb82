import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { type Answer, type Place, type Tag, Translation } from './translation.ts';

const module = engineModule('checked');
const CACHES = { tlb: 64, walk: 32, context: 32 };
const SOURCE = 0x28;

/** Memory, word by word: address, then words. */
function image(translation: Translation, rows: readonly (readonly bigint[])[]): void {
  for (const [at, ...words] of rows) {
    for (const [i, word] of words.entries()) translation.write(at! + 8n * BigInt(i), word);
  }
}
const hex = (values: readonly bigint[]): string => values.map((value) => value.toString(16)).join(' ');
const show = ({ status, address, fault, reads, writes }: Answer): string =>
  `${status === 'ok' ? `ok ${address.toString(16)}` : `${status} ${fault}`}; ${hex(reads)}; ${writes.map(({ address, value }) => `${address.toString(16)}=${value.toString(16)}`).join(' ')}`;

describe('accessed and dirty', () => {
  // CR3 at 1000, tables at 2000, 3000, 4000; the leaf is writable, neither accessed nor dirty.
  const rows = [
    [0x1000n, 0x2007n],
    [0x2000n, 0x3007n],
    [0x3000n, 0x4007n],
    [0x4000n, 0x9007n],
  ];
  const cases: [string, readonly ('r' | 'w')[], string[]][] = [
    ['a read sets A on the path', ['r'], ['ok 9000; 1000 2000 3000 4000; 1000=2027 2000=3027 3000=4027 4000=9027']],
    ['a write sets D too', ['w'], ['ok 9000; 1000 2000 3000 4000; 1000=2027 2000=3027 3000=4027 4000=9067']],
    [
      'a write after a read walks again, to set D',
      ['r', 'r', 'w', 'w'],
      [
        'ok 9000; 1000 2000 3000 4000; 1000=2027 2000=3027 3000=4027 4000=9027',
        'ok 9000; ; ',
        'ok 9000; 4000; 4000=9067',
        'ok 9000; ; ',
      ],
    ],
  ];
  test.each(cases)('%s', (_, accesses, expected) => {
    const translation = new Translation(module, CACHES);
    image(translation, rows);
    expect(accesses.map((access) => show(translation.cpu(0x1000n, { address: 0n, access })))).toEqual(expected);
  });

  test('a page that may not be written keeps both', () => {
    const translation = new Translation(module);
    image(translation, [
      [0x1000n, 0x2027n],
      [0x2000n, 0x3027n],
      [0x3000n, 0x4027n],
      [0x4000n, 0x9005n],
    ]);
    expect(show(translation.cpu(0x1000n, { address: 0n, access: 'w' }))).toBe('permission 7; 1000 2000 3000 4000; ');
  });
});

describe('through a second stage', () => {
  // Guest-physical g0000 lies at host-physical 1g0000. Second stage: 3 levels at a000, b000, c000, with 64 pages.
  const second = (grants: bigint) => [
    [0xa000n, 0xb007n],
    [0xb000n, 0xc007n],
    [0xc000n, ...Array.from({ length: 64 }, (_, page) => 0x10_0000n + BigInt(page) * 0x1000n + grants)],
  ];
  const first = (accessed: bigint) => [
    [0x10_1000n, 0x2007n | accessed],
    [0x10_2000n, 0x3007n | accessed],
    [0x10_3000n, 0x4007n | accessed],
    [0x10_4000n, 0x9007n | accessed],
  ];
  // Root 500000, context 501000, directory 502000, PASID table 503000: nested, second stage of 39 bits, with A and D.
  const vtd = (marks: bigint) => [
    [0x50_0000n, 0x50_1001n],
    [0x50_1000n + BigInt(SOURCE) * 32n, 0x50_2009n],
    [0x50_2000n, 0x50_3001n],
    [0x50_3000n, 0xa000n | (1n << 2n) | (3n << 6n) | (marks << 9n) | 1n, 7n, 0x1000n],
  ];
  // Its device table entry: v1 of 3 levels, GV, GCR3 at guest 5000; the root is at guest 1000.
  const amd = [
    [0x60_0500n, (1n << 55n) | (5n << 58n) | (3n << 61n) | 0xa000n | (3n << 9n) | 3n, 5n],
    [0x10_5000n, 0x1001n],
    [0xa000n, (3n << 61n) | (2n << 9n) | 0xb001n],
    [0xb000n, (3n << 61n) | (1n << 9n) | 0xc001n],
    [0xc000n, ...Array.from({ length: 64 }, (_, page) => 0x10_0001n + BigInt(page) * 0x1000n + (3n << 61n))],
  ];

  test('A and D of the first stage are written through the second', () => {
    const translation = new Translation(module);
    image(translation, [...second(7n), ...first(0n), ...vtd(0n)]);
    const answer = translation.vtd(0x50_0400n, { address: 0x123n, access: 'w' }, SOURCE);
    expect(answer).toMatchObject({ status: 'ok', address: 0x10_9123n, domain: 7, pasid: 0 });
    expect(show(answer)).toContain('; 101000=2027 102000=3027 103000=4027 104000=9067');
  });

  test('they are refused where it is read-only (0x91), and not asked for where they are set', () => {
    const translation = new Translation(module);
    image(translation, [...second(1n), ...first(0n), ...vtd(0n)]);
    expect(translation.vtd(0x50_0400n, { address: 0n, access: 'r' }, SOURCE)).toMatchObject({
      status: 'unmarkable',
      fault: 0x91,
    });
    image(translation, first(0x20n));
    expect(translation.vtd(0x50_0400n, { address: 0n, access: 'r' }, SOURCE)).toMatchObject({ status: 'ok' });
    expect(translation.vtd(0x50_0400n, { address: 0n, access: 'w' }, SOURCE)).toMatchObject({ fault: 0x91 });
  });

  test('a page of tables that the walker writes is dirty in the second stage', () => {
    const translation = new Translation(module);
    image(translation, [...second(7n), ...first(0n), ...vtd(1n)]);
    const { writes } = translation.vtd(0x50_0400n, { address: 0n, access: 'r' }, SOURCE);
    const dirty = writes.filter(({ address }) => address >> 12n === 0xcn).map(({ value }) => value);
    expect(hex(dirty)).toBe('101107 101307 102107 102307 103107 103307 104107 104307 109107');
  });

  test('with walk caches a leaf of each stage is left', () => {
    const translation = new Translation(module, { ...CACHES, tlb: 0 });
    image(translation, [...second(7n), ...first(0x20n), ...vtd(0n)]);
    const reads = () => hex(translation.vtd(0x50_0400n, { address: 0n, access: 'r' }, SOURCE).reads).split(' ');
    // Structures; the first table behind three of the second stage, the other three and the page behind its leaf table.
    expect(reads().length).toBe(4 + (3 + 1) + 3 * (1 + 1) + 1);
    expect(reads()).toEqual(['104000', 'c048']);
  });

  test('AMD: GCR3 and v2 tables behind v1', () => {
    const translation = new Translation(module, { ...CACHES, tlb: 0 });
    image(translation, [...amd, ...first(0x20n)]);
    const ask = () => translation.amd(0x60_0000n, { address: 0x321n, access: 'r' }, SOURCE, 0);
    const cold = ask();
    expect(cold).toMatchObject({ status: 'ok', address: 0x10_9321n, domain: 5, pasid: 0 });
    // DTE; the GCR3 entry behind three of v1; four tables and the page behind its leaf table.
    expect(cold.reads.length).toBe(1 + (3 + 1) + 4 * (1 + 1) + 1);
    expect(hex(ask().reads)).toBe('104000 c048');
  });
});

describe('tags', () => {
  test('global entries serve every PCID, others their own', () => {
    const translation = new Translation(module, CACHES);
    image(translation, [
      [0x1000n, 0x2027n],
      [0x2000n, 0x3027n],
      [0x3000n, 0x4027n],
      [0x4000n, 0x9127n, 0xa027n],
    ]);
    const reads = (pcid: bigint, address: bigint) =>
      translation.cpu(0x1000n | pcid, { address, access: 'r' }).reads.length;
    expect([reads(1n, 0n), reads(2n, 0n), reads(1n, 0x1000n), reads(2n, 0x1000n), reads(2n, 0x1000n)]).toEqual([
      4, 0, 1, 4, 0,
    ]);
  });

  test('two contexts of one domain share entries, whatever their tables are', () => {
    const translation = new Translation(module, CACHES);
    const context = (source: bigint, root: bigint) => [0x50_1000n + source * 16n, root | 1n, (7n << 8n) | 1n];
    const tables = (root: bigint, frame: bigint) => [
      [root, (root + 0x1000n) | 3n],
      [root + 0x1000n, (root + 0x2000n) | 3n],
      [root + 0x2000n, frame | 3n],
    ];
    const rows = [[0x50_0000n, 0x50_1001n], context(1n, 0x1000n), context(2n, 0x8000n)];
    image(translation, [...rows, ...tables(0x1000n, 0x9_0000n), ...tables(0x8000n, 0xa_0000n)]);
    const at = (source: number) => translation.vtd(0x50_0000n, { address: 0n, access: 'r' }, source).address;
    expect([at(1), at(2)]).toEqual([0x9_0000n, 0x9_0000n]);
    translation.drop({ domain: 7, pasid: 'none' }, 0, 0);
    expect([at(2), at(1)]).toEqual([0xa_0000n, 0xa_0000n]);
  });
});

// ---- invalidations against a list of tagged entries ----

interface Held extends Tag {
  readonly place: Place;
  readonly order: number;
  readonly number: number;
}
type Request =
  | { readonly kind: 'global' }
  | { readonly kind: 'domain'; readonly domain: number }
  | {
      readonly kind: 'page';
      readonly domain: number;
      readonly first: number;
      readonly last: number;
      readonly leafOnly: boolean;
    }
  | { readonly kind: 'pasid'; readonly domain: number; readonly pasid: number }
  | (Tag & { readonly kind: 'pasid page'; readonly first: number; readonly last: number; readonly leafOnly: boolean });

const END = 2 ** 36 - 1;
const domain = fc.integer({ min: 1, max: 3 });
const pasid = fc.integer({ min: 0, max: 2 });
const ORDERS: Readonly<Record<string, readonly number[]>> = { tlb: [0, 1, 4, 9, 18], 1: [9], 2: [18], 3: [27] };
const held: fc.Arbitrary<Held> = fc
  .record({
    place: fc.constantFrom<Place>('tlb', 'tlb', 1, 2, 3),
    domain,
    pasid: fc.option(pasid, { nil: undefined }),
    pick: fc.nat(),
    page: fc.nat(4 * 512 * 512),
  })
  .map(({ place, domain, pasid, pick, page }) => {
    const order = ORDERS[place]![pick % ORDERS[place]!.length]!;
    return { place, domain, pasid, order, number: Math.floor(page / 2 ** order) };
  });
const range = fc
  .record({ page: fc.nat(4 * 512 * 512), order: fc.constantFrom(0, 0, 1, 3, 9, 12) })
  .map(({ page, order }) => {
    const first = Math.floor(page / 2 ** order) * 2 ** order;
    return { first, last: first + 2 ** order - 1 };
  });
const request: fc.Arbitrary<Request> = fc.oneof(
  { weight: 1, arbitrary: fc.constant({ kind: 'global' } as const) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('domain' as const), domain }) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(domain, range, fc.boolean())
      .map(([domain, range, leafOnly]) => ({ kind: 'page' as const, domain, ...range, leafOnly })),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('pasid' as const), domain, pasid }) },
  {
    weight: 6,
    arbitrary: fc
      .tuple(domain, pasid, range, fc.boolean())
      .map(([domain, pasid, range, leafOnly]) => ({ kind: 'pasid page' as const, domain, pasid, ...range, leafOnly })),
  },
);

/** Must the request remove the entry? hardware.md 2.4 and 3.3, row by row. */
function mustGo(entry: Held, request: Request): boolean {
  if (request.kind === 'global') return true;
  if (entry.domain !== request.domain) return false;
  if (request.kind === 'domain') return true;
  if (request.kind === 'pasid') return entry.pasid === request.pasid;
  const start = entry.number * 2 ** entry.order;
  const meets = start <= request.last && start + 2 ** entry.order - 1 >= request.first;
  const leaf = entry.place === 'tlb';
  if (request.kind === 'pasid page') return entry.pasid === request.pasid && meets && (leaf || !request.leafOnly);
  // A guest-physical range says nothing about the addresses of first stages: all of theirs go.
  if (leaf && entry.pasid !== undefined) return true;
  return entry.pasid === undefined && meets && (leaf || !request.leafOnly);
}

/** Tags and pages that a request names, and whether walk caches may stay. */
function scopeOf(request: Request): Parameters<Translation['drop']> {
  const all = [0, END] as const;
  if (request.kind === 'global') return [{ domain: 'any', pasid: 'any' }, ...all];
  if (request.kind === 'domain') return [{ domain: request.domain, pasid: 'any' }, ...all];
  if (request.kind === 'pasid') return [{ domain: request.domain, pasid: request.pasid }, ...all];
  const pasid = request.kind === 'page' ? 'none' : request.pasid!;
  return [{ domain: request.domain, pasid }, request.first, request.last, request.leafOnly];
}

test.each(BUILDS)('%s: an invalidation removes what the tables of the hardware say, and not everything', (build) => {
  const reached = { gone: 0, larger: 0, kept: 0, more: 0 };
  const step = fc.oneof({ weight: 3, arbitrary: held }, { weight: 1, arbitrary: request });
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const translation = new Translation(engineModule(build), { tlb: 128, walk: 128, context: 0 });
      let model: Held[] = [];
      const holds = ({ place, order, number, ...tag }: Held): boolean => translation.holds(place, tag, order, number);
      for (const step of steps) {
        if ('place' in step) {
          translation.fill(step.place, step, step.order, step.number);
          model = [...model.filter((entry) => JSON.stringify(entry) !== JSON.stringify(step)), step];
          continue;
        }
        translation.drop(...scopeOf(step));
        const must = model.filter((entry) => mustGo(entry, step));
        expect(must.filter(holds)).toEqual([]);
        const left = model.filter(holds);
        reached.gone += must.length;
        reached.larger +=
          'first' in step ? must.filter(({ order }) => 2 ** order > step.last - step.first + 1).length : 0;
        reached.more += model.length - must.length - left.length;
        reached.kept += left.length;
        model = left;
      }
    }),
    { seed: 3, numRuns: 60 },
  );
  expect(Object.entries(reached).filter(([, count]) => count < 20)).toEqual([]);
  expect(reached.more).toBeLessThan(reached.kept);
});

test('structures of devices: what is dropped is read again, what is not is not', () => {
  const translation = new Translation(module, CACHES);
  const sources = [0x28, 0x29, 0x2c, 0x30];
  const pasids = [0, 1, 65];
  // Scalable mode; the PASID entry of a device gives domain source + PASID, second stage at a000.
  const rows: bigint[][] = [
    [0x50_0000n, 0x50_1001n],
    [0xa000n, 0xb003n],
    [0xb000n, 0xc003n],
    [0xc000n, 0x9003n],
  ];
  sources.forEach((source, i) => {
    const directory = 0x51_0000n + BigInt(i) * 0x4000n;
    rows.push([0x50_1000n + BigInt(source) * 32n, directory | 0x9n]);
    for (const pasid of pasids) {
      const table = directory + 0x1000n * BigInt(1 + (pasid >> 6));
      rows.push([directory + BigInt(pasid >> 6) * 8n, table | 1n]);
      rows.push([table + BigInt(pasid & 63) * 64n, 0xa000n | (1n << 2n) | (2n << 6n) | 1n, BigInt(source + pasid), 0n]);
    }
  });
  image(translation, rows);
  const reads = (source: number, pasid: number) =>
    translation.vtd(0x50_0400n, { address: 0n, access: 'r' }, source, pasid).reads.length;
  const all = () => sources.map((source) => pasids.map((pasid) => reads(source, pasid)).join('')).join(' ');
  all();
  const cases: [string, () => void, string][] = [
    ['nothing', () => {}, '000 000 000 000'],
    ['PASID entries of a domain', () => translation.dropPasids(0x29), '020 200 000 000'],
    ['one PASID of a domain', () => translation.dropPasids(0x28 + 65, 65), '002 000 000 000'],
    ['all PASID entries', () => translation.dropPasids('any'), '222 222 222 222'],
    ['a device', () => translation.dropContexts('any', 0x2c), '000 000 200 000'],
    ['functions that differ in bit 2', () => translation.dropContexts('any', 0x28, 4), '200 000 200 000'],
    ['all', () => translation.dropContexts('any'), '200 200 200 200'],
  ];
  for (const [name, drop, expected] of cases) {
    drop();
    expect(`${name}: ${all()}`).toBe(`${name}: ${expected}`);
    expect(sources.every((source) => translation.knows(source) && translation.knows(source, 65))).toBe(true);
  }
});

test('memory with anything in it: a walk ends, within its trail', () => {
  const word = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
  const near = fc
    .tuple(fc.nat(15), fc.nat(0xfff), fc.nat(0x7ff))
    .map(([page, low, high]) => (BigInt(high) << 53n) | (BigInt(page) << 12n) | BigInt(low) | 1n);
  const words = fc.array(fc.oneof({ weight: 1, arbitrary: word }, { weight: 6, arbitrary: near }), {
    minLength: 24,
    maxLength: 24,
  });
  const statuses = new Map<string, number>();
  fc.assert(
    fc.property(words, fc.array(word, { minLength: 6, maxLength: 6 }), (words, addresses) => {
      const translation = new Translation(module, CACHES);
      for (let page = 0; page < 16; page++) {
        for (let slot = 0; slot < 512; slot += 16)
          translation.write(BigInt(page * 4096 + slot * 8), words[(page * 7 + slot / 16) % words.length]!);
      }
      for (const address of addresses) {
        const ask = { address: address & 0xff_fff0_0f0f_0fffn, access: 'w' } as const;
        for (const { status, reads, writes } of [
          translation.cpu(0x1000n, ask),
          translation.vtd(0x400n, ask, 0),
          translation.vtd(0n, ask, 0, 1),
          translation.amd(0n, ask, 0, 0),
        ]) {
          statuses.set(status, (statuses.get(status) ?? 0) + 1);
          expect(reads.length).toBeLessThan(105);
          expect(writes.length).toBeLessThan(64);
        }
      }
    }),
    { seed: 5, numRuns: 60 },
  );
  expect(statuses.size).toBeGreaterThan(4);
});
