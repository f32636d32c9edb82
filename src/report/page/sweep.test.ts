import { expect, test } from 'vitest';
import type { GatheredRow } from '../../model/sweep.ts';
import { reportPage } from './page.ts';

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

test('the table under the curves is the pivot, with the cheapest that is safe', async () => {
  const page = await pageOf(rows('nvme'));
  expect(cells(part(page, '<caption>Cost by queue_size', '</table>'))).toEqual([
    'of|queue_size|strict|lazy|cheapest that is safe',
    'nvme|2|0.90|2.00|strict',
    'nvme|4|0.90|1.00|strict',
    'nvme|8|0.90|0.50|strict',
    'nvme|16|0.90|0.25|strict',
  ]);
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
