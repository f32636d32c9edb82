import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadCosts, loadMachine, loadPolicy } from '../src/catalog/catalog.ts';
import { loadRaces } from '../src/catalog/races.ts';
import { RaceEngine } from '../src/engine/race.ts';
import { host, measure, ROOT, report } from './harness.ts';

const REPEATS = 7;

/** One worker's search of a race whose states are many enough that the search is what costs. */
console.log(`explore: all orders of a race on one worker, ${host()}`);
const module = new WebAssembly.Module(readFileSync(join(ROOT, 'build/release.wasm')));
const costs = loadCosts();
for (const [name, policy, machine] of [
  ['mremap-reclaim', 'linux-6.6', 'intel-svm'],
  ['mremap-reclaim', 'under-lock', 'amd-v2'],
  ['swap-refault', 'under-lock', 'amd-v2'],
] as const) {
  const [race] = loadRaces([join(ROOT, `traces/races/${name}.race`)]);
  const setup = {
    policy: loadPolicy(policy),
    machine: loadMachine(machine),
    costs,
    entries: 8,
  };
  const engine = (): RaceEngine => new RaceEngine(module, race!, setup);
  const found = engine().search(() => false)!;
  const measured = await measure('explore', found.steps, REPEATS, () => {
    const next = engine();
    return () => next.search(() => false);
  });
  report(
    `explore, ${name}, ${policy}`,
    'step',
    measured,
    `${(1e3 / measured.least).toFixed(2)} M steps/s`,
    `${found.states} states`,
    `${engine().stateBytes} B a state`,
  );
}
