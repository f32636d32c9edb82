import { join } from 'node:path';
import { expect, test } from 'vitest';
import { iommulator, ROOT } from '../../testing/cli.ts';
import type { compareJson } from '../report/compare.ts';

const TRACE = join(ROOT, 'traces/vtd-edu-stale-lazy-icount.trace');
const compare = (...args: string[]) => iommulator(['compare', TRACE, '--quiet', ...args]);

test('defaults follow a recording: three policies on two machines, with verdicts', () => {
  const { runs } = JSON.parse(compare('--format', 'json').stdout) as ReturnType<typeof compareJson>;
  expect(runs.map(({ machine, policy, safety }) => `${machine} ${policy} ${safety.verdict}`)).toEqual([
    'intel-vtd strict safe',
    'intel-vtd lazy unsafe',
    'intel-vtd passthrough unsafe',
    'amd-vi strict safe',
    'amd-vi lazy unsafe',
    'amd-vi passthrough unsafe',
  ]);
  for (const { cost } of runs) {
    const causes = Object.values(cost.added_by_cause).reduce((sum, ns) => sum + ns);
    expect(causes).toBeCloseTo(cost.overhead_ns, 2);
  }
});

test('the number of workers changes no byte', () => {
  const one = compare('--format', 'json', '--workers', '1');
  expect(one.code).toBe(0);
  expect(compare('--format', 'json', '--workers', '2').stdout).toBe(one.stdout);
});

test('the table fits 100 columns', () => {
  const { stdout, code } = compare();
  expect(code).toBe(0);
  for (const line of stdout.split('\n').slice(0, 11)) expect(line.length, line).toBeLessThanOrEqual(100);
});

test.each([
  [['--machines', 'amd-v2'], 'machine amd-v2 is of family mm'],
  [['--policies', 'strict,range-end'], 'policy range-end is of family mm'],
  [['--device', 'follow'], '--memory, --device and --cpus are for address spaces'],
  [['--time-scale', '0'], '--time-scale is "0"'],
  [['--set', 'machine.device.outstanding=40'], 'expected at most 64'],
])('%s is refused', (args, message) => {
  const { code, stderr, stdout } = compare(...args);
  expect(stderr).toContain(message);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
});

test('all: pairs that do not fit are left out and named', () => {
  const { stdout } = compare('--policies', 'all', '--format', 'json');
  const { runs, skipped } = JSON.parse(stdout) as ReturnType<typeof compareJson>;
  // Six policies on the first machine; the second one's driver submits no global flush.
  expect(runs).toHaveLength(11);
  expect(skipped).toContainEqual(expect.objectContaining({ policy: 'lazy-intel-2017', machine: 'amd-vi' }));
  expect(skipped).toContainEqual(expect.objectContaining({ policy: 'range-end', machine: 'amd-vi' }));
});

test('think time: reuse and scale stand in the command that repeats the run', () => {
  const { stdout } = compare('--time', 'packed', '--reuse', 'never', '--format', 'json');
  const { runs } = JSON.parse(stdout) as ReturnType<typeof compareJson>;
  expect(runs[1]!.repro).toContain('--reuse never --time packed');
  expect(runs[1]!.safety.verdict).toBe('exposed');
});
