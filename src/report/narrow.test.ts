import { describe, expect, test } from 'vitest';
import { compareTrace } from '../jobs/compare.ts';
import { locateTrace } from '../jobs/locate.ts';
import { colourVerdicts } from './colour.ts';
import { type ComparisonView, compareText } from './compare.ts';
import { alignedMarkdown } from './grid.ts';
import { compareMarkdown, hang } from './narrow.ts';

async function view(policies: readonly string[], settings: readonly string[] = []): Promise<ComparisonView> {
  const trace = await locateTrace('vtd-edu-stale-lazy-icount');
  const comparison = await compareTrace(trace, { policies, machines: ['intel-vtd'], settings });
  return { ...comparison, label: { file: trace.name, sha256: trace.sha256 }, meta: trace.meta, version: '0' };
}

const recording = await view(['strict', 'lazy', 'passthrough']);
const lines = (text: string): string[] => text.split('\n');
const wide = (text: string): string[] => lines(text).filter((line) => !/^(again|one row) /.test(line));

for (const width of [60, 80, 99]) {
  test(`a terminal of ${width} columns`, () => {
    const text = compareText(recording, width);
    // The table is as wide as its numbers.
    expect(Math.max(...wide(text).map((line) => line.length))).toBeLessThanOrEqual(Math.max(80, width));
    for (const { policy, safety } of recording.results) {
      const [row] = lines(text).filter((line) => line.startsWith(policy) && line.endsWith(safety.verdict));
      expect(row, policy).toBeDefined();
    }
    // What is said is the same, but for where lines end.
    const words = (whole: string): string[] => whole.split(/\s+/);
    expect(words(compareText(recording))).toEqual(
      expect.arrayContaining(words(text.slice(text.indexOf('intel-vtd lazy')))),
    );
  });
}

test('what went wrong in the queue is said, of the first policy', async () => {
  const { results, ...rest } = await view(['strict'], ['machine.hazards=malformed-command']);
  const said = (text: string): string | undefined => lines(text).find((line) => line.includes(', the queue: '));
  const eighth = Math.floor(results[0]!.cost.invalidations.secondary! / 8);
  expect(eighth).toBeGreaterThan(0);
  expect(said(compareText({ results, ...rest }))).toBe(`intel-vtd  strict, the queue: ${eighth} commands refused`);
  expect(said(compareText(recording))).toBeUndefined();
  const later = { ...rest, results: [recording.results[0]!, { ...results[0]!, policy: 'other' }] };
  expect(said(compareText(later))).toContain('intel-vtd  other, the queue: ');
});

test('Markdown fits a mail, its columns stand below each other', () => {
  const rows = lines(compareMarkdown(recording));
  expect(Math.max(...rows.map((line) => line.length))).toBeLessThanOrEqual(76);
  const table = rows.filter((line) => line.startsWith('|'));
  expect(table).toHaveLength(5);
  expect(new Set(table.map((line) => line.length)).size).toBe(1);
});

test('Markdown with long names is in parts', async () => {
  const results = recording.results.map((run) => ({ ...run, policy: `a-policy-of-my-own-with-${run.policy}` }));
  const rows = lines(compareMarkdown({ ...recording, results }));
  expect(Math.max(...rows.map((line) => line.length))).toBeLessThanOrEqual(100);
  expect(rows.filter((line) => line.startsWith('On intel-vtd')).length).toBeGreaterThan(1);
});

test('a bar in a cell does not end it', () => {
  expect(alignedMarkdown({ columns: ['a|b', 'n'], rows: [['c', '1']] })).toBe('|a\\|b|  n|\n|----|--:|\n|c   |  1|\n');
});

describe('verdicts in colour', () => {
  const CASES: [name: string, line: string, coloured: string][] = [
    ['end of a row', 'strict*  1.00   safe', 'strict*  1.00   \x1b[32msafe\x1b[0m'],
    ['begin of a line', 'unsafe     a device', '\x1b[1;31munsafe\x1b[0m     a device'],
    ['not in a sentence', 'one is safe here', 'one is safe here'],
    ['not in a name', 'intel unsafe-policy', 'intel unsafe-policy'],
    ['exposed', 'lazy  exposed', 'lazy  \x1b[33mexposed\x1b[0m'],
  ];
  for (const [name, line, coloured] of CASES) test(name, () => expect(colourVerdicts(line)).toBe(coloured));
});

test('lines hang below what they belong to', () => {
  expect(hang('safe       one two three', 20)).toEqual(['safe       one two', '           three']);
  expect(hang('         added     one two three four', 30)).toEqual([
    '         added     one two',
    '                   three four',
  ]);
  expect(hang('again      iommulator compare sqlite', 20)).toEqual(['again      iommulator compare sqlite']);
});
