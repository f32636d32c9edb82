import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCosts, loadMachine, loadPolicy } from '../src/catalog/catalog.ts';
import { DmaEngine } from '../src/engine/dma.ts';
import { DmaRecords } from '../src/engine/dma-records.ts';
import { MachineEngine } from '../src/engine/machine.ts';
import { DEFAULT_LOOKAHEAD, parseDevice, parseMemory } from '../src/model/run.ts';
import { Follower } from '../src/trace/generate/follow.ts';
import { decoded, host, measure, ns, ROOT, rates, report, show } from './harness.ts';
import { Native } from './native/native.ts';
import { generated, shipped } from './traces.ts';

const REPEATS = 7;

/** One run of a machine on chunks that are decoded already: what `compare` does once for every row and every ideal. */
console.log(`machine: one run on decoded chunks, ${host()}`);
const module = new WebAssembly.Module(readFileSync(join(ROOT, 'build/release.wasm')));

const sqlite = shipped('sqlite').trace;
const gups = generated('gups', { ops: '2000000' }).trace;
for (const [name, trace, cpus, memory, device] of [
  ['sqlite, all in memory, no device', sqlite, 1, 'none', 'none'],
  ['sqlite, half of the memory, device', sqlite, 1, '50%', 'follow'],
  ['the same, 4 CPUs', sqlite, 4, '50%', 'follow'],
  ['gups, all in memory, device', gups, 1, 'none', 'follow'],
] as const) {
  const chunks = decoded(trace);
  const { fetches, datas, pages, records } = trace.meta.counts;
  const setup = {
    ...{ costs: loadCosts(), seed: 1, ideal: false, lookahead: DEFAULT_LOOKAHEAD, cpus },
    machine: loadMachine('amd-v2'),
    policy: loadPolicy('range-end'),
    frames: parseMemory(memory, pages),
    device: parseDevice(device),
  };
  const measured = await measure(name, fetches + datas, REPEATS, () => {
    const engine = new MachineEngine(module, setup, trace.meta);
    const follower = setup.device === null ? undefined : new Follower(setup.device, setup.seed);
    return () => {
      for (const chunk of chunks) engine.feed(chunk, follower?.posts(chunk));
      engine.finish();
    };
  });
  report(`machine, ${name}`, 'access', measured, ...rates(measured, 'accesses', fetches + datas, records));
}

const native = Native.compile();
if (native !== undefined) {
  const theirs = native.run(sqlite, 'split', false, REPEATS);
  show('  native TLB loop, sqlite', ns(theirs.ns, 'access'));
  native.remove();
}

for (const [name, trace] of [
  ['gen nic-rx', generated('nic-rx', { ops: '50000' }).trace],
  ['NVMe', shipped('vtd-nvme-randread-strict').trace],
  ['gen nic-tx', generated('nic-tx', { ops: '20000' }).trace],
] as const) {
  // The runs of a pass share the records.
  const records = new DmaRecords(trace.meta, 1);
  for (const chunk of trace.chunks()) records.feed(chunk);
  const { unmaps, dma, records: all } = trace.meta.counts;
  for (const policy of ['strict', 'lazy']) {
    const setup = {
      ...({ costs: loadCosts(), seed: 1, ideal: false, reuse: 'immediate', timeScale: 1 } as const),
      policy: loadPolicy(policy),
      machine: loadMachine('intel-vtd'),
    };
    // A triple is a map, the accesses of its device, and the unmap.
    const measured = await measure(policy, unmaps, REPEATS, () => {
      const engine = new DmaEngine(module, setup, trace.meta, undefined, records);
      return () => void engine.finish();
    });
    const accesses = `${(dma / unmaps).toFixed(1)} accesses each`;
    report(`machine, ${name}, ${policy}`, 'triple', measured, ...rates(measured, 'triples', unmaps, all), accesses);
  }
}
