import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { iommulator, ROOT, withFolder } from '../../testing/cli.ts';
import { loadExperiment } from '../catalog/experiments.ts';
import { checkExperiment, type Experiment, isWithin, type Outcome } from '../model/experiment.ts';
import { verifyExperiment } from './experiment.ts';

const FOLDER = join(ROOT, 'traces/experiments');
const files = readdirSync(FOLDER).sort();

/** What was predicted and is not so. README's limits say why. */
const FAILS: Readonly<Record<string, readonly string[]>> = { 'invlpgb.yaml': ['IPI, 8 threads'] };

describe('what others measured', () => {
  test.each(files)(
    '%s: what is modelled holds, but for what is known not to',
    async (file) => {
      const { checks } = await verifyExperiment(loadExperiment(join(FOLDER, file)), file, { workers: 1 });
      const wrong = checks.filter(({ kind, holds }) => kind !== 'not-modelled' && !holds);
      expect(wrong.map(({ name }) => name)).toEqual(FAILS[file] ?? []);
      for (const { kind, got } of checks) expect(got === null).toBe(kind === 'not-modelled');
    },
    60_000,
  );

  test('no cost is fitted in one place and predicted from in another', () => {
    const fitted = files.filter((file) => (loadExperiment(join(FOLDER, file)).fits ?? []).length > 0);
    expect(fitted).toEqual(['invlpgb.yaml', 'pcie-bench.yaml', 'queue.yaml', 'shootdown-scale.yaml', 'shootdown.yaml']);
  });
});

/** Strict unmaps of one page on VT-d, one after the other, of a driver that waits for nothing. */
const UNMAP: Experiment = {
  name: 'unmap',
  title: 'one unmap',
  source: 'a test',
  setup: {
    workload: { name: 'nic-rx', cpus: 1, ops: 600, depth: 8, rate: 1000 },
    machine: 'intel-vtd',
    policy: 'strict',
  },
  cases: { one: {} },
  checks: [
    { what: 'unmap', kind: 'arithmetic', case: 'one', sum: ['unmap.ns'], per: 'unmap.calls', expected: 1, factor: 9e9 },
  ],
};

test('an unmap costs the sum of its steps: without one of them, that much less', async () => {
  const time = async (costs: Record<string, number>): Promise<number> => {
    const result = await verifyExperiment({ ...UNMAP, setup: { ...UNMAP.setup!, costs } }, 'x.yaml', { workers: 1 });
    return result.checks[0]!.got!;
  };
  const steps = {
    'qi.submit': 137,
    'qi.wait': 851,
    'io_pte.unmap_call': 23,
    'iova.free': 31,
    'iova.free_slow': 31,
    'iotlb.inv_page': 7,
  };
  const whole = await time(steps);
  for (const step of ['qi.submit', 'qi.wait', 'io_pte.unmap_call', 'iotlb.inv_page'] as const)
    expect({ step, less: whole - (await time({ ...steps, [step]: 0 })) }).toEqual({
      step,
      less: expect.closeTo(steps[step], 6),
    });
  expect(whole - (await time({ ...steps, 'iova.free': 0, 'iova.free_slow': 0 }))).toBeCloseTo(31, 6);
}, 60_000);

test.each<[string, Partial<Outcome>, number, boolean]>([
  ['within', { within: 5 }, 104.9, true],
  ['within, not', { within: 5 }, 94.9, false],
  ['percent', { percent: 2 }, 98.1, true],
  ['percent, not', { percent: 2 }, 97.9, false],
  ['factor', { factor: 2 }, 51, true],
  ['factor, not', { factor: 2 }, 49, false],
  ['at least', { at_least: true }, 100, true],
  ['at least, not', { at_least: true }, 99, false],
])('%s', (_, bound, got, holds) => {
  expect(isWithin({ what: 'x', kind: 'predicted', expected: 100, ...bound }, got)).toBe(holds);
});

describe('an experiment is refused', () => {
  const check: Outcome = { what: 'x', kind: 'predicted', case: 'one', sum: ['elapsed_ns'], expected: 1, percent: 1 };
  const { checks: _, ...base } = UNMAP;

  test.each<[string, Partial<Experiment>, RegExp]>([
    ['a case', { checks: [{ ...check, case: 'on' }] }, /^x\.yaml: checks\.0 \(x\): no case "on"; near: one/],
    ['two tolerances', { checks: [{ ...check, within: 1 }] }, /has 2 tolerances, expected one of/],
    ['no reason', { checks: [{ what: 'x', kind: 'not-modelled', expected: 1 }] }, /why is missing/],
    [
      'fits nothing',
      { fits: ['qi.wait'], checks: [check] },
      /fits costs, expected the checks that they were fitted to/,
    ],
    ['hides a fit', { checks: [{ ...check, kind: 'fitted' }] }, /has fitted checks, expected the costs/],
  ])('%s', (_, more, expected) => {
    expect(() => checkExperiment({ ...base, checks: [check], ...more }, 'x.yaml')).toThrow(expected);
  });

  test('a quantity that no run has', async () => {
    const wrong = { ...base, checks: [{ ...check, sum: ['elapsed'] }] };
    await expect(verifyExperiment(wrong, 'x.yaml')).rejects.toThrow(
      /^x\.yaml: x: no quantity "elapsed"; near: elapsed_ns/,
    );
  });

  test(
    'in one line, and a prediction that fails is exit 1',
    () =>
      withFolder((folder) => {
        writeFileSync(join(folder, 'x.yaml'), JSON.stringify({ ...base, checks: [check] }));
        const { code, stdout } = iommulator(['verify', 'table', 'x.yaml', '--format', 'json', '--quiet'], folder);
        expect({ code, failed: JSON.parse(stdout).experiments[0].failed }).toEqual({ code: 1, failed: 1 });
        writeFileSync(join(folder, 'x.yaml'), JSON.stringify({ ...base, check: [] }));
        const bad = iommulator(['verify', 'table', 'x.yaml'], folder);
        expect({ ...bad, lines: bad.stderr.trim().split('\n').length }).toMatchObject({
          code: 2,
          stdout: '',
          lines: 1,
        });
      }),
    60_000,
  );
});
