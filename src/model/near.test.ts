import { expect, test } from 'vitest';
import { nearText, nearWords, quote } from './near.ts';

const KNOWN = ['under-lock', 'range-end', 'linux-4.14', 'linux-4.15', 'linux-6.6'];

// name            word           near
const CASES: [string, string, string[]][] = [
  ['a letter left out', 'under-lok', ['under-lock']],
  ['two swapped', 'udner-lock', ['under-lock']],
  ['another case', 'RANGE-END', ['range-end']],
  ['part of a name', 'linux', ['linux-4.14', 'linux-4.15', 'linux-6.6']],
  ['nothing like it', 'zebra', []],
  ['empty', '', []],
  ['very long', 'x'.repeat(100_000), []],
];

for (const [name, word, expected] of CASES) {
  test(`near: ${name}`, () => expect(nearWords(word, KNOWN)).toEqual(expected));
}

test('nearText: nothing near, nothing said', () => {
  expect(nearText('linux-4.1', KNOWN)).toBe('; near: linux-4.14, linux-4.15, linux-6.6');
  expect(nearText('zebra', KNOWN)).toBe('');
});

test('quote: one line, at most 60 characters', () => {
  expect(quote('a\nb')).toBe('"a\\nb"');
  expect(quote('x'.repeat(99))).toHaveLength(60);
  expect([quote(5), quote(Number.NaN), quote(null), quote(undefined)]).toEqual(['5', 'NaN', 'null', 'nothing']);
});
