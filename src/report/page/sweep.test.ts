import { expect, test } from 'vitest';
import type { GatheredRow } from '../../model/sweep.ts';
import { reportPage } from './page.ts';
import type { PackedRows } from './table.ts';

const NS = { strict: [900, 900, 900, 900], lazy: [2000, 1000, 500, 250] } as const;
const SIZES = [8, 2, 4, 16];

/** Strict costs the same whatever the queue, lazy halves with it; strict's runs are one. */
const rows = (trace: string): GatheredRow[] =>
  SIZES.flatMap((size) =>
    (['strict', 'lazy'] as const).map((policy) => ({
      ...{ trace, machine: 'intel-vtd', seed: 1, 'policy.dma.queue_size': size, policy },
      'cost.added_per_page_ns': NS[policy][[2, 4, 8, 16].indexOf(size)]!,
      ...{ 'safety.verdict': policy === 'strict' ? ('safe' as const) : ('exposed' as const) },
      ...{
        'safety.exposed_ns.count': policy === 'strict' ? 0 : 1,
        'safety.exposed_ns.sum': policy === 'strict' ? 0 : size * 1e6,
      },
      ...{ repro: `iommulator run ${trace} ${policy} ${size}`, model: 8 },
      hash: `${trace} ${policy}${policy === 'strict' ? '' : size}`,
    })),
  );

const pageOf = (all: readonly GatheredRow[]) =>
  reportPage([{ kind: 'sweep', result: { name: 'grid', model: 8, rows: all } }], '0');
const part = (page: string, from: string, to: string): string => page.slice(page.indexOf(from)).split(to)[0]!;
const cells = (table: string): string[] =>
  [...table.matchAll(/<tr[^>]*>(.*?)<\/tr>/gs)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/gs)].map(([, cell]) => cell!.replace(/<[^>]*>/g, '')).join('|'),
  );

test('curves: a ring where lazy gets cheaper than strict, and the table says between which queues', async () => {
  const page = await pageOf(rows('nvme'));
  const figure = part(page, '<figure id="r1-curves"', '</figure>');
  expect(figure.match(/<circle class="cross"/g)).toHaveLength(1);
  expect(figure).toContain('strict is cheaper up to 4, lazy from 8 on');
  expect(cells(part(page, '<caption>Where two policies change places', '</table>')).slice(1)).toEqual([
    'nvme|4|strict|8|lazy|900 ns',
  ]);
  // One curve each, from left to right in the order of the axis.
  const path = /class="curve l1" d="M([\d.]+),[^"]*"/.exec(part(figure, '<g transform', '</svg>'))![0];
  const xs = [...path.matchAll(/[ML]([\d.]+),/g)].map(([, x]) => Number(x));
  expect(xs).toEqual([...xs].sort((a, b) => a - b));
  expect(xs).toHaveLength(4);
});

test('the table under the curves is the pivot, and says whether the policy was safe', async () => {
  const page = await pageOf(rows('nvme'));
  expect(cells(part(page, '<caption>Cost by queue_size', '</table>'))).toEqual([
    'of|policy|safe|2|4|8|16',
    'nvme|strict|yes|0.90|0.90|0.90|0.90',
    'nvme|lazy|no|2.00|1.00|0.50|0.25',
  ]);
});

test('a policy that was run at one value of the axis is a level, which curves cross', async () => {
  const once = rows('nvme').filter((row) => row.policy === 'lazy' || row['policy.dma.queue_size'] === 8);
  const page = await pageOf(once);
  const figure = part(page, '<figure id="r1-curves"', '</figure>');
  expect(figure).toContain('strict was run with queue_size 8 only, and counts as the same with any other.');
  expect(figure).toContain('strict is cheaper up to 4, lazy from 8 on');
  const level = /class="curve l0" d="([^"]*)"/.exec(part(figure, '<g transform', '</svg>'))![1]!;
  expect(new Set([...level.matchAll(/,([\d.]+)/g)].map(([, y]) => y)).size).toBe(1);
  expect(cells(part(page, '<caption>Cost by queue_size', '</table>')).slice(1)).toEqual([
    'nvme|strict|yes|-|-|0.90|-',
    'nvme|lazy|no|2.00|1.00|0.50|0.25',
  ]);
});

/** Runs with as many values of a second setting, under which lazy costs less the larger it is. */
const grid = (times: number): GatheredRow[] =>
  Array.from({ length: times }, (_, i) =>
    rows('nvme').map((row) => ({
      ...{ trace: row.trace, machine: row.machine, seed: row.seed, 'machine.iommu.iotlb': `1x${i + 1}` },
      ...row,
      'cost.added_per_page_ns': row['cost.added_per_page_ns'] * (row.policy === 'lazy' ? 2 / (i + 1) : 1),
      hash: `${row.hash} ${i}`,
    })),
  ).flat() as GatheredRow[];

test('over two settings: areas where one policy is the cheapest', async () => {
  const page = await pageOf(grid(4));
  expect(cells(part(page, '<caption>The cheapest policy, by queue_size and iotlb', '</table>'))).toEqual([
    'of|iotlb|cheapest, by queue_size',
    'nvme|1x1|2..8: strict; 16: lazy',
    'nvme|1x2|2..4: strict; 8..16: lazy',
    'nvme|1x3|2: strict; 4..16: lazy',
    'nvme|1x4|2: strict; 4..16: lazy',
  ]);
  const drawn = part(page, '<figure id="r1-areas"', '</svg></div>').matchAll(
    /<rect class="mark" fill="url\(#(\w+)\)"/g,
  );
  expect([...drawn].map(([, fill]) => fill).join()).toBe(Array(4).fill('fill0,fill1').join());
});

test('areas of many groups: some of the plots, and all in the table', async () => {
  const page = await pageOf(
    Array.from({ length: 15 }, (_, i) =>
      grid(2).map((row) => ({ ...row, trace: `t${i}`, hash: `${row.hash} ${i}` })),
    ).flat(),
  );
  const figure = part(page, '<figure id="r1-areas"', '</figure>');
  expect(figure.match(/class="machine"/g)).toHaveLength(12);
  expect(figure).toContain('12 of 15 plots are drawn; the table has all.');
  expect(cells(part(figure, '<caption>', '</table>'))).toHaveLength(31);
});

test('many runs: rows as columns for a script, dots without words of their own, some of the plots', async () => {
  const all = grid(100).map((row) => ({ ...row, trace: '</script><b>&' }));
  const page = await pageOf(all);
  const [packed] = /(?<=<script type="application\/json">).*?(?=<\/script>)/s.exec(page)!;
  const { count, columns } = JSON.parse(packed) as PackedRows;
  // Those of strict are one for each iotlb.
  expect(count).toBe(500);
  expect(columns[3]!.words).toEqual(['</script><b>&']);
  expect(page).not.toContain('<b>&');
  const column = (i: number) => columns[i]!.at.map((at) => columns[i]!.words[at]);
  const lazy = new Set(
    column(1).flatMap((policy, i) => (policy === 'lazy' ? [`${column(3)[i]} ${column(4)[i]} ${column(5)[i]}`] : [])),
  );
  expect(lazy.size).toBe(400);
  // In the order of costs, though their words have three digits.
  const costs = [...new Map(all.map((row) => [row.hash, row['cost.added_per_page_ns']])).values()];
  const ranks = columns[6]!.ranks!;
  for (const [i, rank] of ranks.entries()) expect(Math.sign(rank - ranks[0]!)).toBe(Math.sign(costs[i]! - costs[0]!));
  const sorted = costs.toSorted((a, b) => a - b);
  expect(costs.toSorted((a, b) => ranks[costs.indexOf(a)]! - ranks[costs.indexOf(b)]!)).toEqual(sorted);
  expect(page.match(/<path class="mark /g)).toHaveLength(500);
  expect(part(page, '<figure id="r1-curves"', '</figure>').match(/class="machine"/g)).toHaveLength(12);
  expect(page).toContain('12 of 100 plots are drawn; the table has all.');
  expect(page.length / count).toBeLessThan(450);
});

test('the front: runs that none beats, and only against those of their trace', async () => {
  const page = await pageOf([...rows('nvme'), ...rows('net')]);
  const front = cells(part(page, '<caption>Runs that no other', '</table>')).slice(1);
  // lazy with 2 and with 4 is dearer than strict, and exposed.
  expect(front).toEqual(
    ['nvme', 'net'].flatMap((trace, i) => [
      `intel-vtd|lazy|exposed|${trace}|16|250 ns|16.0 ms|${3 * i + 1}`,
      `intel-vtd|lazy|exposed|${trace}|8|500 ns|8.00 ms|${3 * i + 2}`,
      `intel-vtd|strict|safe|${trace}|8|900 ns|0|${3 * i + 3}`,
    ]),
  );
  expect(page.match(/<path class="front"/g)).toHaveLength(2);
  expect(page.match(/<figcaption><h3 id="r1-(front|curves)-title"/g)).toHaveLength(2);
});

test('settings that are names stand in equal steps, and a sweep without settings has no curves', async () => {
  const named = rows('nvme').map((row) => ({ ...row, 'policy.dma.queue_size': `1x${row['policy.dma.queue_size']}` }));
  expect(await pageOf(named as GatheredRow[])).toContain('<figure id="r1-curves"');
  const alone = rows('nvme').filter((row) => row['policy.dma.queue_size'] === 8);
  expect(await pageOf(alone)).not.toContain('<figure id="r1-curves"');
});
