import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { engineModule } from '../../testing/wasm.ts';
import { type Answer, Translation } from './translation.ts';

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
    // iotlb_inv of a page of domain 7
    expect(translation.command('vtd', [0x7_0032n, 0n])).toBeUndefined();
    expect([at(2), at(1)]).toEqual([0xa_0000n, 0xa_0000n]);
  });
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
