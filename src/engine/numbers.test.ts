import { expect, test } from 'vitest';
import { engineModule } from '../../testing/wasm.ts';
import { MAX_CONSUMERS } from '../model/consumers.ts';
import { HAZARDS } from '../model/hazard.ts';
import { CHUNK_RECORDS } from '../model/limits.ts';
import { constant, instantiate } from './load.ts';

/** Constants that the engine exports, by their names. */
const numbers = new Map(
  Object.entries(instantiate<Record<string, unknown>>(engineModule('checked')).exports)
    .filter(([, value]) => value instanceof WebAssembly.Global)
    .map(([name, value]) => [name, constant(value)]),
);
const family = (prefix: string): [string, number][] => [...numbers].filter(([name]) => name.startsWith(prefix));

// What a name stands for takes more than one place: sets and ways of a cache (unless these have a name), fields of the IOVA allocator and of a flush queue,
// a counter per occasion.
const WIDTHS: Readonly<Record<string, number>> = {
  SET_IOVA: 4,
  SET_QUEUE: 3,
  ...Object.fromEntries(
    ['COUNT', 'PAGES', 'SECONDARY', 'PS'].map((what) => [`N_PATH_${what}`, numbers.get('OCCASIONS')!]),
  ),
};
const waysOf = (name: string): string => name.replace(/^(SET_.*)_SETS$/, '$1_WAYS');
const widthOf = (name: string): number => WIDTHS[name] ?? (waysOf(name) !== name && !numbers.has(waysOf(name)) ? 2 : 1);

// family, how many places there are
test.each([
  ['SET_', 'SETTINGS'],
  ['COST_', 'COSTS'],
  ['CAUSE_', 'CAUSES'],
  ['N_', 'COUNTERS'],
])('%s*: no two names share a place, and no place is left over', (prefix, count) => {
  const owners = new Map<number, string>();
  for (const [name, first] of family(prefix)) {
    for (let at = first; at < first + widthOf(name); at++) {
      expect(owners.get(at), `${at}: ${name}`).toBeUndefined();
      owners.set(at, name);
    }
  }
  const all = Array.from({ length: numbers.get(count)! }, (_, at) => at);
  expect(all.filter((at) => !owners.has(at))).toEqual([]);
  expect(owners.size).toBe(all.length);
});

test.each(['STEP_', 'ACT_', 'EVENT_', 'COMMAND_', 'KIND_', 'AT_', 'ERROR_', 'DESC_', 'FIELD_'])(
  '%s*: numbers differ',
  (prefix) => {
    // Sizes, other words that begin so, and states of the log are no members.
    const others = ['ACT_WORDS', 'EVENT_WORDS', 'KIND_BITS', 'AT_CPU', 'AT_VTD', 'AT_AMD'];
    const log = ['FETCHED', 'SENT', 'ARRIVES', 'DONE', 'QUEUED', 'REFUSED'].map((state) => `COMMAND_${state}`);
    const members = family(prefix).filter(([name]) => !others.includes(name) && !log.includes(name));
    expect(members.length).toBeGreaterThan(3);
    expect(new Set(members.map(([, number]) => number)).size).toBe(members.length);
  },
);

test('limits that the host knows as well are the same', () => {
  const limits = { CHUNK_RECORDS, MAX_CONSUMERS };
  expect(Object.fromEntries(Object.keys(limits).map((name) => [name, numbers.get(name)]))).toEqual(limits);
});

test('each hazard of the engine is a bit of its own, with a name', () => {
  const bits = family('HAZARD_');
  expect(bits.map(([, bit]) => bit).sort((a, b) => a - b)).toEqual(bits.map((_, i) => 2 ** i));
  const names = bits.map(([name]) => name.slice('HAZARD_'.length).toLowerCase().replaceAll('_', '-'));
  expect(names.filter((name) => !Object.hasOwn(HAZARDS, name))).toEqual([]);
});
