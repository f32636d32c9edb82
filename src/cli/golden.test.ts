import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { iommulator, ROOT, withoutProgress } from '../../testing/cli.ts';
import { goldenCases, goldenFile, wordsOf } from '../../testing/golden/cases.ts';
import { MODEL } from '../model/result.ts';

/** Columns of the widest line. */
const width = (text: string): number => Math.max(...text.split('\n').map((line) => line.length));
/** Most columns of a table by its command, and of Markdown, which goes into mail. */
const WIDEST: Record<string, number> = { compare: 120, tlb: 100, md: 76 };

describe('what commands print is what they printed (npm run golden)', () => {
  for (const golden of goldenCases(ROOT)) {
    for (const form of golden.forms) {
      test(`${golden.name}.${form}`, () => {
        const { code, stdout, stderr } = iommulator(wordsOf(golden, form));
        expect({ code, stderr: withoutProgress(stderr) }).toEqual({ code: 0, stderr: '' });
        expect(stdout).toBe(readFileSync(goldenFile(ROOT, golden, form), 'utf8'));
        const most = WIDEST[form === 'txt' ? golden.words[0]! : form];
        if (most !== undefined) expect(width(stdout)).toBeLessThanOrEqual(most);
      });
    }
  }
});

test('golden results are those of this model, and the changelog names it', () => {
  const [compare] = goldenCases(ROOT).filter(({ name }) => name === 'cli/compare');
  expect(JSON.parse(readFileSync(goldenFile(ROOT, compare!, 'json'), 'utf8'))).toMatchObject({ model: MODEL });
  expect(readFileSync(`${ROOT}/CHANGELOG.md`, 'utf8')).toMatch(new RegExp(`^- Model ${MODEL}[.:]`, 'm'));
});
