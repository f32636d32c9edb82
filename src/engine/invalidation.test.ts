import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import type { Caps } from '../model/descriptor.ts';
import { DescriptorCodec } from './descriptor.ts';
import { type Place, Translation } from './translation.ts';

/** Invalidation commands, as words, against a list of entries with their tags. */

const codec = new DescriptorCodec(engineModule('checked'));
const SOURCES = [0x28, 0x29, 0x2c, 0x2f, 0x30] as const;
const PASIDS = [0, 1, 65] as const;

/** An IOMMU with tables for the devices above, and the words of its queue. */
interface Hardware {
  readonly arch: 'vtd' | 'amd';
  /** Words of a slot. */
  readonly words: 2 | 4;
  readonly caps: Caps;
  readonly kinds: readonly string[];
  /** Context entries, DTEs and PASID entries name a domain. */
  readonly domainOf: (source: number, pasid: number | undefined) => number | undefined;
  readonly write: (translation: Translation) => void;
  /** A request of a device: it fills the caches of structures. */
  readonly ask: (translation: Translation, source: number, pasid: number | undefined) => string;
}

/** Memory, word by word: address, then words. */
function image(translation: Translation, rows: readonly (readonly bigint[])[]): void {
  for (const [at, ...words] of rows) {
    for (const [i, word] of words.entries()) translation.write(at! + 8n * BigInt(i), word);
  }
}
/** Where devices ask: behind no block that is put into a walk cache below. */
const VTD_ASK = { address: 8n << 30n, access: 'r' } as const;
const AMD_ASK = { address: 1n << 39n, access: 'r' } as const;
const tables = [
  [0xa000n + 8n * 8n, 0xb003n],
  [0xb000n, 0xc003n],
  [0xc000n, 0x9003n],
];
const small = (source: number, pasid = 0): number => 1 + ((source + pasid) % 3);

function scalable(translation: Translation): void {
  const rows: bigint[][] = [[0x50_0000n, 0x50_1001n], ...tables];
  SOURCES.forEach((source, i) => {
    const directory = 0x51_0000n + BigInt(i) * 0x4000n;
    rows.push([0x50_1000n + BigInt(source) * 32n, directory | 0x9n]);
    for (const pasid of PASIDS) {
      const table = directory + 0x1000n * BigInt(1 + (pasid >> 6));
      rows.push([directory + BigInt(pasid >> 6) * 8n, table | 1n]);
      const entry = [0xa000n | (1n << 2n) | (2n << 6n) | 1n, BigInt(small(source, pasid)), 0n];
      rows.push([table + BigInt(pasid & 63) * 64n, ...entry]);
    }
  });
  image(translation, rows);
}
const inPasid: Pick<Hardware, 'domainOf' | 'write' | 'ask'> = {
  domainOf: (source, pasid) => (pasid === undefined ? undefined : small(source, pasid)),
  write: scalable,
  ask: (translation, source, pasid) => translation.vtd(0x50_0400n, VTD_ASK, source, pasid ?? 0).status,
};

const HARDWARE: Readonly<Record<string, Hardware>> = {
  'VT-d, legacy': {
    arch: 'vtd',
    words: 2,
    caps: { MAMV: 63 },
    kinds: ['cc_inv', 'iotlb_inv', 'dev_tlb_inv'],
    domainOf: (source) => small(source),
    write: (translation) => {
      const context = (source: number) => [
        0x50_1000n + BigInt(source) * 16n,
        0xa001n,
        BigInt((small(source) << 8) | 1),
      ];
      image(translation, [[0x50_0000n, 0x50_1001n], ...SOURCES.map(context), ...tables]);
    },
    ask: (translation, source) => translation.vtd(0x50_0000n, VTD_ASK, source).status,
  },
  'VT-d, scalable': {
    arch: 'vtd',
    words: 4,
    caps: { MAMV: 63, smts: 1 },
    kinds: ['cc_inv', 'iotlb_inv', 'dev_tlb_inv', 'p_iotlb_inv', 'pasid_cache_inv', 'p_dev_tlb_inv'],
    ...inPasid,
  },
  'VT-d 2.x': {
    arch: 'vtd',
    words: 2,
    caps: { MAMV: 63, ecs: 1 },
    kinds: ['cc_inv', 'iotlb_inv', 'ecs_p_iotlb_inv', 'ecs_pasid_cache_inv', 'ecs_p_dev_tlb_inv'],
    ...inPasid,
  },
  'AMD-Vi': {
    arch: 'amd',
    words: 2,
    caps: {},
    kinds: ['invalidate_devtab_entry', 'invalidate_iommu_pages', 'invalidate_iotlb_pages', 'invalidate_iommu_all'],
    domainOf: (source) => small(source),
    write: (translation) => {
      const rows: bigint[][] = [
        [0x4000n + 8n, 0x5027n],
        [0x5000n, 0x6027n],
        [0x6000n, 0x7027n],
        [0x7000n, 0x9027n],
      ];
      SOURCES.forEach((source, i) => {
        const gcr3 = 0x70n + BigInt(i);
        const entry = [
          (1n << 55n) | ((gcr3 & 7n) << 58n) | (3n << 61n) | 3n,
          ((gcr3 >> 3n) << 16n) | BigInt(small(source)),
        ];
        rows.push([0x60_0000n + BigInt(source) * 32n, ...entry]);
        for (const pasid of PASIDS) rows.push([(gcr3 << 12n) + BigInt(pasid) * 8n, 0x4001n]);
      });
      image(translation, rows);
    },
    ask: (translation, source, pasid) => translation.amd(0x60_0000n, AMD_ASK, source, pasid ?? 0).status,
  },
};

// ---- entries, and what is asked to drop them ----

interface Block {
  readonly place: Place;
  /** Of a domain; of a device's TLB, the source. */
  readonly owner: number;
  readonly pasid: number | undefined;
  readonly order: number;
  readonly number: number;
}
interface Structure {
  readonly place: 'context' | 'pasid';
  readonly source: number;
  readonly pasid: number | undefined;
}
type Held = Block | Structure;
const isStructure = (held: Held): held is Structure => held.place === 'context' || held.place === 'pasid';
interface Request {
  readonly kind: string;
  readonly G: number;
  readonly domain: number;
  readonly source: number;
  readonly pasid: number;
  /** Bits of the function that are not compared: FM. */
  readonly mask: number;
  /** A block of pages; every page if `all`. */
  readonly first: number;
  readonly order: number;
  readonly all: boolean;
  /** IH of VT-d; AMD has PDE, its opposite. */
  readonly leafOnly: boolean;
  /** GN of AMD. */
  readonly guest: boolean;
}

const domain = fc.integer({ min: 1, max: 3 });
const pasid = fc.constantFrom(...PASIDS);
const source = fc.constantFrom(...SOURCES);
/** Pages of user addresses, and of a kernel's; near each other, and far apart. */
const page = fc
  .tuple(fc.constantFrom(0, 0, 0, 0xf_ffff_8000_0000), fc.oneof(fc.nat(32), fc.nat(4 * 512 * 512)))
  .map(([base, page]) => base + page);
const aligned = (page: number, order: number): number => Math.floor(page / 2 ** order) * 2 ** order;
const ORDERS: Readonly<Record<Exclude<Place, 4 | 5>, readonly number[]>> = {
  tlb: [0, 1, 4, 9, 18],
  device: [0, 1, 4, 9, 18],
  1: [9],
  2: [18],
  3: [27],
};
const block: fc.Arbitrary<Block> = fc
  .record({
    place: fc.constantFrom<keyof typeof ORDERS>('tlb', 'tlb', 'tlb', 'device', 'device', 1, 2, 3),
    domain,
    source,
    pasid: fc.option(pasid, { nil: undefined }),
    pick: fc.nat(),
    page,
  })
  .map(({ place, domain, source, pasid, pick, page }) => {
    const orders = ORDERS[place];
    const order = orders[pick % orders.length]!;
    return { place, owner: place === 'device' ? source : domain, pasid, order, number: Math.floor(page / 2 ** order) };
  });
const structure: fc.Arbitrary<Structure> = fc
  .record({ source, pasid })
  .map((of): Structure => ({ place: 'pasid', ...of }));
const requestOf = (kinds: readonly string[]): fc.Arbitrary<Request> =>
  fc
    .record({
      kind: fc.constantFrom(...kinds),
      G: fc.nat(3),
      domain,
      source,
      pasid,
      mask: fc.nat(3),
      page,
      order: fc.constantFrom(0, 0, 1, 3, 9, 12, 18),
      all: fc.integer({ min: 0, max: 7 }).map((n) => n === 0),
      leafOnly: fc.boolean(),
      guest: fc.boolean(),
    })
    .map(({ page, ...request }) => ({ ...request, first: aligned(page, request.order) }));

/** The command's words: fields by name, put into bits by the codec. A reserved granularity is invalid. */
function wordsOf({ arch, words }: Hardware, request: Request): bigint[] {
  const { kind, G, domain, source, pasid, mask, first, order, all, leafOnly, guest } = request;
  // PCIe ATS and AMD: the ones from bit 12 on say how large it is. VT-d's other commands have AM, and ignore low bits.
  const sized = all ? 0x7fff_ffff_ffff_f000n : BigInt(first + (order === 0 ? 0 : 2 ** (order - 1) - 1)) << 12n;
  const am = all ? 52 : order;
  const plain = (BigInt(first) << 12n) | (BigInt(order === 0 ? 0 : 2 ** order - 1) << 12n);
  const name = kind.replace('ecs_', '');
  const types = ['cc_inv', 'iotlb_inv', 'dev_tlb_inv', '', '', 'p_iotlb_inv', 'pasid_cache_inv', 'p_dev_tlb_inv'];
  const opcodes = ['', 'invalidate_devtab_entry', 'invalidate_iommu_pages', 'invalidate_iotlb_pages'];
  const bySize = name.includes('dev_tlb') || arch === 'amd';
  const hasG = name !== 'dev_tlb_inv';
  const fields: Record<string, number | bigint> = {
    OPCODE: arch === 'vtd' ? types.indexOf(name) + 1 : kind === 'invalidate_iommu_all' ? 8 : opcodes.indexOf(name) + 1,
    G: !hasG ? 0 : name === 'p_dev_tlb_inv' ? G & 1 : G,
    DID: domain,
    SID: source,
    FM: mask,
    DW: 1,
    DR: 1,
    PASID: pasid,
    AM: am,
    IH: Number(leafOnly),
    ADDR: bySize ? sized : plain,
    S: Number(all || order > 0),
    DEVID: source,
    DOMID: domain,
    PDE: Number(!leafOnly),
    GN: Number(guest),
    MAXPEND: 32,
    QUEUEID: source,
  };
  const list = Object.entries(fields).map(([name, value]) => ({ name, value: BigInt(value) }));
  return codec.encode(arch, kind, list, words * 64);
}

/** Must the request remove the entry? The tables of VT-d 6.5.2 and of 48882 section 2.4, row by row. */
function mustGo(entry: Held, request: Request, { domainOf }: Hardware): boolean {
  const kind = request.kind.replace('ecs_', '');
  const { G } = request;
  if (kind === 'invalidate_iommu_all') return entry.place !== 'device';
  if (isStructure(entry)) {
    const named = domainOf(entry.source, entry.pasid);
    const ours = named === undefined || named === request.domain;
    const ignored = [0, 4, 6, 7][request.mask]!;
    if (kind === 'invalidate_devtab_entry') return entry.source === request.source;
    if (entry.place === 'context') {
      if (kind !== 'cc_inv') return false;
      return G === 1 || (G === 2 && ours) || (G === 3 && ((entry.source ^ request.source) & ~ignored) === 0);
    }
    // A GCR3 entry is translated by the tables of its domain, and named by none of its own commands.
    if (kind === 'invalidate_iommu_pages') return ours && (!request.guest || entry.pasid === request.pasid);
    if (kind !== 'pasid_cache_inv') return false;
    return G === 3 || (ours && (G === 0 || entry.pasid === request.pasid));
  }
  const start = entry.number * 2 ** entry.order;
  const last = request.first + 2 ** request.order - 1;
  const meets = request.all || (start <= last && start + 2 ** entry.order - 1 >= request.first);
  const mine = entry.pasid === request.pasid;
  if (entry.place === 'device') {
    if (entry.owner !== request.source || !meets) return false;
    if (kind === 'dev_tlb_inv') return entry.pasid === undefined;
    if (kind === 'p_dev_tlb_inv') return (G & 1) === 1 ? entry.pasid !== undefined : mine;
    return kind === 'invalidate_iotlb_pages' && (request.guest ? mine : entry.pasid === undefined);
  }
  const leaf = entry.place === 'tlb';
  const inRange = meets && (leaf || !request.leafOnly);
  if (kind === 'iotlb_inv') {
    if (G === 1) return true;
    if (entry.owner !== request.domain) return false;
    // A guest-physical range says nothing about the addresses of first stages: all of theirs go.
    return G === 2 || (leaf && entry.pasid !== undefined) || (entry.pasid === undefined && inRange);
  }
  if (entry.owner !== request.domain) return false;
  // VT-d 2.x has G = 0, 1: all PASIDs of the domain.
  if (kind === 'p_iotlb_inv') return G < 2 ? entry.pasid !== undefined : mine && (G === 2 || inRange);
  if (kind !== 'invalidate_iommu_pages') return false;
  return request.guest
    ? mine && inRange
    : (leaf && entry.pasid !== undefined) || (entry.pasid === undefined && inRange);
}

function holds(translation: Translation, entry: Held): boolean {
  if (isStructure(entry)) return translation.knows(entry.source, entry.pasid);
  return translation.holds(entry.place, { domain: entry.owner, pasid: entry.pasid }, entry.order, entry.number);
}
/** Puts the entry into its cache; returns what else came with it. */
function fill(translation: Translation, hardware: Hardware, entry: Held): Held[] {
  if (isStructure(entry)) {
    expect(hardware.ask(translation, entry.source, entry.pasid)).toBe('ok');
    const context: Structure = { place: 'context', source: entry.source, pasid: undefined };
    return hardware.kinds.includes('dev_tlb_inv') && hardware.words === 2 ? [context] : [context, entry];
  }
  translation.fill(entry.place, { domain: entry.owner, pasid: entry.pasid }, entry.order, entry.number);
  return [entry];
}

describe.each(BUILDS)('%s engine', (build) => {
  test.each(Object.entries(HARDWARE))(
    '%s: a command removes what the tables say, and not everything',
    (_, hardware) => {
      const reached = new Map<string, number>();
      const count = (what: string, times = 1): void => void reached.set(what, (reached.get(what) ?? 0) + times);
      for (const kind of hardware.kinds) for (const what of ['done', 'gone', 'kept']) reached.set(`${kind} ${what}`, 0);
      reached.set('larger', 0);
      let more = 0;
      let kept = 0;
      const step = fc.oneof(
        { weight: 6, arbitrary: block },
        { weight: 3, arbitrary: structure },
        { weight: 3, arbitrary: requestOf(hardware.kinds) },
      );
      fc.assert(
        fc.property(fc.array(step, { minLength: 80, maxLength: 160 }), (steps) => {
          const translation = new Translation(engineModule(build), { tlb: 128, walk: 128, context: 32 });
          hardware.write(translation);
          const model = new Map<string, Held>();
          for (const step of steps) {
            if ('place' in step) {
              for (const entry of fill(translation, hardware, step)) model.set(JSON.stringify(entry), entry);
              continue;
            }
            const words = wordsOf(hardware, step);
            const error = translation.command(hardware.arch, words, hardware.caps);
            expect(error).toBe(codec.decode(hardware.arch, words, hardware.caps).error?.reason);
            if (error !== undefined) {
              expect(error).toBe('reserved_granularity');
              count('reserved granularity');
              continue;
            }
            count(`${step.kind} done`);
            for (const [key, entry] of model) {
              const there = holds(translation, entry);
              if (!mustGo(entry, step, hardware)) {
                if (there) count(`${step.kind} kept`);
                if (there) kept++;
                else more++;
              } else {
                expect([there, entry, step]).toEqual([false, entry, step]);
                count(`${step.kind} gone`);
                if ('order' in entry && !step.all && entry.order > step.order) count('larger');
              }
              if (!there) model.delete(key);
            }
          }
        }),
        { seed: 3, numRuns: 60 },
      );
      const rare = [...reached].filter(([what, times]) => times < 10 && what !== 'invalidate_iommu_all kept');
      expect(rare, JSON.stringify([...reached])).toEqual([]);
      expect(more).toBeLessThan(kept);
    },
  );
});

test('structures of devices: what is dropped is read again, what is not is not', () => {
  const translation = new Translation(engineModule('checked'), { tlb: 64, walk: 32, context: 32 });
  scalable(translation);
  const reads = (source: number, pasid: number) => translation.vtd(0x50_0400n, VTD_ASK, source, pasid).reads.length;
  const all = () => SOURCES.map((source) => PASIDS.map((pasid) => reads(source, pasid)).join('')).join(' ');
  all();
  // Words of cc_inv (1) and pasid_cache_inv (7), VT-d 6.5.2.
  const cases: [string, bigint, string][] = [
    ['interrupt entries', 0x4n, '000 000 000 000 000'],
    ['PASID entries of domain 2', 0x2_0007n, '200 002 002 002 020'],
    ['PASID 65 of domain 1', 0x41_0001_0017n, '002 000 000 000 000'],
    ['all PASID entries', 0x37n, '222 222 222 222 222'],
    ['a device', 0x2c_0000_0031n, '000 000 200 000 000'],
    ['all functions of a device', 0x3_0028_0000_0031n, '200 200 200 200 000'],
    ['two functions', 0x1_002c_0000_0031n, '200 000 200 000 000'],
    ['all', 0x11n, '200 200 200 200 200'],
  ];
  for (const [name, word, expected] of cases) {
    expect(translation.command('vtd', [word, 0n, 0n, 0n], { smts: 1 })).toBeUndefined();
    expect(`${name}: ${all()}`).toBe(`${name}: ${expected}`);
    expect(SOURCES.every((source) => translation.knows(source) && translation.knows(source, 65))).toBe(true);
  }
});

// What is rewritten in memory, the command that Linux sends then, another that does not do.
describe('a structure that has changed is used as it was until its own command has come', () => {
  const source = SOURCES[0];
  const at = BigInt(source);
  const cases: [string, string, readonly bigint[], readonly bigint[], readonly bigint[]][] = [
    ['context entry', 'VT-d, legacy', [0x50_1000n + at * 16n, 0xd001n, 0x301n], [(at << 32n) | 0x31n, 0n], [0xd2n, 0n]],
    [
      'PASID entry',
      'VT-d, scalable',
      [0x51_1000n, 0xd000n | (1n << 2n) | (2n << 6n) | 1n, 3n],
      [0x2_0017n, 0n, 0n, 0n],
      [0xd2n, 0n, 0n, 0n],
    ],
    [
      'DTE',
      'AMD-Vi',
      [0x60_0000n + at * 32n, (1n << 55n) | (3n << 61n) | 3n, (0xfn << 16n) | 3n],
      [(2n << 60n) | at, 0n],
      [(3n << 60n) | (2n << 32n), 0x7fff_ffff_ffff_f003n],
    ],
    [
      'GCR3 entry',
      'AMD-Vi',
      [0x7_0000n, 0xd001n],
      [(3n << 60n) | (2n << 32n), 0x7fff_ffff_ffff_f007n],
      [(2n << 60n) | (at + 1n), 0n],
    ],
  ];
  test.each(cases)('%s of %s', (_, name, row, command, other) => {
    const hardware = HARDWARE[name]!;
    const translation = new Translation(engineModule('checked'), { tlb: 0, walk: 0, context: 32 });
    hardware.write(translation);
    expect(hardware.ask(translation, source, 0)).toBe('ok');
    // The new tables, at d000, are empty; so is a GCR3 table that nobody has written.
    image(translation, [row, [0xd000n, 0n], [0x7_8000n, 0n]]);
    for (const [words, status] of [
      [[], 'ok'],
      [other, 'ok'],
      [command, 'not ok'],
    ] as const) {
      if (words.length > 0) expect(translation.command(hardware.arch, words, hardware.caps)).toBeUndefined();
      expect(hardware.ask(translation, source, 0) === 'ok' ? 'ok' : 'not ok').toBe(status);
    }
  });
});
