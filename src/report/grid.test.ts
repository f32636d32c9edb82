import { expect, test } from 'vitest';
import type { RunResult } from '../model/result.ts';
import { fitting } from './blocks.ts';
import { count, type Grid, percent, renderGrid } from './grid.ts';
import { screenRows } from './rows.ts';

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

test('first screen: a column as wide as the longest policy, and a run that is another one’s says whose', () => {
  const run = (policy: string, machine: string) => ({ policy, machine }) as RunResult;
  const runs = [run('linux-4.15', 'amd-v2'), run('linux-5.0', 'amd-v2'), run('range-end-no-gather', 'kvm')];
  const same = { 'linux-5.0 on amd-v2': 'linux-4.15' };
  expect(screenRows(runs, same, ['     per page', 'inval.'], () => '  1.00')).toEqual([
    '                                  per page',
    'machine policy               inval.',
    'amd-v2  linux-4.15*            1.00',
    '        linux-5.0            = linux-4.15',
    'kvm     range-end-no-gather*   1.00',
  ]);
});

test('blocks: columns below each other, no line wider than the terminal, no empty cell', () => {
  const columns = ['path', 'what', 'can another thread install a different page?'];
  const rows = [
    ['cow', 'a copy takes its place, and the old page loses a mapping', 'yes'],
    ['exit', 'it ends', ''],
  ];
  expect(fitting({ columns, rows })).toBe(renderGrid({ columns, rows }, 'table'));
  expect(fitting({ columns, rows }, 60).split('\n')).toEqual([
    'cow',
    '  what                      a copy takes its place, and the',
    '                            old page loses a mapping',
    '  can another thread        yes',
    '  install a different',
    '  page?',
    '',
    'exit',
    '  what                      it ends',
    '',
  ]);
});
