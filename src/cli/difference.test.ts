import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { iommulator, ROOT, withFolder } from '../../testing/cli.ts';
import { RECLAIMED, writeProgram } from '../../testing/program.ts';
import { mismatches } from '../../testing/schema.ts';
import type { compareJson } from '../report/compare.ts';
import type { differenceJson } from '../report/difference.ts';

type Json = ReturnType<typeof differenceJson>;
const PAIR = ['linux-4.14', 'under-lock'];

/** Runs commands on a small program. */
const onProgram = <T>(use: (json: (...args: string[]) => T) => void) =>
  withFolder((folder) => {
    writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
    use((...args) => {
      const { code, stdout, stderr } = iommulator([...args, '--format', 'json', '--quiet'], folder);
      expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
      return JSON.parse(stdout) as T;
    });
  });

test(
  'each row is what compare says of the two policies, and dearer invalidations make a larger difference',
  () =>
    onProgram<Json & ReturnType<typeof compareJson>>((json) => {
      const result = json('difference', ...PAIR, 'small.trace');
      expect(mismatches('difference', result)).toEqual([]);
      const { rows } = result;
      expect(rows.map(({ trace, machine }) => `${trace} ${machine}`)).toEqual(['small amd-v2', 'small intel-svm']);
      const { runs } = json('compare', 'small.trace', '--policies', PAIR.join());
      rows.forEach((row, i) => {
        const [first, second] = [runs[2 * i]!.cost, runs[2 * i + 1]!.cost];
        const secondary = first.invalidations.secondary! - second.invalidations.secondary!;
        expect(row.default.invalidations).toBe(secondary);
        expect(secondary).toBeGreaterThan(0);
        expect(row.default.work_share).toBe(first.work_ns / second.work_ns - 1);
        const held = first.lock_hold_ns.sum / first.pages_unmapped - second.lock_hold_ns.sum / second.pages_unmapped;
        expect(row.default.lock_hold_ns_per_page).toBe(held);
        expect(row.low.work_share).toBeLessThan(row.default.work_share);
        expect(row.default.work_share).toBeLessThan(row.high.work_share);
      });
    }),
  60_000,
);

test(
  'a price that is set has no range',
  () =>
    onProgram<Json>((json) => {
      const keys = ['amd.submit', 'amd.extra', 'amd.wait', 'device_tlb.inv', 'iotlb.inv_page', 'iotlb.inv_pasid'];
      const set = keys.flatMap((key) => ['--set', `cost.${key}=100`]);
      const [row] = json('difference', ...PAIR, 'small.trace', '--machine', 'amd-v2', ...set).rows;
      expect(row!.low).toEqual(row!.default);
      expect(row!.high).toEqual(row!.default);
    }),
  60_000,
);

test('policies of the DMA API are compared on recordings', () => {
  const trace = join(ROOT, 'traces/vtd-edu-stale-lazy-icount.trace');
  const words = ['difference', 'strict', 'lazy', trace, '--machines', 'intel-vtd', '--format', 'csv', '--quiet'];
  const { stdout, code } = iommulator(words);
  const [, row] = stdout.split('\n').map((line) => line.split(','));
  expect({ code, row: row!.slice(0, 2) }).toEqual({ code: 0, row: ['vtd-edu-stale-lazy-icount', 'intel-vtd'] });
  expect(Number(row![4])).toBeGreaterThan(0);
});

test('a domain flush costs a hypervisor more, the more pages a device keeps: lazy begins cheaper and ends dearer', () => {
  const options = ['--machine', 'intel-vtd-virtual', '--time-scale', '100', '--set', 'cost.viommu.entry=40'];
  const words = ['difference', 'lazy', 'strict', '--working-set', '16,6000', ...options];
  const { stdout, code } = iommulator([...words, '--format', 'json', '--quiet']);
  const { rows } = JSON.parse(stdout) as Json;
  expect({ code, rows: rows.map(({ trace }) => trace) }).toEqual({ code: 0, rows: ['16 pages', '6000 pages'] });
  expect(rows[0]!.default.work_ns_per_page).toBeLessThan(0);
  expect(rows[1]!.default.work_ns_per_page).toBeGreaterThan(0);
}, 60_000);

test.each([
  [['lazy', 'strict', '--working-set', '16,0'], /--working-set is "0", expected a whole number of 1/],
  [['strict', 'strict'], /strict twice, expected two policies/],
  [['range-end', 'lazy', 'sqlite'], /policy lazy is of family dma/],
  [['range-emd', 'lazy'], /no policy "range-emd"/],
])('%j is refused', (args, message) => {
  const { code, stdout, stderr } = iommulator(['difference', ...args, '--quiet']);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(message);
});
