import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { imported, inputOf, samplesOf } from '../../../testing/imports.ts';
import type { EventName, Outcome } from '../../model/trace.ts';
import { codec } from '../input.ts';
import { TraceWriter } from '../writer.ts';
import { recognise } from './index.ts';
import { qemu } from './qemu.ts';

/** Keeps what reaches a writer: `map 0 0 1 7f 2 fffff 0 +5`; numbers in hexadecimal, think time in microseconds. */
class Recorder extends TraceWriter {
  readonly seen: string[] = [];
  readonly names: string[] = [];

  constructor() {
    super({ write: () => {} }, codec);
  }

  override agent(name: string, kind: 'cpu' | 'device', space: number): number {
    this.names.push(`${name} in ${space}`);
    return super.agent(name, kind, space);
  }

  override event(agent: number, op: Exclude<EventName, 'switch'>, fields: readonly number[], gap = 0): void {
    super.event(agent, op, fields, gap);
    const time = gap > 0 ? [`+${gap / 1e6}`] : [];
    this.seen.push([op, ...fields.map((field) => field.toString(16)), ...time].join(' '));
  }

  override outcome(kind: Outcome['kind'], line: number, values: readonly number[]): void {
    super.outcome(kind, line, values);
    this.seen.push(['=', kind, ...values.map((value) => value.toString(16))].join(' '));
  }
}

async function read(blocks: Iterable<Uint8Array>, strict = true) {
  const out = new Recorder();
  const kept = [...blocks];
  const input = {
    file: 't',
    async *blocks() {
      yield* kept;
    },
  };
  const { tally, inferred } = await qemu.read(input, out, { strict });
  expect(tally.lines).toBe(tally.accepted + tally.rejected + tally.ignored);
  return { seen: out.seen, names: out.names, tally, inferred };
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const SAMPLES = new URL('../../../traces/samples/qemu/', import.meta.url);
const sample = (file: string): Uint8Array => readFileSync(new URL(file, SAMPLES));

/** Short names for the lines of a recording. `@5` is a stamp of 5 us. */
const at = (us: number): string => `1000.${us.toString().padStart(6, '0')}`;
const LINE = {
  map: (page: string, frame: string, us: number, prot = 7, more = 'pgcount=1', domain = 'a0') =>
    `K map domain=${domain} iova=0x${page}000 paddr=0x${frame}000 pgsize=0x1000 ${more} prot=0x${prot} tsc=${us} t=${at(us)}`,
  unmap: (page: string, us: number, more = 'pgcount=1', domain = 'a0') =>
    `K unmap domain=${domain} iova=0x${page}000 pgsize=0x1000 ${more} tsc=${us} t=${at(us)}`,
  free: (page: string, pages = 1) => `K iova_free iovad=b8 pfn=0x${page} npages=${pages}`,
  update: (page: string, frame: string, us: number, low = '003') =>
    `1@${at(us)}:vtd_iotlb_page_update IOTLB page update sid 0x20 iova 0x${page} slpte 0x${frame}${low} domain 0x3`,
  hit: (page: string, frame: string, us: number, low = '003') =>
    `1@${at(us)}:vtd_iotlb_page_hit IOTLB page hit sid 0x20 iova 0x${page} slpte 0x${frame}${low} domain 0x3`,
  fault: (page: string, us: number) => `1@${at(us)}:vtd_dmar_fault sid 0x20 fault 5 addr 0x${page} write 1`,
  page: (page: string, us: number) =>
    `2@${at(us)}:vtd_inv_desc invalidate desc type iotlb high 0x${page}000 low 0x300f2`,
  domain: (us: number) => `2@${at(us)}:vtd_inv_desc invalidate desc type iotlb high 0x0 low 0x300e2`,
  wait: (us: number) =>
    `2@${at(us)}:vtd_inv_desc invalidate desc type wait high 0x1000000004 low 0x200000025\n2@${at(us)}:vtd_inv_desc_wait_sw wait invalidate status write addr 0x4 data 0x2`,
};
const { map, unmap, free, update, hit, fault, page, domain, wait } = LINE;

const HEAD = ['iommu 0 0 0 1000000000', 'attach 0 3 20 0'];
const PAGE = ['= descriptor 2 300f2 0 f000 0'];
const DOMAIN = ['= descriptor 2 300e2 0 0 0'];
const WAIT = ['= descriptor 5 25 2 4 10', '= wait'];

// name, lines, what is written behind HEAD
const CASES: [string, string[], string[]][] = [
  [
    'strict: the time to the end of the wait is the policy, not think time',
    [map('f', '7', 10), update('f010', '7', 12), unmap('f', 20), page('f', 22), wait(25), free('f'), map('f', '8', 26)],
    [
      ...['map 0 0 1 7 3 f 0', 'dma 0 0 10 0 0 +2', '= fill 7 3 3', 'unmap 0 0 1 1 +10'],
      ...[...PAGE, ...WAIT, '= iovaFree f 1 0', 'map 0 1 1 8 3 f 0 +1'],
    ],
  ],
  [
    'an access between an unmap and its command holds the command back',
    [map('f', '7', 10), update('f000', '7', 12), unmap('f', 20), hit('f000', '7', 21), page('f', 22), wait(25)],
    [
      ...['map 0 0 1 7 3 f 0', 'dma 0 0 0 0 0 +2', '= fill 7 3 3', 'hold 0 +10', 'unmap 0 0 1 1'],
      ...['dma 0 0 0 0 f4241 +9', '= hit 7 3 3', 'submit 0', ...PAGE, ...WAIT],
    ],
  ],
  [
    'a denied access after the unmap is anchored to it, and its direction is recorded',
    [map('f', '7', 10), update('f000', '7', 12), unmap('f', 20), page('f', 22), wait(25), fault('f004', 30)],
    [
      ...['map 0 0 1 7 3 f 0', 'dma 0 0 0 0 0 +2', '= fill 7 3 3', 'unmap 0 0 1 1 +10', ...PAGE, ...WAIT],
      ...['dma 0 0 4 1 989681 +18', '= fault 5 f'],
    ],
  ],
  [
    'direction: read-only entries, write-only mappings',
    [map('e', '6', 10, 5), map('d', '5', 11, 6), update('e000', '6', 12, '001'), update('d000', '5', 13)],
    [
      ...['map 0 0 1 6 1 e 0', 'map 0 1 1 5 2 d 0 +1', 'dma 0 0 0 0 0 +2', '= fill 6 3 1'],
      ...['dma 1 0 0 1 0 +1', '= fill 5 3 3'],
    ],
  ],
  [
    'one unmap of two maps: consecutive instances, the second joined',
    [
      ...[map('8', '1', 10, 7, 'pgcount=2'), map('c', '9', 11), map('a', '5', 12), update('8000', '1', 13)],
      ...[unmap('8', 20, 'pgcount=3'), page('8', 21), wait(22), free('8', 3)],
    ],
    [
      ...['map 0 0 2 1 3 8 0', 'map 0 2 1 9 3 c 0 +1', 'map 0 1 1 5 3 a 1 +1', 'dma 0 0 0 0 0 +3', '= fill 1 3 3'],
      ...['unmap 0 0 2 1 +8', '= descriptor 2 300f2 0 8000 0', ...WAIT, '= iovaFree 8 3 0'],
    ],
  ],
  [
    'lazy: the flush that gives the last unmap back is the timer, the one that does not is a full queue',
    [
      ...[
        map('f', '7', 10),
        map('e', '6', 11),
        update('f000', '7', 12),
        unmap('f', 20),
        domain(30),
        wait(31),
        free('f'),
      ],
      ...[unmap('e', 40), domain(41), wait(42), map('f', '7', 50), domain(60), wait(61), free('e')],
    ],
    [
      ...[
        'map 0 0 1 7 3 f 0',
        'map 0 1 1 6 3 e 0 +1',
        'dma 0 0 0 0 0 +2',
        '= fill 7 3 3',
        'lazy 0 +9',
        'unmap 0 0 1 1',
      ],
      ...['timer 0 +10', ...DOMAIN, ...WAIT, '= iovaFree f 1 0', 'unmap 0 1 1 0 +10', ...DOMAIN, ...WAIT],
      ...['map 0 2 1 7 3 f 0 +10', 'timer 0 +10', ...DOMAIN, ...WAIT, '= iovaFree e 1 0'],
    ],
  ],
  [
    'maps of pages in use and unmaps of a part are rejected',
    [map('8', '1', 10, 7, 'pgcount=2'), update('8000', '1', 11), map('9', '3', 12), unmap('9', 13)],
    ['map 0 0 2 1 3 8 0', 'dma 0 0 0 0 0 +1', '= fill 1 3 3', 'REJECTED 2'],
  ],
];

describe('qemu: records', () => {
  test.each(CASES)('%s', async (_, lines, expected) => {
    const { seen, tally } = await read([bytesOf(`${lines.join('\n')}\n${'# \n'.repeat(400)}`)], false);
    const rejected = tally.rejected > 0 ? [`REJECTED ${tally.rejected}`] : [];
    expect([...seen, ...rejected]).toEqual([...HEAD.map((line) => fixStatus(line, lines)), ...expected]);
  });

  /** Without a wait there is no address to count from. */
  function fixStatus(line: string, lines: string[]): string {
    return lines.some((text) => text.includes('desc_wait_sw')) ? line : line.replace('1000000000', '0');
  }
});

// name, line, the rule that ignores it, or the error
const LINES: [string, string, string][] = [
  ['context cache', '1@1.000000:vtd_iotlb_cc_hit IOTLB context hit bus 0x0', '1 context cache'],
  ['queue register', '1@1.000000:vtd_inv_qi_tail write tail 2', '1 queue register'],
  ['nvme', '1@1.000000:pci_nvme_read cid 0', '1 nvme command'],
  ['empty line', '', '1 empty line'],
  ['garbage', 'garbage', 't:2: "garbage" is not a trace event or a K line'],
  ['K garbage', 'K mop domain=1', 't:2: "K mop domain=1" is not a K line that is known'],
  [
    'an event that QEMU might add',
    '1@1.000000:vtd_new x',
    't:2: "1@1.000000:vtd_new x" is not a trace event that is known',
  ],
  ['too many pages', map('1', '1', 1, 7, 'pgcount=9999999'), 'a mapping below 2^57'],
  ['a page beyond 2^57', map('fffffffffffff', '1', 1), 'a mapping below 2^57'],
  ['a page size of nothing', map('1', '1', 1).replace('pgsize=0x1', 'pgsize=0x0'), 'a mapping below 2^57'],
  ['half a translation', '1@1.000000:vtd_iotlb_page_hit IOTLB page hit sid 0x20', 'a trace event that is known'],
];

test.each(LINES)('qemu: a line of %s', async (_, line, expected) => {
  const text = `${map('f', '7', 10)}\n${line}\n`;
  const shown = await read([bytesOf(text)]).then(
    ({ tally }) => Object.entries(tally.rules).map(([rule, n]) => `${n} ${rule}`),
    (error: Error) => error.message,
  );
  expect(String(shown)).toContain(expected);
});

describe('qemu: samples', () => {
  const files = readdirSync(SAMPLES);

  test('there is one of each kind', () => {
    expect(files.length).toBeGreaterThanOrEqual(9);
  });

  test.each(files)('%s is recognised, and no line is rejected', async (file) => {
    const bytes = sample(file);
    const input = {
      file,
      async *blocks() {
        yield bytes;
      },
    };
    expect((await recognise(input)).name).toBe('qemu');
    expect((await read([bytes])).tally.rejected).toBe(0);
  });

  test('who is who: devices, domains, ATS, caching mode, the flush queue', async () => {
    const facts = await Promise.all(
      ['vtd-ats-strict', 'vtd-caching', 'amd-lazy'].map((name) => read([sample(`${name}.txt`)])),
    );
    expect(facts.map(({ names }) => names)).toEqual([
      ['cpu0 in 0', '01:00.0 in 1', '00:04.0 in 2'],
      expect.arrayContaining(['cpu0 in 0', '00:04.0 in 1']),
      ['cpu0 in 0', '00:04.0 in 0', '00:06.0 in 1'],
    ]);
    expect(facts[0]!.inferred[0]).toContain('ATS is on for 01:00.0');
    expect(facts[1]!.inferred[0]).toContain('a map is followed by an invalidation');
    expect(facts[2]!.inferred.join(' ')).toContain('domain 3 from line');
    expect(facts[2]!.inferred.join(' ')).not.toContain('domain 2 from line');
  });

  test('CRLF changes nothing, nor does where blocks end', async () => {
    const text = new TextDecoder().decode(sample('vtd-strict.txt'));
    const plain = await read([bytesOf(text)]);
    expect((await read([bytesOf(text.replaceAll('\n', '\r\n'))])).seen).toEqual(plain.seen);
    const bytes = bytesOf(text);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 20 }), async (cuts) => {
        const ends = [...cuts, bytes.length].sort((a, b) => a - b);
        const blocks = ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1]!, end));
        expect((await read(blocks)).seen).toEqual(plain.seen);
      }),
      { numRuns: 10 },
    );
  });

  test('a recording that is cut short is read to its last whole line', async () => {
    const bytes = sample('vtd-lazy.txt');
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 20_000, max: bytes.length - 1 }), async (length) => {
        const { tally } = await read([bytes.subarray(0, length)], false);
        expect(tally.rejected).toBeLessThanOrEqual(1);
      }),
      { numRuns: 20 },
    );
  });

  test('damaged bytes give an error of the input, or a trace', async () => {
    const text = new TextDecoder('latin1').decode(sample('amd-strict.txt'));
    const change = fc.record({ at: fc.nat(text.length - 1), with: fc.constantFrom('0', 'f', ' ', '\n', '\0', '=') });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 40 }), async (changes) => {
        const letters = [...text];
        for (const { at: place, with: letter } of changes) letters[place] = letter;
        const name = await read([bytesOf(letters.join(''))], false).then(
          () => 'TraceError',
          (error: Error) => error.name,
        );
        expect(name).toBe('TraceError');
      }),
      { numRuns: 60 },
    );
  });
});

describe('without the guest kernel', () => {
  const strict = samplesOf('qemu').find(({ name }) => name === 'vtd-strict.txt')!;
  const lines = Buffer.from(strict.bytes).toString().split('\n');
  const bare = lines.filter((line) => !line.startsWith('K '));
  const read = (text: readonly string[]) => imported(inputOf(Buffer.from(text.join('\n'))));

  /** IOVAs of the unmaps whose mapping was used, in order. */
  const unmapped = ({ lines: records }: { readonly lines: readonly string[] }): number[] => {
    const iovas = new Map<string, number>();
    return records.flatMap((record) => {
      const [op, , , , instance, ...rest] = record.split(' ') as [string, string, string, string, string, ...string[]];
      if (op === 'map') iovas.set(instance, Number(rest[3]));
      return op === 'unmap' && rest[1] !== '0' ? [iovas.get(instance)!] : [];
    });
  };

  test('a page is mapped from its first translation to its invalidation: unmaps are those that were recorded', async () => {
    const [whole, told] = [await read(lines), await read(bare)];
    expect(unmapped(told)).toEqual(unmapped(whole));
    expect(unmapped(told).length).toBeGreaterThan(10);
    expect(told.meta.inferred.join('\n')).toContain('No map or unmap is recorded: a page is mapped from its first');
    expect(told.meta.counts.dma).toBe(whole.meta.counts.dma);
  });

  test('nor with time stamps, and as other versions of QEMU print it', async () => {
    const told = await read(bare);
    const short = bare.map((line) => line.replace(/^\d+@\d+\.\d{6}:/, ''));
    const other = short.map((line) =>
      line.replace(/ slpte /, ' pte ').replace(/( iova \S+)( pte)/, '$1 pmask 0xfff$2'),
    );
    const level = other.map((line) => line.replace(/(page update .* pte \S+)( domain)/, '$1 level 0x1$2'));
    /** Without think time, and how long after its unmap an access came. */
    const untimed = (records: readonly string[]): string[] =>
      records
        .filter((record) => !record.startsWith('='))
        .map((record) => record.replace(/^(\w+ \d+) \d+/, '$1').replace(/^(dma .*) [1-9]\d*$/, '$1 late'));
    for (const text of [short, other, level]) {
      const again = await read(text);
      expect(again.meta.tally).toEqual(told.meta.tally);
      expect(untimed(again.lines)).toEqual(untimed(told.lines));
    }
  });
});
