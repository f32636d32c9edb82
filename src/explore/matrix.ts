import { loadRaces } from '../catalog/races.ts';
import { DMA_DEFAULTS } from '../jobs/compare-dma.ts';
import { loadPairs, type PairRequest } from '../jobs/pairs.ts';
import type { PoolOptions } from '../jobs/pool.ts';
import { type Reply, unwrap } from '../jobs/reply.ts';
import { allCores, Threads, watch } from '../jobs/threads.ts';
import { hasSeveralDevices } from '../model/consumers.ts';
import { UsageError } from '../model/errors.ts';
import type { Exploration, RacesLeftOut, Replay } from '../model/exploration.ts';
import type { Race, RaceFamily } from '../model/race.ts';
import { engineModule } from '../trace/module.ts';
import { type Cell, replay } from './explore.ts';
import type { CellTask } from './worker.ts';

/** What races of an address space are explored under if nothing else is asked for. */
export const EXPLORE_DEFAULTS = {
  policies: ['under-lock', 'range-end', 'linux-4.14', 'linux-4.15', 'linux-6.6'],
  machines: ['amd-v2', 'intel-svm'],
} as const;

const DEFAULTS = { mm: EXPLORE_DEFAULTS, dma: DMA_DEFAULTS } as const;

/**
 * Races x machines x policies, in this order. Races of a family that nothing named is of are left out, where others are left.
 */
export function cellsOf(races: readonly Race[], request: PairRequest): Cell[] {
  const families = [...new Set(races.map(({ family }) => family))];
  const loaded = new Map<RaceFamily, ReturnType<typeof loadPairs>>();
  let refused: UsageError | undefined;
  for (const family of families) {
    try {
      loaded.set(family, loadPairs(request, DEFAULTS[family], family));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      refused ??= error;
    }
  }
  if (loaded.size === 0 && refused) throw refused;
  return races.flatMap((race) => {
    const found = loaded.get(race.family);
    if (found === undefined) return [];
    // Of all machines those with several devices are left out; one that is named is refused where it is explored.
    const all = request.machines?.includes('all') === true;
    const pairs = found.pairs.filter(({ machine }) => !(all && hasSeveralDevices(machine)));
    return pairs.map(({ policy, machine, given }) => {
      const files = {
        ...(race.file !== undefined && { race: race.file }),
        ...(given.policy !== policy.name && { policy: given.policy }),
        ...(given.machine !== machine.name && { machine: given.machine }),
      };
      return {
        race,
        policy,
        machine,
        costs: found.costs,
        ...(Object.keys(files).length > 0 && { files }),
        ...(given.settings.length > 0 && { settings: given.settings }),
      };
    });
  });
}

/** Races of a family that nothing named is of. */
export function racesLeftOut(races: readonly (string | Race)[], request: PairRequest = {}): RacesLeftOut[] {
  const loaded = loadRaces(races);
  const explored = new Set(cellsOf(loaded, request).map(({ race }) => race));
  const left = loaded.filter((race) => !explored.has(race));
  return [...new Set(left.map(({ family }) => family))].map((family) => ({
    family,
    races: left.filter((race) => race.family === family).map(({ name }) => name),
  }));
}

/** Explores races, each a name, a file, a folder or what `parseRace` makes of a text, under policies and on machines. */
export async function exploreRaces(
  races: readonly (string | Race)[],
  request: PairRequest = {},
  options: PoolOptions = {},
): Promise<Exploration[]> {
  return exploreAll(cellsOf(loadRaces(races), request), options);
}

/** Runs one schedule of what must be one race, policy and machine, and tells each step. */
export function replayRace(races: readonly (string | Race)[], request: PairRequest, schedule: string): Replay {
  const cells = cellsOf(loadRaces(races), request);
  if (cells.length !== 1)
    throw new UsageError(`--replay is of one race, policy and machine; these are ${cells.length}`);
  return replay(cells[0]!, schedule, engineModule());
}

/** Explores cells on worker threads; results come back in the order of the cells whatever the number of workers. */
export async function exploreAll(cells: readonly Cell[], options: PoolOptions = {}): Promise<Exploration[]> {
  const workers = Math.max(1, Math.min(options.workers ?? allCores(), cells.length));
  const shared = new SharedArrayBuffer(8);
  const threads = new Threads(new URL('./worker.js', import.meta.url), workers);
  let done = 0;
  const exploreOne = async (cell: Cell): Promise<Exploration> => {
    const reply = await threads.run<CellTask, Reply<Exploration>>({ cell, shared });
    options.onProgress?.(++done / cells.length, cells.length);
    return unwrap(reply);
  };
  try {
    const { signal } = options;
    return await watch([shared], cells.length, { signal }, () => Promise.all(cells.map(exploreOne)));
  } finally {
    await threads.end();
  }
}
