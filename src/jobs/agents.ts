/** The engine's agents of a run, by its numbers: what a result names, and what a timeline draws. */
import { consumersOf } from '../model/consumers.ts';
import { hasPri, type Machine } from '../model/machine.ts';
import type { AgentKind, TimelineAgent } from '../model/timeline.ts';
import { programCpus, type TraceMeta } from '../model/trace.ts';

const one = (name: string, kind: AgentKind): TimelineAgent => ({ name, kind });
const all = (names: readonly string[], kind: AgentKind): TimelineAgent[] => names.map((name) => one(name, kind));
const flights = (device: string, outstanding: number): TimelineAgent[] =>
  Array.from({ length: outstanding }, () => one(device, 'access'));

const handlers = (of: string, workers: number): TimelineAgent[] => [
  one(`page requests${of}`, 'cpu'),
  ...Array.from({ length: workers }, (_, i) => one(`worker ${i}${of}`, 'cpu')),
];

/** Names of the CPUs that run a program: those of the trace, if there are as many. */
function cpuNames(meta: TraceMeta, cpus: number): string[] {
  const recorded = programCpus(meta);
  return recorded.length === cpus ? recorded : Array.from({ length: cpus }, (_, i) => `cpu${i}`);
}

/** Of an address space; in the order of assembly/engine.ts, of a scheduled trace that of assembly/race.ts. */
export function spaceAgents(meta: TraceMeta, machine: Machine, cpus: number): TimelineAgent[] {
  const kernel = one('kswapd', 'cpu');
  if (meta.schedule !== undefined) {
    const device = [one('dev0', 'device'), one('iommu', 'iommu'), one('link', 'link'), ...flights('dev0', 1)];
    // The handler is there where a device asks in advance.
    return [...all(programCpus(meta), 'cpu'), kernel, ...device, one('page requests', 'cpu')];
  }
  let numbered = 0;
  const hardware = consumersOf(machine).flatMap((consumer, i) => {
    const { name, device, driver } = consumer;
    const of = i === 0 ? '' : ` of ${name}`;
    const devices = Array.from({ length: device.count }, () => `dev${numbered++}`);
    return [
      one(`iommu${of}`, 'iommu'),
      one(`link${of}`, 'link'),
      ...all(devices, 'device'),
      ...devices.flatMap((name) => flights(name, device.outstanding)),
      ...(hasPri(consumer) ? handlers(of, driver.prqWorkers) : []),
    ];
  });
  return [...all(cpuNames(meta, cpus), 'cpu'), kernel, ...hardware];
}

/** Of a recording of the DMA API; in the order of assembly/replay.ts. */
export function recordingAgents({ agents, spaces }: TraceMeta, { device }: Machine): TimelineAgent[] {
  const namesOf = (which: 'cpu' | 'device'): string[] =>
    agents.filter(({ kind }) => kind === which).map(({ name }) => name);
  const devices = namesOf('device');
  return [
    ...all(namesOf('cpu'), 'cpu'),
    one('iommu', 'iommu'),
    one('link', 'link'),
    ...spaces.map(({ name }) => one(`flush timer of ${name}`, 'timer')),
    ...all(devices, 'device'),
    ...devices.flatMap((name) => flights(name, device.outstanding)),
  ];
}
