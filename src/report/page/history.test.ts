import { expect, test } from 'vitest';
import type { RunRecord } from '../../model/history.ts';
import { reportPage } from './page.ts';

const record = (commit: string, model: number, added: number, policy = 'strict'): RunRecord => ({
  ...{ format: 1, kind: 'run', commit, tool: '0.1.0', model, trace: { file: 'nic.trace', sha256: '0'.repeat(64) } },
  ...{ machine: 'intel-vtd', policy, seed: 1, options: '', verdict: 'safe', costs: {} },
  figures: { 'cost.added_per_page_ns': added },
});
const page = await reportPage(
  [
    {
      kind: 'history',
      result: [
        ...[record('aaa', 7, 100), record('bbb', 7, 120), record('ccc', 8, 90), record('<i>', 8, 95)],
        ...[record('aaa', 7, 50, 'lazy'), record('bbb', 7, 50, 'lazy')],
      ],
    },
  ],
  '0',
);

test('a figure that changed is a line, broken where the model changed; one that did not is in the table only', () => {
  const [chart, table] = page.slice(page.indexOf('<figure')).split('<details>') as [string, string];
  expect(chart.match(/<path class="curve l0" d="M[^"]*"/g)).toHaveLength(2);
  expect(chart).toContain('>model 8</text>');
  expect([...chart.matchAll(/<g class="mark"><title>([^<]*)/g)].map(([, tip]) => tip)).toEqual([
    'nic intel-vtd strict, cost.added_per_page_ns at aaa: 100, model 7',
    'nic intel-vtd strict, cost.added_per_page_ns at bbb: 120, model 7',
    'nic intel-vtd strict, cost.added_per_page_ns at ccc: 90.0, model 8',
    'nic intel-vtd strict, cost.added_per_page_ns at &lt;i&gt;: 95.0, model 8',
  ]);
  expect(chart).not.toContain('lazy');
  expect(table).toContain('nic intel-vtd lazy');
  expect(page).toContain('6 records of 4 commits, aaa to &lt;i&gt;. 1 of 12 figures changed.');
});
