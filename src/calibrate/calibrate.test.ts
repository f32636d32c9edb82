import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HISTOGRAM, iommulator, withFolder } from '../../testing/cli.ts';
import { loadCosts } from '../catalog/catalog.ts';
import { judge, type Measurement, measuredCosts } from '../model/calibration.ts';
import { COST_KEYS } from '../model/cost.ts';
import { lineRing, pageRing } from './chase.ts';
import { measureRecording } from './recorded.ts';

const COSTS = loadCosts();
const SUBMIT = COSTS['qi.submit'].default + COSTS['qi.extra'].default;

describe('a pointer chase', () => {
  test.each([
    ['lines', lineRing(64 * 1024), 1024],
    ['pages', pageRing(96), 96],
  ])('goes through all %s before it comes back', (_, { words, start }, places) => {
    const seen = new Set<number>();
    for (let at = start; !seen.has(at); at = words[at]!) seen.add(at);
    expect(seen.size).toBe(places);
    expect(new Set([...seen].map((word) => word >> 4)).size).toBe(places);
  });

  test('of pages spreads its lines over the sets of the data cache', () => {
    const { words, start } = pageRing(64);
    const lines = new Set<number>();
    for (let i = 0, at = start; i < 64; i++, at = words[at]!) lines.add((at >> 4) & 63);
    expect(lines.size).toBe(64);
  });
});

describe('a figure', () => {
  const measured = (values: number[], more: Partial<Measurement> = {}): Measurement => ({
    what: 'x',
    key: 'pte.clear',
    unit: 'ns',
    values,
    source: 'test',
    ...more,
  });

  test.each<[string, Measurement, boolean, string]>([
    ['steady', measured([10, 10, 10, 10, 11]), true, ''],
    ['restless', measured([10, 10, 10, 14, 14]), false, 'spread above 20 %'],
    ['of a population', measured([10, 10, 10, 14, 14], { population: true }), true, ''],
    ['not measured', measured([], { note: 'needs two CPUs' }), false, 'needs two CPUs'],
    ['below 0', measured([-1, -1, -2], { note: 'large pages' }), false, 'large pages'],
  ])('that is %s', (_, measurement, written, why) => {
    expect(judge(measurement)).toMatchObject({ written, why });
  });

  test('becomes a cost only if it is written', () => {
    const figures = [measured([10, 10, 10]), measured([1, 2, 3], { key: 'pte.set' })].map(judge);
    expect(measuredCosts(figures, COSTS)).toEqual({
      'pte.clear': {
        default: 10,
        low: 10,
        high: 10,
        confidence: 'measured',
        note: COSTS['pte.clear'].note,
        source: 'test',
      },
    });
  });
});

describe('what a kernel measured', () => {
  const median = (text: string, what: RegExp): number =>
    judge(measureRecording(text, 'x.txt', COSTS).find((row) => what.test(row.what))!).median!;

  test('a histogram: half of the invalidations lie below the middle of their bucket', () => {
    expect(median(HISTOGRAM, /^submission of an IOTLB/) / Math.sqrt(1e3 * 1e4)).toBeCloseTo(1, 1);
    expect(median(HISTOGRAM, /^wait of the/)).toBeCloseTo(median(HISTOGRAM, /^submission of an IOTLB/) - SUBMIT, 6);
    expect(median(HISTOGRAM, /^device-TLB/) / (Math.sqrt(1e4 * 1e5) - Math.sqrt(1e3 * 1e4))).toBeCloseTo(1, 1);
  });

  test('the units of a file are added up', () => {
    const second = HISTOGRAM.replace('1000', '   0')
      .replace(/0( +0 +0 +0 +0 +1 +9)/, '0$1')
      .replace('dmar0', 'dmar1');
    expect(median(HISTOGRAM + second, /^submission of an IOTLB/)).toBe(median(HISTOGRAM, /^submission of an IOTLB/));
  });

  test('function_graph, leaf or not, with or without module names', () => {
    const calls = Array.from({ length: 40 }, (_, i) =>
      i % 2 === 0
        ? ` 3)   1.${200 + i} us    |  qi_submit_sync();`
        : ` 3) + 11.${200 + i} us  |  } /* qi_submit_sync */`,
    );
    const values = measureRecording(['# tracer: function_graph', ...calls].join('\n'), 'x.txt', COSTS)[0]!.values;
    expect(values).toHaveLength(40);
    expect([Math.min(...values), Math.max(...values)]).toEqual([1200, 11239]);
  });

  test.each([
    ['nothing of it', 'hello\n', /^x\.txt: has neither the columns of dmar_perf_latency nor a timed qi_submit_sync/],
    [
      'too few calls',
      ' 3)   1.2 us    |  qi_submit_sync();\n',
      /has 1 timed calls of qi_submit_sync, expected at least 30/,
    ],
    ['a count that is no number', HISTOGRAM.replace('1000', '10x0'), /^x\.txt:3: .*expected ten whole numbers/],
    ['a cut line', HISTOGRAM.slice(0, HISTOGRAM.indexOf('1000')), /^x\.txt:3: read \d columns behind inv_iotlb/],
    ['a count that was off', HISTOGRAM.replace('1000', '   0'), /counts no inv_iotlb/],
  ])('%s', (_, text, expected) => {
    expect(() => measureRecording(text, 'x.txt', COSTS)).toThrow(expected);
  });
});

test(
  'the command measures this host, and writes what can be used',
  () =>
    withFolder((folder) => {
      const { code, stdout, stderr } = iommulator(
        ['calibrate', '-o', 'mine.yaml', '--format', 'json', '--quiet'],
        folder,
      );
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const { figures } = JSON.parse(stdout) as { figures: ReturnType<typeof judge>[] };
      expect(figures.filter(({ median }) => median !== null).length).toBeGreaterThanOrEqual(9);
      const used = figures.flatMap(({ key, written }) => (written ? [key!] : []));
      const text = readFileSync(join(folder, 'mine.yaml'), 'utf8');
      expect(COST_KEYS.filter((key) => text.includes(`${key}:`)).sort()).toEqual(used.sort());
      if (used.length > 0)
        expect(loadCosts(join(folder, 'mine.yaml'))[used[0]!].source).toMatch(/measured on this host/);
    }),
  60_000,
);

test('a recording that says nothing leaves no file', () =>
  withFolder((folder) => {
    writeFileSync(join(folder, 'x.txt'), 'hello\n');
    const { code, stdout, stderr } = iommulator(['calibrate', 'x.txt', '-o', 'mine.yaml'], folder);
    expect({ code, stdout, lines: stderr.trim().split('\n').length }).toEqual({ code: 2, stdout: '', lines: 1 });
    expect(() => readFileSync(join(folder, 'mine.yaml'))).toThrow();
  }));
