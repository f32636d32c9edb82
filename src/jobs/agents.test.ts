import { expect, test } from 'vitest';
import { COSTS } from '../../testing/machine.ts';
import { engineModule } from '../../testing/wasm.ts';
import { loadMachine, loadPolicy, withSetting } from '../catalog/catalog.ts';
import { DmaEngine } from '../engine/dma.ts';
import { MachineEngine } from '../engine/machine.ts';
import { DEFAULT_LOOKAHEAD } from '../model/run.ts';
import { recordingAgents, spaceAgents } from './agents.ts';
import { locateTrace } from './locate.ts';
import { traceOfActs } from './probe.ts';

const MODULE = engineModule('release');

/** Machines, their settings, and of the hardware the first device and the agent behind its last place in flight. */
const SPACES: [string, string[], string[]][] = [
  ['amd-v2', [], ['dev0']],
  ['intel-svm', ['device.outstanding=3', 'device.pri_requests=2'], ['dev0', 'page requests']],
  ['amd-v2', ['device.pri_requests=2', 'driver.prq_workers=2'], ['dev0', 'page requests', 'worker 0', 'worker 1']],
  ['intel-sva-kvm', ['device.outstanding=2'], ['dev0', 'iommu of kvm']],
  ['intel-sva-2dev', ['device.outstanding=2'], ['dev0', 'dev1', 'dev1']],
  [
    'intel-sva-kvm',
    ['device.pri_requests=2', 'driver.prq_workers=1'],
    ['dev0', 'page requests', 'worker 0', 'iommu of kvm'],
  ],
];

test.each(SPACES)('each of the agents of an address space has a name: %s %s', (name, settings, behind) => {
  const machine = settings.reduce((one, setting) => withSetting(one, `machine.${setting}`), loadMachine(name));
  const { meta } = traceOfActs([{ access: 'write', vpn: 1 }], 2);
  const setup = { policy: loadPolicy('range-end'), machine, costs: COSTS, seed: 1, frames: null, device: null };
  const engine = new MachineEngine(MODULE, { ...setup, ideal: false, cpus: 2, lookahead: DEFAULT_LOOKAHEAD }, meta);
  const agents = spaceAgents(meta, machine, 2);
  const { exports } = (engine as unknown as { instance: { exports: { agents(): number } } }).instance;
  expect(agents).toHaveLength(exports.agents());
  const flight = agents.findLastIndex(({ name, kind }) => kind === 'access' && name === 'dev0');
  expect(agents.slice(flight, flight + behind.length).map(({ name }) => name)).toEqual(behind);
  expect(agents.slice(0, 5).map(({ name }) => name)).toEqual([
    ...meta.agents.map(({ name }) => name),
    'kswapd',
    'iommu',
    'link',
  ]);
});

test('what breaks a property of a recording is named', async () => {
  const trace = await locateTrace('vtd-edu-stale-lazy-icount');
  const machine = loadMachine('intel-vtd');
  const setup = {
    policy: loadPolicy('lazy'),
    machine,
    costs: COSTS,
    seed: 1,
    reuse: 'immediate',
    timeScale: 1,
  } as const;
  const engine = new DmaEngine(MODULE, { ...setup, ideal: false }, trace.meta);
  trace.open(({ chunks }) => {
    for (const chunk of chunks()) engine.feed(chunk);
  });
  const { first } = engine.finish();
  expect(recordingAgents(trace.meta, machine)[first!.agent]).toEqual({ name: '00:06.0', kind: 'access' });
});
