import fc from 'fast-check';
import { expect, test } from 'vitest';
import { shellWord, wordsOf } from './command.ts';

test.each([
  ['traces/app.trace', 'traces/app.trace'],
  ['machine.driver.map=iotlb.range wait', "'machine.driver.map=iotlb.range wait'"],
  ["it's", "'it'\\''s'"],
  ['$HOME', "'$HOME'"],
  ['', "''"],
])('%j on a command line', (word, expected) => {
  expect(shellWord(word)).toBe(expected);
});

const words = fc.array(
  fc.string().map((word) => word.replaceAll('\0', '')),
  { minLength: 1, maxLength: 5 },
);

test('a command line has the words that it was made of', () => {
  fc.assert(
    fc.property(words, (list) => {
      expect(wordsOf(list.map(shellWord).join(' '))).toEqual(list.map(shellWord));
    }),
  );
});
