import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCosts, loadMachine, loadPolicy } from '../src/catalog/catalog.ts';
import { DmaEngine } from '../src/engine/dma.ts';
import { MachineEngine } from '../src/engine/machine.ts';
import { DEFAULT_LOOKAHEAD, parseDevice, parseMemory } from '../src/model/run.ts';
import { Follower } from '../src/trace/generate/follow.ts';
import { decoded, host, measure, ns, ROOT, shipped, show } from './harness.ts';

const REPEATS = 5;

/** One run of a machine on chunks that are decoded already: what `compare` does once for every row and every ideal. */
console.log(`machine: one run on decoded chunks, ${host()}`);
const module = new WebAssembly.Module(readFileSync(join(ROOT, 'build/release.wasm')));
const perSecond = (least: number): string => `${(1e3 / least).toFixed(2)} M/s`;

{
  const { trace } = shipped('sqlite');
  const chunks = decoded(trace);
  const { fetches, datas, pages } = trace.meta.counts;
  const base = {
    costs: loadCosts(),
    seed: 1,
    ideal: false,
    cpus: 1,
    lookahead: DEFAULT_LOOKAHEAD,
    machine: loadMachine('amd-v2'),
  };
  for (const [name, memory, device] of [
    ['all in memory, no device', 'none', 'none'],
    ['half of the memory, device', '50%', 'follow'],
  ] as const) {
    const setup = {
      ...base,
      policy: loadPolicy('range-end'),
      frames: parseMemory(memory, pages),
      device: parseDevice(device),
    };
    const { least, median } = await measure(name, fetches + datas, REPEATS, () => {
      const engine = new MachineEngine(module, setup, trace.meta);
      const follower = setup.device === null ? undefined : new Follower(setup.device, setup.seed);
      return () => {
        for (const chunk of chunks) engine.feed(chunk, follower?.posts(chunk));
        engine.finish();
      };
    });
    show(`sqlite, ${name}`, ns(least, 'access'), `median ${median.toFixed(3)}`, perSecond(least));
  }
}

{
  const { trace } = shipped('vtd-nvme-randread-strict');
  const chunks = decoded(trace);
  for (const policy of ['strict', 'lazy']) {
    const setup = {
      ...({ costs: loadCosts(), seed: 1, ideal: false, reuse: 'immediate', timeScale: 1 } as const),
      policy: loadPolicy(policy),
      machine: loadMachine('intel-vtd'),
    };
    // A triple is a map, the accesses of its device, and the unmap.
    const { least, median } = await measure(policy, trace.meta.counts.unmaps, REPEATS, () => {
      const engine = new DmaEngine(module, setup, trace.meta);
      return () => {
        for (const chunk of chunks) engine.feed(chunk);
        engine.finish();
      };
    });
    show(`NVMe, ${policy}`, ns(least, 'triple'), `median ${median.toFixed(0)}`, perSecond(least));
  }
}
