import { expect, test } from 'vitest';
import { openBytes, PROVENANCE } from '../../testing/program.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadCosts, loadMachine, loadPolicy } from '../catalog/catalog.ts';
import { runPass } from '../jobs/pass.ts';
import type { RawRun } from '../model/result.ts';
import { generateTrace, workloadNamed } from './generate/index.ts';
import { parseSizes, type Sizes } from './generate/workload.ts';
import { codec } from './input.ts';
import { mergeTraces } from './merge.ts';
import type { Trace } from './reader.ts';
import { textOf } from './text.ts';
import { TraceWriter } from './writer.ts';

function generated(name: string, given: Partial<Record<keyof Sizes, string>>): Trace {
  const parts: Uint8Array[] = [];
  const workload = workloadNamed(name);
  generateTrace(workload, parseSizes(workload, given), 1, { write: (bytes) => parts.push(bytes.slice()) });
  return openBytes(Buffer.concat(parts));
}

function merged(...traces: Trace[]): Trace {
  const parts: Uint8Array[] = [];
  const out = new TraceWriter({ write: (bytes) => parts.push(bytes.slice()) }, codec);
  out.finish(
    mergeTraces(
      traces.map((trace, i) => ({ name: `t${i}`, trace })),
      out,
    ),
  ); // prettier-ignore
  return openBytes(Buffer.concat(parts));
}

/** Records of some agents, as text without numbers that a merge changes: `by` and the agent of events. */
function recordsOf(trace: Trace, agents: readonly number[]): string[] {
  const found: string[] = [];
  let by = -1;
  for (const line of [...textOf(trace)].join('').split('\n')) {
    const [word = '', first = '', ...rest] = line.split(' ');
    if (word === 'by') by = Number(first);
    else if (/^(fetch|read|write)\+?$/.test(word)) {
      if (agents.includes(by)) found.push(line);
    } else if (/^(mmap|munmap|mprotect|brk)$/.test(word) && agents.includes(Number(first)))
      found.push(`${word} ${[rest[0], ...rest.slice(2)].join(' ')}`);
  }
  return found;
}

test('each program keeps its records, in a space of its own', () => {
  const [jit, storm] = [
    generated('jit-mprotect', { ops: '60', pages: '64' }),
    generated('munmap-storm', { ops: '20' }),
  ];
  const both = merged(jit, storm);
  expect(both.meta.agents).toEqual([
    { name: 't0 cpu0', kind: 'cpu', space: 0 },
    { name: 't1 cpu0', kind: 'cpu', space: 1 },
  ]);
  expect(both.meta.spaces.map(({ name }) => name)).toEqual(['t0 mm', 't1 mm']);
  expect(recordsOf(both, [0])).toEqual(recordsOf(jit, [0]));
  expect(recordsOf(both, [1])).toEqual(recordsOf(storm, [0]));
  const { fetches, datas, mmOps, pages } = both.meta.counts;
  const sums = (key: 'fetches' | 'datas' | 'mmOps' | 'pages') => jit.meta.counts[key] + storm.meta.counts[key];
  expect({ fetches, datas, mmOps, pages }).toEqual({
    fetches: sums('fetches'),
    datas: sums('datas'),
    mmOps: sums('mmOps'),
    pages: sums('pages'),
  });
  expect(both.meta.inferred).toContain(`t1: ${storm.meta.inferred[0]}`);
});

test('devices of two recordings run together as they ran alone', () => {
  const [rx, nvme] = [generated('nic-rx', { ops: '120', depth: '8' }), generated('nvme', { ops: '80', pages: '6' })];
  const run = (trace: Trace): RawRun => {
    const machine = { policy: loadPolicy('strict'), machine: loadMachine('intel-vtd'), costs: loadCosts() };
    const setup = { ...machine, seed: 1, reuse: 'immediate', timeScale: 1, ideal: false } as const;
    return runPass(trace, [{ kind: 'dma', setup }], engineModule('checked'), () => false)[0] as RawRun;
  };
  const both = merged(rx, nvme);
  expect(both.meta.agents.map(({ name }) => name)).toEqual([
    't0 cpu0',
    't0 cpu1',
    'nic0',
    't1 cpu0',
    't1 cpu1',
    'nvme0',
  ]);
  const [together, first, second] = [run(both), run(rx), run(nvme)];
  for (const counter of ['N_DMA', 'N_UNMAPPED', 'N_MAPPED', 'N_WAIT'])
    expect([counter, together.counters[counter]]).toEqual([
      counter,
      first.counters[counter]! + second.counters[counter]!,
    ]);
});

test('tallies add up, and a token too large to be moved is refused', () => {
  const parts: Uint8Array[] = [];
  const out = new TraceWriter({ write: (bytes) => parts.push(bytes.slice()) }, codec);
  out.event(out.agent('cpu0', 'cpu', out.space('mm', 'mm')), 'signal', [2 ** 41]);
  out.finish(PROVENANCE);
  const odd = openBytes(Buffer.concat(parts));
  expect(() => merged(odd, odd)).toThrow('has the token 2199023255552');
  const { tally } = merged(generated('gups', { ops: '9', pages: '9' })).meta;
  expect(tally).toEqual({ lines: 0, accepted: 0, rejected: 0, ignored: 0, rules: {} });
});
