import { consumersOf } from '../model/consumers.ts';
import { UsageError } from '../model/errors.ts';
import { consumerOf, type Machine } from '../model/machine.ts';
import type { RawRun } from '../model/result.ts';
import type { RunSetup } from '../model/run.ts';
import type { TraceEvent, TraceMeta } from '../model/trace.ts';
import type { Chunk } from '../trace/format.ts';
import { copyColumns, DEAL, Dealer, type Piece } from '../trace/generate/deal.ts';
import { mostPosts, type Posts } from '../trace/generate/follow.ts';
import { Mappings } from '../trace/mappings.ts';
import { agentsOf, encodeConsumers, encodePolicy, MAX_AGENTS, type Numbers, numbersOf } from './encode.ts';
import { encodeEvent } from './encode-event.ts';
import { endless, type Instance, instantiate } from './load.ts';
import { EngineLog, type LogExports, type LogSelection } from './log.ts';
import { countedOfSpace, type RunExports, readRun } from './raw.ts';
import { encodeRecipes } from './recipes.ts';

/** What the module exports for a machine; see assembly/engine.ts. */
interface MachineExports extends LogExports, RunExports {
  init(): void;
  addConsumer(): void;
  attend(consumer: number): void;
  configAt(): number;
  listsAt(): number;
  recipesAt(): number;
  quantilesAt(): number;
  headsAt(cpu: number): number;
  eventsAt(cpu: number): number;
  postsAt(cpu: number): number;
  definePage(vpnLow: number, vpnHigh: number, table: number, kind: number): void;
  defineTable(keyLow: number, keyHigh: number): void;
  run(): number;
  wantingCpu(): number;
  feedCpu(cpu: number, records: number, posts: number): void;
  endCpu(cpu: number): void;
  agents(): number;
  elapsed(): number;
}

const SLOTS = 512;
const WORD = 2 ** 32;

/** One run of one machine under one policy: the WebAssembly engine, fed chunk by chunk. */
export class MachineEngine {
  private readonly instance: Instance<MachineExports>;
  private readonly numbers: Numbers;
  private readonly consumers: readonly Machine[];
  private readonly mappings = new Mappings();
  private readonly tables = new Map<number, number>();
  private state: number;
  private fedRecords = 0;
  private ended = false;
  private readonly dealer: Dealer;
  /** Pieces that a CPU has not come to yet. */
  private readonly queues: Piece[][];
  /** Of a run that is logged, what happens in it. */
  readonly log: EngineLog | undefined;

  constructor(
    module: WebAssembly.Module,
    private readonly setup: RunSetup,
    meta: TraceMeta,
    deal = DEAL,
    log?: LogSelection,
  ) {
    checkTrace(meta, setup);
    this.dealer = new Dealer(meta.agents, setup.cpus, deal);
    this.queues = Array.from({ length: setup.cpus }, () => []);
    this.instance = instantiate<MachineExports>(module);
    const { exports } = this.instance;
    this.numbers = numbersOf(exports);
    const { counts } = meta;
    const posts = setup.device === null ? 0 : mostPosts(setup.device, counts.datas);
    this.consumers = consumersOf(setup.machine);
    encodeConsumers(setup, { ...counts, posts }, this.numbers).forEach(({ settings, costs }, i) => {
      const config = new Float64Array(this.memory, exports.configAt(), this.numbers('CONFIG_WORDS'));
      config.set(settings);
      config.set(costs, this.numbers('CONFIG_COSTS'));
      if (i === 0) exports.init();
      else exports.addConsumer();
    });
    if (log !== undefined) this.log = new EngineLog(this.instance, this.numbers).open(log.room).select(log);
    this.writeLists();
    this.state = this.numbers('WANTS_RECORDS');
  }

  /** Runs as far as the chunk's records reach. `posts`: the device's work in it. */
  feed(chunk: Chunk, posts: Posts | undefined): void {
    if (this.state !== this.numbers('WANTS_RECORDS')) return;
    this.definePages(chunk);
    for (const piece of this.dealer.pieces(chunk, posts)) this.queues[piece.cpu]!.push(piece);
    this.fedRecords += chunk.records;
    this.goOn();
  }

  /** Runs as far as the pieces at hand reach: whoever is first needs the next one of its own. */
  private goOn(): void {
    const { exports } = this.instance;
    while (this.state === this.numbers('WANTS_RECORDS')) {
      const cpu = exports.wantingCpu();
      const piece = this.queues[cpu]!.shift();
      if (piece !== undefined) this.load(piece);
      else if (this.ended) exports.endCpu(cpu);
      else return;
      this.state = exports.run();
    }
    this.checkStuck();
  }

  private load(piece: Piece): void {
    const { cpu, records, events, posts } = piece;
    const { exports } = this.instance;
    const at = exports.headsAt(cpu);
    const capacity = this.numbers('CHUNK_RECORDS');
    copyColumns(piece, {
      heads: new Uint32Array(this.memory, at, records),
      runFetches: new Uint16Array(this.memory, at + capacity * 4, records),
      runDatas: new Uint16Array(this.memory, at + capacity * 6, records),
    });
    this.writeEvents(cpu, events);
    new Uint32Array(this.memory, exports.postsAt(cpu), posts.length).set(posts);
    exports.feedCpu(cpu, records, posts.length / 2);
  }

  /** Whether all that happens up to an instant in picoseconds has happened. Of several CPUs one may be behind. */
  isPast(time: number): boolean {
    return this.setup.cpus === 1 && this.instance.exports.elapsed() > time;
  }

  /** Lets the machine come to the end of the program. */
  finish(): RawRun {
    this.ended = true;
    this.goOn();
    const { exports } = this.instance;
    const consumers = this.consumers.map(({ name, device }) => ({ name, devices: device.count }));
    return readRun(this.instance, this.numbers, countedOfSpace(this.numbers), {
      elapsed: exports.elapsed(),
      agents: exports.agents(),
      consumers,
    });
  }

  private get memory(): ArrayBuffer {
    return this.instance.memory.buffer;
  }

  private checkStuck(): void {
    const { frames, policy, machine } = this.setup;
    const what = `${policy.name} on ${machine.name}`;
    if (this.state === this.numbers('GOES_ROUND')) throw endless(what);
    if (this.state !== this.numbers('IS_STUCK')) return;
    throw new UsageError(
      `${what}: ${frames} pages of memory are too few: all are in use by what is in flight (record ${this.fedRecords}); give more with --memory`,
    );
  }

  private writeLists(): void {
    const { exports } = this.instance;
    const { setup, numbers } = this;
    const words = numbers('LIST_WORDS');
    const lists = new Uint32Array(this.memory, exports.listsAt(), numbers('OCCASIONS') * 3 * words);
    for (const { occasion, parts } of encodePolicy(setup.policy.mm!, this.consumers.map(consumerOf), numbers)) {
      parts.forEach((steps, part) => {
        if (steps.length > words)
          throw new UsageError(
            `policy ${setup.policy.name}: a list of ${steps.length} steps, expected at most ${words}`,
          );
        lists.set(steps, (occasion * 3 + part) * words);
      });
    }
    const recipeWords = numbers('RECIPE_WORDS');
    this.eachConsumer((machine) => {
      const recipes = new Uint32Array(this.memory, exports.recipesAt(), numbers('RECIPES') * recipeWords);
      const ats = machine.device.ats && (setup.device?.ats ?? true);
      encodeRecipes(machine, ats, numbers).forEach((commands, i) => {
        recipes.set(commands, i * recipeWords);
      });
    });
    const quantiles = new Uint32Array(this.memory, exports.quantilesAt(), 256);
    for (let i = 0; i < 256; i++) quantiles[i] = Math.round(-Math.log((i + 0.5) / 256) * 65536);
  }

  /** Does something with each consumer in hand. */
  private eachConsumer<T>(visit: (machine: Machine) => T): T[] {
    const { exports } = this.instance;
    const seen = this.consumers.map((machine, i) => {
      exports.attend(i);
      return visit(machine);
    });
    exports.attend(0);
    return seen;
  }

  /** Pages of the chunk, each in its tables; their kinds by the mappings of earlier chunks. */
  private definePages(chunk: Chunk): void {
    const { exports } = this.instance;
    for (const { space, vpn } of chunk.pages) {
      const key = Math.floor(vpn / SLOTS);
      let table = this.tables.get(key);
      if (table === undefined) {
        table = this.tables.size;
        this.tables.set(key, table);
        exports.defineTable(key % WORD, Math.floor(key / WORD));
      }
      exports.definePage(vpn % WORD, Math.floor(vpn / WORD), table, this.mappings.kindOf(space, vpn));
    }
    for (const event of chunk.events) this.mappings.apply(event);
  }

  private writeEvents(cpu: number, events: readonly TraceEvent[]): void {
    const words = this.numbers('EVENT_WORDS');
    const rows = new Float64Array(this.memory, this.instance.exports.eventsAt(cpu), events.length * words);
    events.forEach((event, i) => {
      rows.set(encodeEvent(event, this.numbers), i * words);
    });
  }
}

/** A machine runs the CPUs of one address space. */
function checkTrace({ agents, spaces, counts }: TraceMeta, { policy, machine, cpus }: RunSetup): void {
  const what = `${policy.name} on ${machine.name}`;
  const recorded = agents.filter((agent) => agent.kind === 'cpu');
  const mms = spaces.filter((space) => space.kind === 'mm').length;
  if (mms !== 1 || recorded.length === 0) {
    throw new UsageError(
      `${what}: the trace has ${recorded.length} CPUs and ${mms} address spaces, expected CPUs of one address space`,
    );
  }
  if (recorded.length > 1 && recorded.length !== cpus) {
    throw new UsageError(
      `${what}: the trace has ${recorded.length} CPUs, and ${cpus} are asked for: only one recorded CPU can be dealt to several`,
    );
  }
  const consumers = consumersOf(machine);
  const needed = consumers.reduce((sum, one) => sum + agentsOf(one), cpus + 1);
  if (needed > MAX_AGENTS) {
    const places = consumers.reduce((sum, { device }) => sum + device.count * device.outstanding, 0);
    const devices = consumers.reduce((sum, { device }) => sum + device.count, 0);
    const whose = devices === 1 ? 'a device' : `${devices} devices`;
    throw new UsageError(
      `${what}: ${cpus} CPUs and ${whose} with ${places} accesses in flight are ${needed} agents, expected at most ${MAX_AGENTS}`,
    );
  }
  if (counts.pages === 0) throw new UsageError('the trace has no memory access');
}
