import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { iommulator, ROOT, withFolder } from '../../testing/cli.ts';
import type { ComparisonResult } from '../model/result.ts';
import { readResult } from './results.ts';

const golden = (name: string): string => join(ROOT, 'traces/golden/cli', `${name}.json`);
const compare = readFileSync(golden('compare-dma'), 'utf8');

test('what compare and explore write can be read', () => {
  expect(['compare', 'compare-dma', 'explore'].map((name) => readResult(golden(name)).kind)).toEqual([
    'comparison',
    'comparison',
    'exploration',
  ]);
});

describe('gathered results of a sweep', () => {
  const row = {
    ...{ trace: 't', machine: 'm', seed: 1, policy: 'p', 'cost.added_per_page_ns': 1, 'safety.verdict': 'safe' },
    ...{
      'safety.exposed_ns.count': 0,
      'safety.exposed_ns.sum': 0,
      repro: 'iommulator run',
      hash: '0'.repeat(64),
      model: 8,
    },
  };
  const line = (more: object): string => `${JSON.stringify({ ...row, ...more })}\n`;
  test.each<[string, string, RegExp | number]>([
    ['two rows', line({}) + line({ seed: 2 }), 2],
    ['nothing', '', /grid\.ndjson: is empty, expected what sweep gather writes$/],
    [
      'a torn line',
      line({}) + line({}).slice(0, 20),
      /grid\.ndjson:2: is not JSON, expected a line that sweep gather wrote$/,
    ],
    [
      'a row without cost',
      line({ 'cost.added_per_page_ns': undefined }),
      /grid\.ndjson:1: cost\.added_per_page_ns is missing/,
    ],
    ['a group', line({ 'machine.iommu.iotlb': {} }), /grid\.ndjson:1: machine\.iommu\.iotlb: read \{\}/],
    ['two models', line({}) + line({ model: 9 }), /has runs of models 8 and 9, whose numbers cannot be compared$/],
  ])('%s', (_, text, expected) =>
    withFolder((folder) => {
      const path = join(folder, 'grid.ndjson');
      writeFileSync(path, text);
      const read = () => readResult(path);
      if (typeof expected !== 'number') return expect(read).toThrow(expected);
      expect(read()).toMatchObject({ kind: 'sweep', result: { name: 'grid', model: 8 } });
    }),
  );
});

describe('what is no result gets one line', () => {
  const first = JSON.parse(compare) as ComparisonResult;
  // What is in the file, and what is said of it.
  const CASES: [name: string, text: string, said: RegExp][] = [
    ['nothing', '', /^is not JSON, expected what compare, run or explore write with --format json$/],
    ['a table', 'machine policy\n', /^is not JSON/],
    ['a list', '[]', /^has neither runs nor races, expected a result of compare, run or explore$/],
    ['null', 'null', /^has neither runs nor races/],
    ['another command', readFileSync(golden('tlb'), 'utf8'), /^has neither runs nor races/],
    [
      'a later format',
      compare.replace('"format": 1', '"format": 2'),
      /^format: read 2, expected 1, the format of results that this version reads$/,
    ],
    ['no model', compare.replace(/"model": \d+,/, ''), /^model is missing, expected grows whenever/],
    [
      'an infinite number',
      compare.replace(/"elapsed_ns": [\d.]+/, '"elapsed_ns": 1e999'),
      /^runs\.0\.cost\.elapsed_ns: read/,
    ],
    [
      'a verdict of another tool',
      compare.replace(/"verdict": "\w+"/, '"verdict": "fine"'),
      /^runs\.0\.safety\.verdict: read "fine", expected one of safe, exposed, unsafe$/,
    ],
    [
      'a count below 0',
      compare.replace(/"walks": \d+/, '"walks": -1'),
      /^runs\.0\.cost\.walks: read -1, expected >= 0: page walks$/,
    ],
    [
      'a long name',
      compare.replace(/"policy": "\w+"/, `"policy": "${'x'.repeat(1000)}"`),
      /^runs\.0\.policy: read "x+.*expected at most 400 characters/,
    ],
    [
      'many runs',
      JSON.stringify({ ...first, runs: Array(501).fill(first.runs[0]) }),
      /^runs: read .*expected the runs/,
    ],
    ['deep nesting', `{"runs":${'['.repeat(100_000)}`, /^is not JSON/],
  ];
  for (const [name, text, said] of CASES) {
    test(name, () =>
      withFolder((folder) => {
        const file = join(folder, 'r.json');
        writeFileSync(file, text);
        expect(() => readResult(file)).toThrow(
          expect.objectContaining({ name: 'UsageError', message: expect.stringMatching(/^[^\n]{1,600}$/) }),
        );
        try {
          readResult(file);
        } catch (error) {
          expect((error as Error).message.slice(file.length + 2)).toMatch(said);
        }
      }),
    );
  }
});

test('report: a page, or one line and no page', () =>
  withFolder((folder) => {
    const page = iommulator(['report', golden('explore'), '-o', '-'], folder);
    expect({ ...page, stdout: page.stdout.slice(0, 15) }).toEqual({ code: 0, stdout: '<!doctype html>', stderr: '' });
    expect(iommulator(['report', 'no.json', '-o', 'r.html'], folder)).toEqual({
      code: 2,
      stdout: '',
      stderr: 'iommulator: no.json: no such file\n',
    });
  }));
