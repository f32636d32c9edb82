import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HOSTILE, hostileComparison, hostileExploration } from '../../../testing/browser/hostile.ts';
import { ROOT } from '../../../testing/cli.ts';
import type { ExplorationResult } from '../../model/exploration.ts';
import type { ComparisonResult } from '../../model/result.ts';
import { html } from './markup.ts';
import { duration, short, whole } from './number.ts';
import { type ReportedResult, reportPage } from './page.ts';

const read = <T>(name: string): T =>
  JSON.parse(readFileSync(join(ROOT, 'traces/golden/cli', `${name}.json`), 'utf8')) as T;
const comparison: ReportedResult = { kind: 'comparison', result: read<ComparisonResult>('compare') };
const exploration: ReportedResult = { kind: 'exploration', result: read<ExplorationResult>('explore') };
const page = await reportPage([comparison, exploration], '0');

test('the policy of the page names its style and its script by their digests, and allows nothing else', () => {
  const between = (tag: string): string => new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(page)![1]!;
  const digest = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!.replaceAll('&#39;', "'");
  expect(policy).toBe(
    `default-src 'none'; style-src ${digest(between('style'))}; script-src ${digest(between('script'))}; base-uri 'none'; form-action 'none'`,
  );
  expect(page.match(/ (src|srcset|style|on\w+)=|url\((?!#)|@import|https?:/g)).toBeNull();
});

test('the same results give the same bytes', async () => {
  expect(await reportPage([comparison, exploration], '0')).toBe(page);
});

test('every chart has its numbers in a table', () => {
  const figures = [...page.matchAll(/<figure id="([^"]+)".*?<\/figure>/gs)];
  expect(figures.map(([, id]) => id)).toEqual(['r1-cost', 'r1-scatter', 'r1-hold', 'r1-window', 'r1-commands']);
  let compared = 0;
  for (const [text] of figures) {
    const [chart, table] = text.split('<details>') as [string, string];
    const rows = new Map([...table.matchAll(/<tr data-run="(\d+)">(.*?)<\/tr>/gs)].map(([, run, row]) => [run, row!]));
    for (const [, run, mark] of chart.matchAll(/data-run="(\d+)">(.*?)\n/gs)) {
      for (const [, tip] of mark!.matchAll(/<title>[^<]*?: ([^<]*)<\/title>/g)) {
        for (const number of tip!.match(/\d(?:[\d,.]*\d)?(?: (?:us|ms|ns|s)\b)?/g) ?? []) {
          if (/\bp(50|99)$/.test(tip!.slice(0, tip!.indexOf(number)) + number)) continue;
          expect(rows.get(run), tip).toContain(number);
          compared++;
        }
      }
    }
  }
  expect(compared).toBeGreaterThan(100);
});

test('what comes from a result is text, whatever is in it', async () => {
  const hostile = await reportPage(
    [
      { kind: 'comparison', result: hostileComparison(comparison.result as ComparisonResult) },
      { kind: 'exploration', result: hostileExploration(exploration.result as ExplorationResult) },
    ],
    HOSTILE[0]!,
  );
  const tags = (text: string): string[] => [...new Set(text.match(/<\/?[a-z][^\s>/]*/g))].sort();
  expect(tags(hostile)).toEqual(tags(page));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: that there are none is the point
  expect(hostile.replace(/<script>.*<\/script>/s, '').match(/[\u0000-\u0009\u000b-\u001f\u202a-\u202e]/)).toBeNull();
});

test('the command of a schedule says what was changed about the machine', async () => {
  const result = exploration.result as ExplorationResult;
  const races = result.races.map((one) => ({ ...one, settings: ['machine.consumer.retry=none'] }));
  const changed = await reportPage([{ kind: 'exploration', result: { ...result, races } }], '0');
  const commands = [...changed.matchAll(/iommulator explore [^<]*/g)].map(([command]) => command);
  expect(commands).toHaveLength(races.filter(({ verdict }) => verdict === 'broken').length);
  for (const command of commands) expect(command).toContain(' --set machine.consumer.retry=none --replay ');
});

test('a template escapes text, and leaves markup alone', () => {
  expect(html`<p title="${'"<\'&>'}">${html`<b>${1}</b>`}${[html`<i/>`, 'a<b', null, undefined]}</p>`.text).toBe(
    '<p title="&quot;&lt;&#39;&amp;&gt;"><b>1</b><i/>a&lt;b</p>',
  );
});

test('numbers have three digits and a unit that suits them', () => {
  expect([0, 0.25, 23.039, 1507.3, -3604.5, 45162740.978, 1.9e12].map(duration)).toEqual([
    '0',
    '0.25 ns',
    '23.0 ns',
    '1.51 us',
    '-3.60 us',
    '45.2 ms',
    '1,900 s',
  ]);
  expect([0, 1234567, -3, 0.5].map(whole)).toEqual(['0', '1,234,567', '-3', '0.5']);
  expect([0, 0.126, 12.34, 123.4, -1234.5, 1e300].map(short)).toEqual([
    '0',
    '0.13',
    '12.3',
    '123',
    '-1,234',
    '1.00e+300',
  ]);
});
