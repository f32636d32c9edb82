import { expect, test } from 'vitest';
import { exposureOf, frontOf } from './front.ts';

test.each<[string, [name: string, group: string, cost: number, exposure: number][], string]>([
  ['one', [['a', 'g', 1, 1]], 'a'],
  [
    'cheaper and safer beats',
    [
      ['a', 'g', 2, 2],
      ['b', 'g', 1, 1],
    ],
    'b',
  ],
  [
    'dearer and safer stays',
    [
      ['a', 'g', 2, 1],
      ['b', 'g', 1, 2],
    ],
    'b a',
  ],
  [
    'as cheap, less safe',
    [
      ['a', 'g', 1, 2],
      ['b', 'g', 1, 1],
    ],
    'b',
  ],
  [
    'as safe, dearer',
    [
      ['a', 'g', 1, 1],
      ['b', 'g', 2, 1],
    ],
    'a',
  ],
  [
    'equal in both',
    [
      ['a', 'g', 1, 1],
      ['b', 'g', 1, 1],
    ],
    'a b',
  ],
  [
    'other groups do not count',
    [
      ['a', 'h', 2, 2],
      ['b', 'g', 1, 1],
    ],
    'a b',
  ],
  [
    'what never ends',
    [
      ['a', 'g', 1, Infinity],
      ['b', 'g', 1, Infinity],
      ['c', 'g', 2, Infinity],
      ['d', 'g', 3, 9],
    ],
    'a b d',
  ],
])('front: %s', (_, rows, expected) => {
  const front = frontOf(rows, ([, group, cost, exposure]) => ({ group, cost, exposure }));
  expect(front.map(([name]) => name).join(' ')).toBe(expected);
});

test('a run that is not safe and whose windows never end is exposed for ever', () => {
  expect(exposureOf('exposed', { count: 0, sum: 0 })).toBe(Number.POSITIVE_INFINITY);
  expect(exposureOf('exposed', { count: 1, sum: 5 })).toBe(5);
  expect(exposureOf('safe', { count: 0, sum: 0 })).toBe(0);
});
