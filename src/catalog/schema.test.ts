import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type ValidateFunction } from 'ajv';
import { expect, test } from 'vitest';
import { ROOT } from '../../testing/cli.ts';
import { goldenCases, goldenFile } from '../../testing/golden/cases.ts';
import type { ComparisonResult } from '../model/result.ts';
import { flatRow } from '../sweep/gather.ts';

const FOLDER = join(ROOT, 'src/catalog/schema');
const ENDS = '.schema.json';

/** A schema that lets nothing pass that it does not describe. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const fields = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return 'properties' in fields && !('additionalProperties' in fields)
    ? { ...fields, additionalProperties: false }
    : fields;
}

const ajv = new Ajv({ allowUnionTypes: true, allErrors: true, strictTypes: false });
for (const file of readdirSync(FOLDER))
  ajv.addSchema(closed(JSON.parse(readFileSync(join(FOLDER, file), 'utf8'))) as object, file);
const validator = (name: string): ValidateFunction => ajv.getSchema(`${name}${ENDS}`)!;

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
  const valid = validator(schema!);
  valid(JSON.parse(readFileSync(file!, 'utf8')));
  expect((valid.errors ?? []).map((error) => [error.instancePath, error.message, error.params])).toEqual([]);
});

test('a line of gathered results is of gathered.schema.json', () => {
  const { runs } = JSON.parse(
    readFileSync(join(ROOT, 'traces/golden/cli/compare-dma.json'), 'utf8'),
  ) as ComparisonResult;
  const cell = { trace: 'x', machine: 'intel-vtd', seed: 1, 'machine.iommu.iotlb': '1x64', policy: 'lazy' };
  const line = flatRow({ cell, hash: '0'.repeat(64), run: runs[0]! });
  validator('gathered')(line);
  expect(validator('gathered').errors ?? []).toEqual([]);
  expect(validator('gathered')({ ...line, model: undefined })).toBe(false);
});

test('each line of the history is of history.schema.json', () => {
  const lines = readFileSync(join(ROOT, 'traces/golden/history.ndjson'), 'utf8').trimEnd().split('\n');
  expect(lines.map((line) => validator('history')(JSON.parse(line)))).toEqual(lines.map(() => true));
});

test('what is not described does not pass', () => {
  const golden = JSON.parse(readFileSync(join(ROOT, 'traces/golden/cli/tlb.json'), 'utf8'));
  expect(validator('tlb')(golden)).toBe(true);
  expect(validator('tlb')({ ...golden, more: 1 })).toBe(false);
  expect(validator('tlb')({ ...golden, pages: '1' })).toBe(false);
});
