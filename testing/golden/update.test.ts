import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { withFolder } from '../cli.ts';
import { GOLDEN, type GoldenCase } from './cases.ts';
import type { Change } from './change.ts';
import { updateGolden } from './update.ts';

const CASE: GoldenCase = { name: 'cli/compare', words: ['compare'], forms: ['txt', 'json'], twin: 'machine' };
const result = (model: number, ns: number, verdict = 'safe', more: object = {}) => ({
  format: 1,
  model,
  runs: [{ cost: { work_ns: ns, ...more }, safety: { verdict } }],
});
const DIFFERENT: Change = { path: 'range-end on amd-v2: raw.elapsed', old: 7, now: 8 };

interface Row {
  readonly name: string;
  readonly old?: object;
  readonly now: object;
  readonly model?: number;
  readonly changelog?: string;
  readonly differ?: readonly Change[];
  readonly written: boolean;
  readonly says: readonly string[];
}

const JSON_FILE = 'cli/compare.json';
const ROWS: readonly Row[] = [
  { name: 'nothing changed', old: result(1, 5), now: result(1, 5), written: true, says: ['cli/compare: as it was', '0 files written'] },
  { name: 'a new case', now: result(1, 5), written: true, says: [`${JSON_FILE}: new`, 'cli/compare: its twin says the same, over the whole trace', '2 files written'] },
  {
    name: 'a number changed, and the model did not',
    old: result(1, 5), now: result(1, 6), written: false,
    says: ['  runs[0].cost.work_ns: 5 -> 6', '1 results changed: expected MODEL above 1 in src/model/result.ts, read 1', 'nothing is written'],
  },
  {
    name: 'so did a verdict',
    old: result(1, 5), now: result(1, 5, 'unsafe'), written: false,
    says: ['  runs[0].safety.verdict: "safe" -> "unsafe"', '1 results changed: expected MODEL above 1 in src/model/result.ts, read 1'],
  },
  {
    name: 'a raised model without its cause',
    old: result(1, 5), now: result(2, 6), model: 2, changelog: '- Model 1: the first.\n- Model 2.\n', written: false,
    says: ['1 results changed: expected a line "- Model 2: CAUSE" in CHANGELOG.md'],
  },
  {
    name: 'a raised model with its cause',
    old: result(1, 5), now: result(2, 6), model: 2, changelog: '- Model 2: walks cost more.\n', written: true,
    says: ['  model: 1 -> 2', '  runs[0].cost.work_ns: 5 -> 6', '2 files written'],
  },
  {
    name: 'a twin that says something else',
    old: result(1, 5), now: result(2, 6), model: 2, changelog: '- Model 2: walks cost more.\n', differ: [DIFFERENT], written: false,
    says: ['cli/compare: 1 numbers are not those of its twin, which come first here', '  range-end on amd-v2: raw.elapsed: 7 -> 8', 'nothing is written'],
  },
  {
    name: 'a number more is no other result',
    old: result(1, 5), now: result(1, 5, 'safe', { walks: 3 }), written: true,
    says: ['  runs[0].cost.walks: nothing -> 3', '2 files written'],
  },
]; // biome-ignore format: a table

test.each(ROWS)('$name', ({ old, now, model = 1, changelog = '- Model 1.\n', differ = [], written, says }) =>
  withFolder(async (root) => {
    const file = (form: string): string => join(root, GOLDEN, `${CASE.name}.${form}`);
    const text = (value: object, form: string): string =>
      form === 'json' ? JSON.stringify(value) : `${JSON.stringify(value)}\n.`;
    mkdirSync(dirname(file('json')), { recursive: true });
    if (old !== undefined) for (const form of CASE.forms) writeFileSync(file(form), text(old, form));
    const lines: string[] = [];
    const done = await updateGolden({
      root,
      cases: [CASE],
      model,
      changelog,
      outputOf: (_, form) => text(now, form),
      disagreement: async () => differ,
      say: (line) => lines.push(line),
    });
    expect(lines).toEqual(expect.arrayContaining([...says]));
    expect(done).toBe(written);
    for (const form of CASE.forms) {
      const content = written ? now : old;
      expect(existsSync(file(form)) && readFileSync(file(form), 'utf8')).toBe(
        content !== undefined && text(content, form),
      );
    }
  }),
);
