import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { asUser, ROOT } from '../testing/cli.ts';
import * as browser from './browser.ts';
import {
  compare,
  Interrupted,
  loadMachine,
  loadPolicy,
  openTrace,
  type PolicySpec,
  resultOf,
  UsageError,
} from './index.ts';
import { machineSpec } from './model/machine.ts';

/** A trace of a thousand records: replayed without worker threads. */
const SMALL = 'vtd-edu-stale-lazy-icount';

/** Notes whatever our own files do to the process that a library must not, and every word on its streams. */
const WATCH = `
const touched = [];
const ours = () => /^(?!.*node_modules).*[\\/]dist[\\/]/.test(new Error().stack.split('\\n')[3] ?? '');
for (const name of ['exit', 'abort', 'kill', 'on', 'once', 'addListener', 'prependListener', 'chdir']) {
  const real = process[name];
  process[name] = function (...args) {
    if (!/on|Listener/.test(name) || /^SIG/.test(args[0])) touched.push(name + ' ' + args[0]);
    return real.apply(this, args);
  };
}
const write = process.stdout.write.bind(process.stdout);
for (const stream of ['stdout', 'stderr']) process[stream].write = (text) => touched.push(stream + ' ' + text);
const { env } = process;
Object.defineProperty(process, 'env', {
  value: new Proxy(env, { get: (target, key) => (ours() && touched.push('env ' + String(key)), target[key]) }),
});
`;

test('the library leaves the process alone, reports progress, and stops when it is told to', async () => {
  const printed = await asUser(`${WATCH}
    const { compare, countTlb, explore, importFile, Interrupted, openTrace, parseSizes, profileTrace, generateFile, tlbConfigOf, verifyTrace, workloadNamed } = await import('iommulator');
    const shares = {};
    const watched = (name) => ({ onProgress: (share) => (shares[name] ??= []).push(share) });
    const trace = await openTrace('sqlite');
    const pair = { policies: ['under-lock', 'range-end'], machines: ['amd-v2'] };
    const { results } = await compare(trace, pair, watched('compare'));
    await countTlb(trace, tlbConfigOf({ l1: '8x2' }), watched('countTlb'));
    const race = { policies: ['under-lock'], machines: ['amd-v2'] };
    const [found] = await explore(['munmap-reuse'], race, watched('explore'));
    const small = await openTrace('${SMALL}');
    await verifyTrace(small, watched('verifyTrace'));
    await profileTrace(trace, watched('profileTrace'));
    await importFile(${JSON.stringify(join(ROOT, 'traces/samples/qemu/vtd-strict.txt'))}, 'guest.trace', {}, watched('importFile'));

    const stopped = {};
    const stop = new AbortController();
    const late = { signal: stop.signal, onProgress: () => stop.abort() };
    const now = { signal: AbortSignal.abort() };
    for (const [name, work] of Object.entries({
      'compare, on the way': () => compare(trace, pair, late),
      compare: () => compare(small, {}, now),
      countTlb: () => countTlb(trace, tlbConfigOf(), now),
      explore: () => explore(['all'], {}, now),
      verifyTrace: () => verifyTrace(small, now),
      profileTrace: () => profileTrace(trace, late),
      generateFile: () => generateFile(workloadNamed('gups'), parseSizes(workloadNamed('gups'), { ops: '9999999' }), 1, 'g.trace', now),
      openTrace: () => openTrace(${JSON.stringify(join(ROOT, 'traces/samples/lackey/plain.lk'))}, now),
    })) stopped[name] = await work().then(() => 'finished', (error) => error instanceof Interrupted);
    trace.close();
    write(JSON.stringify({ touched, shares, stopped, verdicts: [...results.map((run) => run.safety.verdict), found.verdict] }));
  `);
  const { touched, shares, stopped, verdicts } = JSON.parse(printed);
  expect(touched).toEqual([]);
  expect(verdicts).toEqual(['safe', 'exposed', 'holds']);
  expect(Object.keys(shares).sort()).toEqual([
    'compare',
    'countTlb',
    'explore',
    'importFile',
    'profileTrace',
    'verifyTrace',
  ]);
  for (const [name, told] of Object.entries(shares) as [string, number[]][]) {
    expect({ name, told: told.filter((share) => !(share >= 0 && share <= 1.001)) }).toEqual({ name, told: [] });
    expect({ name, told }).toEqual({ name, told: told.toSorted((a, b) => a - b) });
  }
  expect(new Set(Object.values(stopped))).toEqual(new Set([true]));
});

describe('policies, machines and costs as objects', () => {
  const mine: PolicySpec = { name: 'mine', title: 'as lazy', source: 'a test', extends: 'lazy' };

  test('count as the files that they are in the form of', async () => {
    const trace = await openTrace(SMALL);
    const machine = { ...machineSpec(loadMachine('intel-vtd')), name: 'my-vtd' };
    const objects = await compare(trace, { policies: [mine], machines: [machine], costs: {} });
    const files = await compare(trace, { policies: ['lazy'], machines: ['intel-vtd'] });
    const [one, other] = [objects.results[0]!, files.results[0]!];
    expect(one.repro).toBe(other.repro.replace('lazy ', 'mine ').replace('intel-vtd', 'my-vtd'));
    expect({ ...one, policy: '', machine: '', repro: '' }).toEqual({ ...other, policy: '', machine: '', repro: '' });
  });

  test.each<[string, () => unknown, RegExp]>([
    ['a misspelt field', () => loadPolicy({ ...mine, extend: 'x' } as never), /^policy mine: extend: no such field/],
    ['no name', () => loadPolicy({} as never), /^policy without a name: name is missing/],
    ['a bad step', () => loadPolicy({ ...mine, mm: { paths: { cow: 'LK FROB' } } }), /^policy mine: mm\.paths\.cow: /],
    ['extends nothing known', () => loadPolicy({ ...mine, extends: 'lasy' }), /^no policy "lasy".*lazy/],
    ['no machine', () => loadMachine({ name: 'x' }), /^machine x: /],
  ])('%s is refused by the name of the object', (_, load, message) => {
    expect(load).toThrow(UsageError);
    expect(load).toThrow(message);
  });

  test('the same name twice, and a seed that is none', async () => {
    const trace = await openTrace(SMALL);
    await expect(compare(trace, { policies: ['lazy', { ...mine, name: 'lazy' }] })).rejects.toThrow(
      'lazy is given twice',
    );
    const lazy = join(ROOT, 'src/catalog/policies/lazy.yaml');
    await expect(compare(trace, { policies: ['lazy', lazy] })).rejects.toThrow(
      `lazy and ${lazy} are both named "lazy", expected a name of its own for each`,
    );
    await expect(compare(trace, { seed: 1.5 })).rejects.toThrow('seed is "1.5", expected a whole number');
  });
});

describe('where there are neither files nor threads', () => {
  const engine = new WebAssembly.Module(readFileSync(join(ROOT, 'build/release.wasm')));
  const inMemory = (name: string) => {
    const bytes = new Uint8Array(readFileSync(join(ROOT, `traces/${name}.trace`)));
    return browser.openTrace(bytes, { file: `${name}.trace`, name, decompress: (part) => brotliDecompressSync(part) });
  };

  test('the result is the same', async () => {
    const request = { policies: ['strict', 'lazy'], machines: ['intel-vtd'] };
    const [trace, file] = [await inMemory(SMALL), await openTrace(SMALL)];
    const result = browser.resultOf(trace, await browser.compare(trace, request, { engine }));
    expect(JSON.stringify(result)).toBe(JSON.stringify(resultOf(file, await compare(file, request))));
  });

  test('a decoder that gives less, or nothing, is an error of the trace', async () => {
    const bytes = new Uint8Array(readFileSync(join(ROOT, `traces/${SMALL}.trace`)));
    for (const part of [() => new Uint8Array(3), () => null as never])
      await expect(browser.openTrace(bytes, { file: 't', decompress: part })).rejects.toThrow(
        /^t: .*cannot be decompressed: expands to (3|no) bytes, expected \d+$/,
      );
  });

  test('it stops where it is told to', async () => {
    const request = { policies: ['under-lock'], machines: ['amd-v2'], seed: 2 };
    const stop = new AbortController();
    const shares: number[] = [];
    const onProgress = (share: number) => shares.push(share) === 2 && stop.abort();
    const work = browser.compare(await inMemory('sqlite'), request, { engine, signal: stop.signal, onProgress });
    await expect(work).rejects.toThrow(Interrupted);
    expect(shares).toHaveLength(2);
  });
});
