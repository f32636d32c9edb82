import { expect, test } from 'vitest';
import { mismatches } from '../../testing/schema.ts';
import { loadRaces } from '../catalog/races.ts';
import type { Exploration } from '../model/exploration.ts';
import { type Judged, judge, type Trial } from '../model/statement.ts';
import { exploreMarkdown } from '../report/explore.ts';
import { threadMarkdown, threadText } from '../report/thread.ts';
import { cellsOf } from './matrix.ts';
import { STATEMENTS } from './statements.ts';

const found = (race: string, policy: string, machine: string, property: string | null): Exploration => ({
  race,
  about: '',
  policy,
  machine,
  verdict: property === null ? 'holds' : 'broken',
  property,
  bounds: { entries: [2, 8], states: 1, steps: 1 },
  states: 1,
  schedule: property === null ? '' : '2:cpu0*12',
  steps: [],
});
/** All cells of a trial with one verdict. */
const allOf = ({ races, policies, machines, set: settings = [] }: Trial, property: string | null): Exploration[] =>
  cellsOf(loadRaces(races), { policies, machines, settings }).map(({ race, policy, machine }) =>
    found(race.name, policy.name, machine.name, property),
  );
const judged = (property: string | null): Judged[] =>
  STATEMENTS.map((statement) =>
    judge(
      statement,
      statement.trials.map((trial) => allOf(trial, property)),
    ),
  );

test('a statement stands if every trial finds what it implies, and falls with the cells that do not', () => {
  const verdicts = (property: string | null) => new Set(judged(property).map(({ verdict }) => verdict));
  for (const property of [null, 'S3']) expect(mismatches('statements', { statements: judged(property) })).toEqual([]);
  expect(verdicts(null)).toEqual(new Set(['stands', 'falls']));
  expect(verdicts('S3')).toEqual(new Set(['falls']));
  expect(threadText(judged('S3').slice(0, 1))).toContain('not holds but S3 in swap-reuse under range-end on amd-v2');
});

test('in Markdown no line is wider than a mail', () => {
  const policies = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k'].map((letter) => letter.repeat(20));
  const matrix = exploreMarkdown(
    policies.flatMap((policy) =>
      ['amd-v2', 'intel-svm'].map((machine) => found('r'.repeat(24), policy, machine, 'S2')),
    ),
  );
  const tables = matrix.split('\n').filter((line) => line.startsWith('|'));
  for (const policy of policies) expect(tables.join().split(policy).length).toBe(3);
  for (const text of [matrix, threadMarkdown(judged('S3')), threadMarkdown(judged(null))])
    expect(text.split('\n').filter((line) => line.length > 76)).toEqual([]);
});
