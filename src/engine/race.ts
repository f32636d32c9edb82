import type { Costs } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import type { LogEvent } from '../model/log.ts';
import { consumerOf, type Machine } from '../model/machine.ts';
import type { Policy } from '../model/policy.ts';
import {
  queuesRequests,
  RACE_PROPERTIES,
  type Race,
  type RaceAction,
  type RaceProperty,
  SECOND_PROCESS,
} from '../model/race.ts';
import type { RawRun } from '../model/result.ts';
import { type CacheShape, NO_CACHE } from '../model/tlb.ts';
import { encodeCosts, encodePolicy, encodeSettings, type Numbers, numbersOf } from './encode.ts';
import { encodeAction } from './encode-race.ts';
import { type Instance, instantiate } from './load.ts';
import { EngineLog, type LogExports, type LogSelection } from './log.ts';
import { type DmaRaceExports, layOutDmaRace } from './race-dma.ts';
import { countedOfSpace, type RunExports, readRun } from './raw.ts';
import { encodeRecipes } from './recipes.ts';

interface RaceExports extends LogExports, RunExports, DmaRaceExports {
  raceInit(): void;
  configAt(): number;
  listsAt(): number;
  recipesAt(): number;
  scriptsAt(): number;
  watchedAt(): number;
  scheduleAt(): number;
  definePage(vpnLow: number, vpnHigh: number, table: number, kind: number): void;
  defineTable(keyLow: number, keyHigh: number): void;
  raceAgents(): number;
  raceScripts(): void;
  raceEnabled(): number;
  raceStep(agent: number): void;
  raceTurn(agent: number): void;
  raceNext(): number;
  raceOver(): number;
  racePrice(): void;
  raceElapsed(): number;
  raceRun(): number;
  searchInit(slotsLg2: number, longest: number): void;
  searchStart(collects: number): void;
  countersGrown(): number;
  search(turns: number): number;
  scheduleSteps(): number;
  statesSeen(): number;
  stepsTaken(): number;
  stateAt(): number;
  stateBytes(): number;
}

/** What decides a search, besides the race. */
export interface RaceSetup {
  readonly policy: Policy;
  readonly machine: Machine;
  readonly costs: Costs;
  /** Entries of each TLB: small ones evict, larger ones keep. */
  readonly entries: number;
  /** For tests: all states, those too that make no difference to what can be reached. */
  readonly whole?: boolean;
  /** In virtual time, as far as it goes: steps have the costs. What comes before the race is free. */
  readonly priced?: boolean;
  /** See `RunSetup`. */
  readonly ideal?: boolean;
}

/** What a search has found. */
export interface Found {
  readonly verdict: 'holds' | 'broken' | 'bounded' | 'stuck';
  readonly states: number;
  readonly steps: number;
  /** Agents in the order of their steps: where a property broke, or where nobody could go on. */
  readonly schedule: readonly number[];
}

/** log2 of the states that are kept, a quarter of them free, and steps of the longest schedule. */
const SLOTS_LG2 = 21;
const LONGEST = 1000;
/** Beyond these a search says `bounded`. */
export const SEARCH_BOUNDS = { states: (2 ** SLOTS_LG2 / 4) * 3, steps: LONGEST } as const;
/** Events of one step of a schedule, at most. */
const LOG_ROOM = 256;
/** Steps between two looks at whether to stop. */
const TURNS = 1 << 20;

const COUNTERS: Readonly<Record<RaceProperty, readonly string[]>> = {
  S1: ['N_S1_READ', 'N_S1_WRITE'],
  S2: ['N_S2'],
  S2x: ['N_S2X'],
  S3: ['N_S3'],
  S4: ['N_S4'],
  S5: ['N_S5'],
  S6: ['N_S6'],
  stale: ['N_STALE'],
  exposed: ['N_EXPOSED'],
  denied: ['N_DEVICE_FAULTS'],
  late: ['N_CPU_LATE'],
};
/** The thread that handles page requests, and a device's access where the device does not wait for it. */
export const HANDLER = 'prq';
export const FLIGHT = 'access';
const KINDS = {
  anonymous: 'KIND_ANON',
  file: 'KIND_FILE',
  shared: 'KIND_SHARED',
  hugetlb: 'KIND_POOL',
  huge: 'KIND_HUGE',
  buffer: 'KIND_ANON',
} as const;

/** A race on a machine under a policy: the engine, one step at a time. */
export class RaceEngine {
  private readonly instance: Instance<RaceExports>;
  private readonly numbers: Numbers;
  private readonly cpus: number;
  /** Whether page requests have a queue. */
  readonly queues: boolean;
  private readonly events: EngineLog;

  constructor(
    module: WebAssembly.Module,
    readonly race: Race,
    setup: RaceSetup,
  ) {
    const { name, also, device } = setup.machine;
    if (also !== undefined)
      throw new UsageError(`machine ${name} has ${also.length + 1} consumers, expected one: races are of one consumer`);
    if (device.count > 1)
      throw new UsageError(`machine ${name} has ${device.count} devices, expected one: races are of one device`);
    this.instance = instantiate<RaceExports>(module);
    const { exports } = this.instance;
    this.numbers = numbersOf(exports);
    this.events = new EngineLog(this.instance, this.numbers);
    this.cpus = race.agents.filter(({ kind }) => kind === 'cpu').length;
    const { machine } = setup;
    this.queues = queuesRequests(race) && machine.device.ats && consumerOf(machine).table === 'shared';
    if (race.family === 'dma') {
      layOutDmaRace(this.instance, this.numbers, race, setup);
      return;
    }
    const config = new Float64Array(this.memory, exports.configAt(), this.numbers('CONFIG_WORDS'));
    config.fill(0);
    config.set(this.settings(setup));
    exports.raceInit();
    this.writeLists(setup);
    this.definePages();
    this.runStart();
    if (setup.priced) {
      const costs = new Float64Array(this.memory, exports.configAt(), this.numbers('CONFIG_WORDS'));
      costs.set(encodeCosts(setup.costs, setup.machine, this.numbers), this.numbers('CONFIG_COSTS'));
      exports.racePrice();
    }
    this.writeScripts(race.agents.map(({ actions }) => actions));
    exports.raceScripts();
  }

  private get memory(): ArrayBuffer {
    return this.instance.memory.buffer;
  }

  /** Bytes of one state. */
  get stateBytes(): number {
    return this.instance.exports.stateBytes();
  }

  /** Number of the engine's agent for a column of the race. */
  agentOf(column: number): number {
    const { kind, name } = this.race.agents[column]!;
    return kind === 'cpu' ? Number(name.slice(3)) : this.cpus + (kind === 'kswapd' ? 0 : 1);
  }

  /** Name of one of the engine's agents. An access in flight is the device's, where that waits for it. */
  nameOf(agent: number): string {
    if (agent < this.cpus) return `cpu${agent}`;
    if (this.race.family === 'dma') return ['iommu', 'link', 'timer', 'dev0'][agent - this.cpus] ?? 'access';
    const flight = this.queues ? FLIGHT : 'dev0';
    return ['kswapd', 'dev0', 'iommu', 'link', flight, HANDLER][agent - this.cpus] ?? 'dev0';
  }

  /** Names of those that can take a step. */
  enabled(): string[] {
    const mask = this.instance.exports.raceEnabled();
    const ids = Array.from({ length: this.instance.exports.raceAgents() }, (_, id) => id);
    return [...new Set(ids.filter((id) => ((mask >>> id) & 1) === 1).map((id) => this.nameOf(id)))];
  }

  /** Turns the event log on. */
  log(): void {
    this.events.open(LOG_ROOM);
  }

  /** Lets an agent take one step; what happened, or null if it cannot. */
  step(name: string): LogEvent[] | null {
    const id = this.ableOf(name);
    if (id === undefined) return null;
    this.instance.exports.raceStep(id);
    return this.events.take().events;
  }

  /** The engine's agent of that name that can take a step. */
  private ableOf(name: string): number | undefined {
    const { exports } = this.instance;
    const mask = exports.raceEnabled();
    for (let id = 0; id < exports.raceAgents(); id++)
      if (((mask >>> id) & 1) === 1 && this.nameOf(id) === name) return id;
    return undefined;
  }

  /** Turns the event log on for some kinds of events, of some stretch of virtual time. */
  logOnly(selection: LogSelection): EngineLog {
    return this.events.open(selection.room).select(selection);
  }

  /** Lets an agent take one step in virtual time. False if it cannot. */
  turn(name: string): boolean {
    const id = this.ableOf(name);
    if (id === undefined) return false;
    this.instance.exports.raceTurn(id);
    return true;
  }

  /** Lets whoever is first in virtual time take a step. False if all are at their ends, or nobody can. */
  next(): boolean {
    const { exports } = this.instance;
    const id = exports.raceOver() !== 0 ? -1 : exports.raceNext();
    if (id >= 0) exports.raceTurn(id);
    return id >= 0;
  }

  /** Whether all agents are at their ends. */
  get isOver(): boolean {
    return this.instance.exports.raceOver() !== 0;
  }

  /** Whether a property has broken. */
  get hasBroken(): boolean {
    return new Uint32Array(this.memory, this.instance.exports.firstAt(), 1)[0] !== 0;
  }

  /** What has been counted since the race began. */
  result(): RawRun {
    const { exports } = this.instance;
    const size = { elapsed: exports.raceElapsed(), agents: exports.raceAgents() };
    const counted = countedOfSpace(this.numbers);
    // Only races have a second process.
    return readRun(this.instance, this.numbers, { ...counted, counters: [...counted.counters, 'N_S2X'] }, size);
  }

  /** The state as text: equal in equal states. */
  fingerprint(): string {
    const { memory, exports } = this.instance;
    return Array.from(new Uint32Array(memory.buffer, exports.stateAt(), exports.stateBytes() / 4)).join();
  }

  /**
   * Goes through all schedules; keeps 2^slotsLg2 states, a quarter of them free. `stop` is asked now and then whether to
   * give up: null if so.
   */
  search(stop: () => boolean, slotsLg2 = SLOTS_LG2): Found | null {
    const state = this.go(this.race.never, false, stop, slotsLg2);
    if (state === null) return null;
    const { exports } = this.instance;
    const verdicts = {
      SEARCH_HOLDS: 'holds',
      SEARCH_BROKEN: 'broken',
      SEARCH_BOUNDED: 'bounded',
      SEARCH_STUCK: 'stuck',
    } as const;
    const verdict = Object.entries(verdicts).find(([name]) => this.numbers(name) === state)![1];
    const length = exports.scheduleSteps();
    const schedule = Array.from(new Uint32Array(this.memory, exports.scheduleAt(), length));
    return { verdict, states: exports.statesSeen(), steps: exports.stepsTaken(), schedule };
  }

  /** Everything that can be in some order, forbidden or not; null if there were too many states to tell. */
  reachable(): RaceProperty[] | null {
    const state = this.go(RACE_PROPERTIES, true, () => false, SLOTS_LG2);
    if (state === this.numbers('SEARCH_BOUNDED')) return null;
    const grown = this.instance.exports.countersGrown();
    const names = RACE_PROPERTIES.flatMap((property) => COUNTERS[property].map(() => property));
    return RACE_PROPERTIES.filter((property) =>
      names.some((name, i) => name === property && ((grown >>> i) & 1) === 1),
    );
  }

  /** Runs a search that looks at these properties to its end, and says how that was. */
  private go(
    properties: readonly RaceProperty[],
    collects: boolean,
    stop: () => boolean,
    slotsLg2: number,
  ): number | null {
    const { exports } = this.instance;
    exports.searchInit(slotsLg2, LONGEST);
    const watched = new Uint32Array(this.memory, exports.watchedAt(), this.numbers('MAX_WATCHED'));
    watched.set(properties.flatMap((property) => COUNTERS[property].map((name) => this.numbers(name) + 1)));
    exports.searchStart(collects ? 1 : 0);
    const on = this.numbers('SEARCH_GOES_ON');
    let state = on;
    while (state === on) {
      state = exports.search(TURNS);
      if (state === on && stop()) return null;
    }
    return state;
  }

  private settings({ policy, machine, costs, entries, whole = false, ideal = false }: RaceSetup): number[] {
    const { race, cpus, numbers } = this;
    const cache: CacheShape = { sets: 1, ways: entries, replacement: 'lru' };
    const single: CacheShape = { ...cache, ways: 1 };
    const walkCache = { pml4e: NO_CACHE, pdpte: NO_CACHE, pde: single };
    const small: Machine = {
      ...machine,
      cpu: { ...machine.cpu, l1i: single, l1d: cache, l2: NO_CACHE, walkCache },
      iommu: { ...machine.iommu, iotlb: cache, walkCache, walkers: 1, ring: 8 },
      device: { ...machine.device, deviceTlb: cache, outstanding: 1 },
    };
    const device = { every: 1, write: 0, active: 0, idle: 0, ats: true };
    const frames = race.pages.length * 2 + cpus + 2;
    const setup = { policy, machine: small, costs, seed: 1, frames: null, device, ideal, cpus: 1, lookahead: 0 };
    const tables = new Set(race.pages.map(({ vpn }) => Math.floor(vpn / 512))).size;
    const row = encodeSettings(setup, { pages: race.pages.length, tables, fetches: 0, posts: 1 }, numbers);
    row[numbers('SET_CPUS')] = cpus;
    // To read them is no step, and takes no time.
    for (const name of ['SET_CONTEXT_READS', 'SET_PASID_READS']) row[numbers(name)] = 0;
    row[numbers('SET_FRAMES')] = frames;
    row[numbers('SET_BATCH')] = race.pages.length;
    // Races are too short for a device that loses one in eight, a driver that spoils one in eight.
    if (row[numbers('SET_LOSES')]! > 0) row[numbers('SET_LOSES')] = 2;
    if (row[numbers('SET_MALFORMS')]! > 0) row[numbers('SET_MALFORMS')] = 1;
    if (row[numbers('SET_REPEATS')]! > 0) row[numbers('SET_REPEATS')] = 1;
    row[numbers('SET_LOW')] = 0;
    // Elsewhere each page request is served by itself.
    row[numbers('SET_PRI')] = this.queues ? 1 : 0;
    row[numbers('SET_PRQ')] = 8;
    row[numbers('SET_PRQ_WORKERS')] = 0;
    row[numbers('SET_STEPWISE')] = 1;
    row[numbers('SET_SPACES')] = race.pages.some(({ vpn }) => vpn >= SECOND_PROCESS) ? 2 : 0;
    row[numbers('SET_FLAGS')] = race.flags.length;
    row[numbers('SET_WHOLE')] = whole ? 1 : 0;
    row[numbers('SET_SPLIT_WALKS')] = race.splitWalks ? 1 : 0;
    return row;
  }

  private writeLists({ policy, machine }: RaceSetup): void {
    const { exports } = this.instance;
    const { numbers } = this;
    const words = numbers('LIST_WORDS');
    const lists = new Uint32Array(this.memory, exports.listsAt(), numbers('OCCASIONS') * 3 * words);
    for (const { occasion, parts } of encodePolicy(policy.mm!, [consumerOf(machine)], numbers))
      parts.forEach((steps, part) => {
        lists.set(steps, (occasion * 3 + part) * words);
      });
    const recipeWords = numbers('RECIPE_WORDS');
    const recipes = new Uint32Array(this.memory, exports.recipesAt(), this.numbers('RECIPES') * recipeWords);
    encodeRecipes(machine, machine.device.ats, numbers).forEach((commands, i) => {
      recipes.set(commands, i * recipeWords);
    });
  }

  private definePages(): void {
    const { exports } = this.instance;
    const tables: number[] = [];
    for (const { vpn, kind } of this.race.pages) {
      const key = Math.floor(vpn / 512);
      if (!tables.includes(key)) {
        tables.push(key);
        exports.defineTable(key, 0); // below 2^32 for a second process, too
      }
      exports.definePage(vpn % 2 ** 32, Math.floor(vpn / 2 ** 32), tables.indexOf(key), this.numbers(KINDS[kind]));
    }
  }

  /** What has happened before: each action to its end. */
  private runStart(): void {
    const { race, instance } = this;
    const device = race.agents.findIndex(({ kind }) => kind === 'dev');
    const run = (column: number, action: RaceAction): void => {
      this.writeScripts(race.agents.map((_, i) => (i === column ? [action] : [])));
      instance.exports.raceScripts();
      if (instance.exports.raceRun() === 0)
        throw new UsageError(
          `race ${race.name}: ${action.text} of its start does not end, expected what waits for nobody`,
        );
    };
    const toggle = (word: 'activate' | 'deactivate'): void => {
      if (device >= 0) run(device, { word, text: word, pages: [] });
    };
    toggle('activate');
    for (const { agent, action } of race.start) run(agent, action);
    if (!race.active) toggle('deactivate');
  }

  private writeScripts(scripts: readonly (readonly RaceAction[])[]): void {
    const { exports } = this.instance;
    const words = this.numbers('ACT_WORDS');
    const stride = this.numbers('SCRIPT_ACTIONS') * words;
    const rows = new Uint32Array(this.memory, exports.scriptsAt(), exports.raceAgents() * stride);
    rows.fill(0);
    scripts.forEach((actions, column) => {
      const at = this.agentOf(column) * stride;
      actions.forEach((action, i) => {
        rows.set(encodeAction(action, this.numbers), at + i * words);
      });
    });
  }
}
