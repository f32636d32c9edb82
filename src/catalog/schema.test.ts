import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../testing/cli.ts';
import { goldenCases, goldenFile } from '../../testing/golden/cases.ts';
import { mismatches } from '../../testing/schema.ts';
import type { ComparisonResult } from '../model/result.ts';
import { flatRow } from '../sweep/gather.ts';

/** Schemas of what commands write. */
const OF_COMMAND: Readonly<Record<string, string>> = {
  compare: 'result',
  run: 'result',
  explore: 'exploration',
  tlb: 'tlb',
  inspect: 'inspection',
  verify: 'verification',
  decode: 'decoded',
};

const written = goldenCases(ROOT).flatMap((golden) =>
  golden.forms.includes('json') ? [[golden.name, OF_COMMAND[golden.words[0]!]!, goldenFile(ROOT, golden, 'json')]] : [],
);

test.each(written)('%s is of %s.schema.json, which describes every key of it', (_, schema, file) => {
  expect(mismatches(schema!, JSON.parse(readFileSync(file!, 'utf8')))).toEqual([]);
});

test('a line of gathered results is of gathered.schema.json', () => {
  const { runs } = JSON.parse(
    readFileSync(join(ROOT, 'traces/golden/cli/compare-dma.json'), 'utf8'),
  ) as ComparisonResult;
  const cell = { trace: 'x', machine: 'intel-vtd', seed: 1, 'machine.iommu.iotlb': '1x64', policy: 'lazy' };
  const line = flatRow({ cell, hash: '0'.repeat(64), run: runs[0]! });
  expect(mismatches('gathered', line)).toEqual([]);
  expect(mismatches('gathered', { ...line, model: undefined })).not.toEqual([]);
});

test('each line of the history is of history.schema.json', () => {
  const lines = readFileSync(join(ROOT, 'traces/golden/history.ndjson'), 'utf8').trimEnd().split('\n');
  expect(lines.flatMap((line) => mismatches('history', JSON.parse(line)))).toEqual([]);
});

test('what is not described does not pass', () => {
  const golden = JSON.parse(readFileSync(join(ROOT, 'traces/golden/cli/tlb.json'), 'utf8'));
  expect(mismatches('tlb', golden)).toEqual([]);
  expect(mismatches('tlb', { ...golden, more: 1 })).toHaveLength(1);
  expect(mismatches('tlb', { ...golden, pages: '1' })).toHaveLength(1);
});
