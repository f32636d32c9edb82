import { expect, test } from 'vitest';
import { COST_KEYS, type Cost, costPs, costsOf } from './cost.ts';

const cost: Cost = { default: 0.333, low: 0, high: 1, confidence: 'assumed', source: 's', note: 'n' };
const backoff = { ...cost, default: 100, low: 100, high: 100 };
const all = { ...Object.fromEntries(COST_KEYS.map((key) => [key, cost])), 'device.pri_backoff': backoff };

test('costs: picoseconds are integers', () => expect(costPs(costsOf(all, 'x'), 'cpu.fetch')).toBe(333));

test('costs: a part stands over a base', () => {
  const costs = costsOf({ 'qi.wait': { ...cost, default: 1, confidence: 'measured' } }, 'x', costsOf(all, 'x'));
  expect([costs['qi.wait'].default, costs['qi.submit'].default]).toEqual([1, 0.333]);
});

// name            entries                                         error
const CASES: [string, Record<string, Cost>, string][] = [
  ['unknown key', { 'qi.wiat': cost }, 'x.yaml: qi.wiat: no such cost; near: qi.wait'],
  ['prototype key', JSON.parse(`{ "__proto__": ${JSON.stringify(cost)} }`), 'x.yaml: __proto__: no such cost'],
  [
    'below its range',
    { 'qi.wait': { ...cost, low: 0.5 } },
    'x.yaml: qi.wait: read default 0.333 outside low 0.5 .. high 1',
  ],
  [
    'above its range',
    { 'qi.wait': { ...cost, high: 0.1 } },
    'x.yaml: qi.wait: read default 0.333 outside low 0 .. high 0.1',
  ],
  ['not a number', { 'qi.wait': { ...cost, default: Number.NaN } }, 'x.yaml: qi.wait: read default NaN outside'],
  ['missing', {}, 'x.yaml: cpu.fetch is missing, expected a cost'],
];

for (const [name, entries, expected] of CASES) {
  test(`costs: ${name}`, () => expect(() => costsOf(entries, 'x.yaml')).toThrow(expected));
}
