import { XMLParser, XMLValidator } from 'fast-xml-parser';
import { expect, test } from 'vitest';
import type { Finding } from '../model/gates.ts';
import { type HistoryRecord, MAIN_FIGURES } from '../model/history.ts';
import { bencherJson, githubJson, goText, junitXml } from './exchange.ts';

const HOSTILE = 'a<b> & "c"\u0000\ud800 ]]>\n--é';
const common = { format: 1, commit: '1a2b3c', tool: '0.1.0' } as const;
const RECORDS: HistoryRecord[] = [
  {
    ...common,
    ...{ kind: 'run', model: 5, machine: 'amd-v2', policy: 'range-end', seed: 2, options: '--memory 30%' },
    ...{ trace: { file: 'sqlite.trace', sha256: 'f'.repeat(64) }, verdict: 'exposed', costs: {} },
    figures: { 'cost.lock_wait_ns': 12.5, 'safety.stale_uses': 3 },
  },
  {
    ...common,
    kind: 'host',
    name: `tlb ${HOSTILE}`,
    unit: 'ns/access',
    better: 'smaller',
    host: 'ci',
    samples: [3, 1, 2],
  },
  { ...common, kind: 'host', name: 'decode', unit: 'MB/s', better: 'larger', host: 'ci', samples: [9, 7] },
];

test('github-action-benchmark: name, unit and a number; range and extra are strings; one direction a file', () => {
  const entries = githubJson(RECORDS, MAIN_FIGURES, 'smaller');
  expect(entries).toHaveLength(MAIN_FIGURES.length + 1);
  for (const { name, unit, value, ...rest } of entries) {
    expect([typeof name, typeof unit, Number.isFinite(value)]).toEqual(['string', 'string', true]);
    expect(Object.keys(rest).filter((key) => !['range', 'extra'].includes(key))).toEqual([]);
    for (const text of Object.values(rest)) expect(typeof text).toBe('string');
  }
  expect(new Set(entries.map(({ name }) => name)).size).toBe(entries.length);
  expect(entries[3]).toMatchObject({
    name: 'sqlite/amd-v2/range-end/seed=2/--memory 30% cost.lock_wait_ns',
    unit: 'ns',
    value: 12.5,
  });
  expect(githubJson(RECORDS, MAIN_FIGURES, 'larger')).toEqual([
    { name: 'decode', unit: 'MB/s', value: 8, range: '± 1', extra: 'samples=2\nhost=ci' },
  ]);
});

test('Bencher Metric Format: benchmark, measure, value; measures are slugs', () => {
  const metrics = bencherJson(RECORDS, MAIN_FIGURES) as Record<string, Record<string, Record<string, number>>>;
  expect(Object.keys(metrics)).toHaveLength(RECORDS.length);
  for (const measures of Object.values(metrics)) {
    for (const [measure, metric] of Object.entries(measures)) {
      expect(measure).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
      expect(Object.keys(metric).filter((key) => !['value', 'lower_value', 'upper_value'].includes(key))).toEqual([]);
      for (const value of Object.values(metric)) expect(Number.isFinite(value)).toBe(true);
    }
  }
  expect(metrics.decode).toEqual({ 'mb-s': { value: 8, lower_value: 7, upper_value: 9 } });
});

test('Go benchmark text: keys, units, and lines of a name, a count and pairs', () => {
  const lines = goText(RECORDS, MAIN_FIGURES).trimEnd().split('\n');
  const kinds = lines.map((line) => {
    if (line === '') return '';
    if (/^[a-z][^\sA-Z:]*: .+$/.test(line)) return 'key';
    if (/^Unit \S+( \w+=\w+)+$/.test(line)) return 'unit';
    const [name, count, ...pairs] = line.split(/\s+/);
    const numbers = pairs.filter((_, i) => i % 2 === 0).map(Number);
    const whole = /^Benchmark[A-Z]\S*$/.test(name!) && /^[1-9]\d*$/.test(count!) && pairs.length % 2 === 0;
    return whole && pairs.length > 0 && numbers.every(Number.isFinite) ? 'result' : `? ${line}`;
  });
  expect(kinds.filter((kind, i) => kind !== kinds[i - 1])).toEqual(['key', 'unit', '', 'result']);
  // A line for each run, and for each sample.
  expect(kinds.filter((kind) => kind === 'result')).toHaveLength(1 + 3 + 2);
});

test('JUnit XML: well formed whatever the names are; counts, cases, failures and skipped cases agree', () => {
  const findings: Finding[] = [
    { subject: HOSTILE, rule: 'equal', holds: false, message: HOSTILE },
    { subject: 's', rule: 'verdict', holds: true, message: 'safe' },
    { subject: 's', rule: 'host', holds: null, message: 'few' },
  ];
  const text = junitXml(findings, { against: HOSTILE });
  expect(XMLValidator.validate(text)).toBe(true);
  const { testsuites } = new XMLParser({
    ignoreAttributes: false,
    attributeNamePrefix: '',
    isArray: (name) => name === 'testcase',
  }).parse(text);
  const totals = { tests: '3', failures: '1', errors: '0', time: '0' };
  const { testsuite, ...outermost } = testsuites;
  expect(outermost).toEqual(totals);
  expect(testsuite).toMatchObject({ ...totals, skipped: '1' });
  const [equal, verdict, host] = testsuite.testcase;
  expect(equal).toMatchObject({ name: 'equal', failure: { type: 'equal' } });
  expect(equal.classname).toContain('a<b> & "c"\ufffd\ufffd ]]>');
  expect(verdict).toEqual({ classname: 's', name: 'verdict', time: '0' });
  expect(host.skipped).toEqual({ message: 'few' });
});
