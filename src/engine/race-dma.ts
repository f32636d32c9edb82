/** The machine of a race of the DMA API: that of a recording, in any order of its steps, with a small allocator and small queues. */
import { type DmaSetup, drained } from '../model/dma.ts';
import type { Machine } from '../model/machine.ts';
import type { Policy } from '../model/policy.ts';
import type { Race, RaceAction } from '../model/race.ts';
import { type CacheShape, NO_CACHE } from '../model/tlb.ts';
import { NO_COUNTS, NO_TALLY, PROT, type TraceEvent } from '../model/trace.ts';
import { DmaRecords, type RecordExports } from './dma-records.ts';
import type { Numbers } from './encode.ts';
import { encodeDmaSettings } from './encode-dma.ts';
import type { Instance } from './load.ts';
import type { RaceSetup } from './race.ts';
import { encodeRecipes } from './recipes.ts';

/** What the module exports for such a race. */
export interface DmaRaceExports extends RecordExports {
  raceInit(): void;
  configAt(): number;
  recipesAt(): number;
  dmaPage(page: number): number;
}

/** Page numbers 1 .. that are handed out, and what the allocator and the flush queue keep. */
const IOVA = { limitPfn: 15, magazine: 2, depot: 1, sizes: 1 } as const;
const QUEUE = 4;

/** Names of pages by page id: a domain's IOVAs from the highest down. */
export function iovaNames(): string[] {
  return Array.from({ length: IOVA.limitPfn }, (_, i) => `iova ${(IOVA.limitPfn - i).toString(16)}`);
}

/** Lays the machine out, and gives it the race as a recording of a few calls. */
export function layOutDmaRace(
  { exports, memory }: Instance<DmaRaceExports>,
  numbers: Numbers,
  race: Race,
  { policy: given, machine, costs, entries, whole = false }: RaceSetup,
): void {
  const policy = withQueue(given);
  const setup: DmaSetup = {
    policy,
    machine: small(machine, entries),
    costs,
    seed: 1,
    reuse: 'immediate',
    timeScale: 1,
    ideal: false,
  };
  const records = recordsOf(race);
  const row = encodeDmaSettings(setup, records.sizes(), numbers);
  row[numbers('SET_PAGES')] = IOVA.limitPfn + race.pages.length;
  for (const name of ['SET_CONTEXT_READS', 'SET_PASID_READS']) row[numbers(name)] = 0;
  row[numbers('SET_STEPWISE')] = 1;
  row[numbers('SET_WHOLE')] = whole ? 1 : 0;
  row[numbers('SET_SPLIT_WALKS')] = race.splitWalks ? 1 : 0;
  // Races are too short for a device that loses one in eight.
  if (row[numbers('SET_LOSES')]! > 0) row[numbers('SET_LOSES')] = 2;
  // The timer runs out when it comes to its turn.
  if (policy.dma!.unmap === 'lazy') row.splice(numbers('SET_QUEUE') + 1, 2, 0, 1);
  const config = new Float64Array(memory.buffer, exports.configAt(), numbers('CONFIG_WORDS'));
  config.fill(0);
  config.set(row);
  exports.raceInit();
  const words = numbers('RECIPE_WORDS');
  const recipes = new Uint32Array(memory.buffer, exports.recipesAt(), numbers('RECIPES') * words);
  encodeRecipes(drained(setup), machine.device.ats, numbers).forEach((commands, i) => {
    recipes.set(commands, i * words);
  });
  records.write(memory, exports, numbers);
}

function small(machine: Machine, entries: number): Machine {
  const cache: CacheShape = { sets: 1, ways: entries, replacement: 'lru' };
  const walkCache = { pml4e: NO_CACHE, pdpte: NO_CACHE, pde: { ...cache, ways: 1 } };
  return {
    ...machine,
    iommu: {
      ...machine.iommu,
      iotlb: cache,
      iotlbLarge: 'shared',
      iotlbHuge: 'shared',
      walkCache,
      walkers: 1,
      ring: 8,
    },
    device: { ...machine.device, deviceTlb: cache, outstanding: 1 },
    iova: IOVA,
  };
}

function withQueue(policy: Policy): Policy {
  const { dma } = policy;
  return dma?.unmap === 'lazy' ? { ...policy, dma: { ...dma, queueSize: QUEUE } } : policy;
}

/** The calls and accesses of all agents, each buffer's map before what else is done with it. */
function recordsOf(race: Race): DmaRecords {
  const agents = race.agents.map(
    ({ name, kind }) => ({ name, kind: kind === 'dev' ? 'device' : 'cpu', space: 0 }) as const,
  );
  const records = new DmaRecords(
    {
      format: 1,
      source: { format: 'race', file: race.name },
      agents,
      spaces: [{ name: 'domain', kind: 'domain' }],
      counts: { ...NO_COUNTS, instances: race.pages.length },
      tally: NO_TALLY,
      interleaved: false,
      inferred: [],
    },
    1,
  );
  const left = race.agents.map(({ actions }) => [...actions]);
  const mapped = new Set<number>();
  // Every buffer is mapped somewhere; columns that wait for each other's maps are taken as they come.
  for (let force = false; left.some((actions) => actions.length > 0); ) {
    const agent = left.findIndex(([next]) => next && (force || next.word === 'map' || mapped.has(next.pages[0]!)));
    force = agent < 0;
    if (force) continue;
    const action = left[agent]!.shift()!;
    if (action.word === 'map') mapped.add(action.pages[0]!);
    records.add(eventOf(agent, action));
  }
  return records;
}

function eventOf(agent: number, { word, pages }: RaceAction): TraceEvent {
  const id = pages[0]!;
  const event = (op: TraceEvent['op'], ...fields: number[]): TraceEvent => ({ op, agent, gap: 0, fields });
  if (word === 'map') return event('map', 0, id, 1, 1 + id, PROT.read | PROT.write, 0, 0);
  if (word === 'unmap') return event('unmap', 0, id, 1, 0);
  return event('dma', id, 0, 0, word === 'write' ? 1 : 0, 0);
}
