import { expect, test } from 'vitest';
import { DEFAULT_LIMITS, judgeHistory, type Limits, priorOf } from './gates.ts';
import type { HistoryRecord, HostRecord, RunRecord } from './history.ts';

const run = (change: Partial<RunRecord> = {}): RunRecord => ({
  ...{ format: 1, kind: 'run', commit: 'a', tool: '0.1.0', model: 5, machine: 'm', policy: 'p', seed: 1, options: '' },
  ...{ trace: { file: 't.trace', sha256: 'f' }, verdict: 'exposed', costs: { 'qi.wait': 850 } },
  figures: { 'cost.work_ns': 1000, 'cost.walks': 7 },
  ...change,
});
const host = (samples: readonly number[], change: Partial<HostRecord> = {}): HostRecord => ({
  ...{ format: 1, kind: 'host', commit: 'a', tool: '0.1.0', name: 'tlb', unit: 'ns', better: 'smaller', host: 'ci' },
  samples,
  ...change,
});
/** Recorded samples of one benchmark on one busy machine, and the same after something was made a third slower. */
const SAMPLES = [12.1, 12.4, 11.9, 12.2, 15.8, 12.0, 12.3, 12.1, 12.6, 12.2];
const SLOW = SAMPLES.map((sample) => sample * 1.33);

/** What fails or cannot be judged, in one string. */
function show(before: readonly HistoryRecord[], now: readonly HistoryRecord[], limits: Partial<Limits> = {}): string {
  const findings = judgeHistory(before, now, { ...DEFAULT_LIMITS, ...limits });
  const open = findings.filter(({ holds }) => holds !== true);
  return open.map(({ rule, holds, message }) => `${rule}${holds === null ? '?' : ''}: ${message}`).join(' | ');
}

const figures = { 'cost.work_ns': 1010, 'cost.walks': 7 };
const allow = (key: string, share: number) => ({ allow: [{ key, share }] });

// name                       before         now                                        limits
const CASES: [string, HistoryRecord[], HistoryRecord[], Partial<Limits>, string][] = [
  ['nothing changed', [run()], [run({ commit: 'b' })], {}, ''],
  ['a number changed', [run()], [run({ figures })], {}, 'equal: cost.work_ns 1000 -> 1010 (+1 %)'],
  ['a price did', [run()], [run({ figures, costs: { 'qi.wait': 900 } })], {}, 'equal: cost.work_ns 1000 -> 1010 (+1 %); prices changed: qi.wait 850 -> 900 ns'],
  ['a price alone', [run()], [run({ costs: { 'qi.wait': 900 } })], {}, ''],
  ['by as much as is allowed', [run()], [run({ figures })], allow('cost.work_ns', 0.01), ''],
  ['by more', [run()], [run({ figures })], allow('cost.*', 0.009), 'equal: cost.work_ns 1000 -> 1010 (+1 %)'],
  ['the last allowance counts', [run()], [run({ figures })], { allow: [{ key: 'cost.work_ns', share: 0 }, { key: 'cost.*', share: 1 }] }, ''],
  ['what was 0', [run()], [run({ figures: { ...run().figures, 'safety.stale_uses': 3 } })], allow('cost.*', 1), 'equal: safety.stale_uses 0 -> 3'],
  ['what is 0', [run()], [run({ figures: { 'cost.work_ns': 1000 } })], {}, 'equal: cost.walks 7 -> 0 (-100 %)'],
  ['a worse verdict, however much is allowed', [run()], [run({ verdict: 'unsafe' })], allow('*', 1), 'verdict: was exposed and is unsafe'],
  ['a better verdict', [run()], [run({ verdict: 'safe' })], {}, ''],
  ['another model', [run()], [run({ model: 6, figures })], allow('*', 1), 'model: model 5 became 6: numbers of different models are not compared; record anew'],
  ['a pair is gone', [run(), run({ policy: 'q' })], [run()], {}, 'gone: was recorded, and is not there'],
  ['another trace by that name', [run()], [run({ trace: { file: 't.trace', sha256: 'e' } })], {}, 'gone: the trace has other bytes'],
  ['a trace that is not looked at', [run(), run({ trace: { file: 'u.trace', sha256: 'e' } })], [run()], {}, ''],
  ['another seed', [run()], [run({ seed: 2 })], {}, 'gone: was recorded, and is not there'],
  ['host times as before', [host(SAMPLES)], [host(SAMPLES.toReversed())], {}, ''],
  ['one slow sample', [host(SAMPLES)], [host([...SAMPLES.slice(1), 99])], {}, ''],
  ['a slower host program', [host(SAMPLES)], [host(SLOW)], {}, 'host: median 12.2 -> 16.226 ns (+33 %), allowed are 10 %'],
  ['the same within a threshold', [host(SAMPLES)], [host(SLOW)], { host: 0.4 }, ''],
  ['faster', [host(SLOW)], [host(SAMPLES)], {}, ''],
  ['faster where larger is better', [host(SAMPLES, { better: 'larger' })], [host(SLOW, { better: 'larger' })], {}, ''],
  ['slower where larger is better', [host(SLOW, { better: 'larger' })], [host(SAMPLES, { better: 'larger' })], {}, 'host: median 16.226 -> 12.2 ns (-25 %), allowed are 10 %'],
  ['few samples', [host(SAMPLES)], [host(SLOW.slice(1))], {}, 'host?: 9 samples, expected at least 10'],
  ['another host', [host(SAMPLES)], [host(SLOW, { host: 'lab' })], {}, 'host?: measured on ci, and now on lab'],
]; // biome-ignore format: a table

test.each(CASES)('%s', (_, before, now, limits, expected) => expect(show(before, now, limits)).toBe(expected));

test('results are held against the last commit that recorded their trace', () => {
  const records = [run(), host(SAMPLES), run({ commit: 'b', figures }), host(SLOW, { commit: 'c' })];
  expect(priorOf(records, [run()]).map(({ commit }) => commit)).toEqual(['b']);
  expect(priorOf(records, [host(SLOW)]).map(({ commit }) => commit)).toEqual(['c']);
  expect(priorOf(records, [run({ trace: { file: 'u.trace', sha256: 'e' } })])).toEqual([]);
});
