import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { iommulator, ROOT, withFolder } from '../../testing/cli.ts';
import { mismatches } from '../../testing/schema.ts';

const golden = (name: string): string => join(ROOT, `traces/golden/cli/${name}.json`);

test('the figures of the golden results are those of their history', () => {
  const history = join(ROOT, 'traces/golden/history.ndjson');
  const { code, stdout } = iommulator([
    'track',
    'check',
    golden('compare'),
    golden('compare-dma'),
    '--history',
    history,
  ]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^(\d+) of \1 checks hold, 0 fail\n$/) });
});

test('a history: recorded, checked, shown, exported; a result that got worse fails with its rule', () =>
  withFolder((folder) => {
    const track = (...words: string[]) => iommulator(['track', ...words], folder);
    const result = JSON.parse(readFileSync(golden('compare-dma'), 'utf8'));
    const worse = structuredClone(result);
    worse.runs[0].safety.verdict = 'unsafe';
    worse.costs['qi.wait'].default = 1000;
    worse.runs[1].cost.work_ns *= 2;
    writeFileSync(join(folder, 'worse.json'), JSON.stringify(worse));
    const times = { name: 'replay', unit: 'ns', better: 'smaller', host: 'ci', samples: Array(10).fill(5) };
    writeFileSync(join(folder, 'times.ndjson'), `${JSON.stringify(times)}\n`);

    const recorded = track('record', golden('compare-dma'), '--host', 'times.ndjson', '--commit', 'aaaa');
    expect({ code: recorded.code, stderr: recorded.stderr }).toEqual({
      code: 0,
      stderr: `iommulator.ndjson: ${result.runs.length + 1} records of aaaa appended\n`,
    });
    expect(track('check', golden('compare-dma'), '--host', 'times.ndjson').code).toBe(0);
    const failed = track('check', 'worse.json');
    expect(failed.code).toBe(1);
    const [name, one] = [result.trace.file.replace('.trace', ''), result.runs[0].machine];
    expect(failed.stdout).toContain(
      `fails       verdict: ${name} ${one} ${result.runs[0].policy}: was safe and is unsafe`,
    );
    expect(failed.stdout).toMatch(/equal: .*: cost\.work_ns .* \(\+100 %\); prices changed: qi\.wait \d+ -> 1000 ns\n/);
    expect(track('check', 'worse.json', '--against', 'aaaa', '--allow', 'cost.work_ns=100%').stdout).not.toContain(
      'equal:',
    );

    expect(track('record', 'worse.json', '--commit', 'bbbb', '--quiet')).toEqual({ code: 0, stdout: '', stderr: '' });
    const judged = track('check', '--format', 'json');
    expect(judged.code).toBe(1);
    expect(mismatches('checks', JSON.parse(judged.stdout))).toEqual([]);
    const shown = JSON.parse(track('show', one, '--figures', 'cost.work_ns', '--format', 'json').stdout);
    expect(mismatches('series', shown)).toEqual([]);
    const { series } = shown;
    expect(series[1].points.map(({ value }: { value: number }) => value / result.runs[1].cost.work_ns)).toEqual([1, 2]);
    expect(track('export', '--as', 'junit').stdout).toContain('type="verdict">was safe and is unsafe</failure>');
    expect(track('export', '--as', 'go', '--figures', 'cost.walks').stdout).toMatch(/^commit: bbbb\n/);
    expect(track('check', '--against', 'cccc')).toMatchObject({ code: 2, stdout: '' });
    expect(track('record')).toMatchObject({
      code: 2,
      stderr: 'iommulator: nothing to record, expected results or --host\n',
    });
  }));
