import { expect, test } from 'vitest';
import { count, type Grid, percent, renderGrid } from './grid.ts';

const GRID: Grid = {
  columns: ['name', 'n', 'rate', 'mixed'],
  rows: [
    ['a,"b"', '1,234,567', '0.500 %', '1 ns'],
    ['=cmd|x', '-', '-', '2 us'],
    ['plain', '-12', '10.25 %', 'text'],
  ],
};

test('table: numbers flush right, columns two spaces apart, no trailing space', () => {
  expect(renderGrid(GRID, 'table')).toBe(
    [
      'name            n     rate  mixed',
      'a,"b"   1,234,567  0.500 %  1 ns',
      '=cmd|x          -        -  2 us',
      'plain         -12  10.25 %  text',
      '',
    ].join('\n'),
  );
});

test('csv: bare numbers, units in the head, quotes where needed, no cell that a spreadsheet would run', () => {
  expect(renderGrid(GRID, 'csv')).toBe(
    ['name,n,rate %,mixed', '"a,""b""",1234567,0.500,1 ns', "'=cmd|x,,,2 us", 'plain,-12,10.25,text', ''].join('\n'),
  );
});

test('md: pipes are escaped', () => {
  expect(renderGrid(GRID, 'md').split('\n').slice(0, 4)).toEqual([
    '| name | n | rate | mixed |',
    '| --- | --: | --: | --- |',
    '| a,"b" | 1,234,567 | 0.500 % | 1 ns |',
    '| =cmd\\|x | - | - | 2 us |',
  ]);
});

test('numbers', () => {
  expect([0, 999, 1000, 1234567].map(count)).toEqual(['0', '999', '1,000', '1,234,567']);
  expect([percent(1, 3), percent(0, 5), percent(0, 0)]).toEqual(['33.333 %', '0.000 %', '-']);
});
