import { pricedAs } from '../model/consumer.ts';
import { consumersOf } from '../model/consumers.ts';
import { type CostKey, costPs } from '../model/cost.ts';
import { consumerOf, hasPri, type Machine } from '../model/machine.ts';
import { PATH_NAMES } from '../model/path.ts';
import type { RawRun } from '../model/result.ts';
import { DEVICE_SEED_STEP, type RunSetup, SEED_STEP } from '../model/run.ts';
import { Agent, type Turns } from './agent.ts';
import { Listener } from './consumer.ts';
import { Consumers, type Party } from './consumers.ts';
import { CAUSES, COUNTERS, Counts } from './counts.ts';
import { Cpu } from './cpu.ts';
import { Device } from './device.ts';
import { Faults } from './fault.ts';
import { Frames } from './frame.ts';
import { MmapLock } from './mmap-lock.ts';
import type { Page } from './page.ts';
import { PageRequests } from './page-request.ts';
import { Paths } from './path.ts';
import { type Program, ProgramReader } from './program.ts';
import { type Price, Queue } from './queue.ts';
import { Recent } from './recent.ts';
import { Reclaim } from './reclaim.ts';
import { Safety } from './safety.ts';
import { Secondary } from './secondary.ts';
import { Shootdown } from './shootdown.ts';
import { Space } from './space.ts';
import { EVERYTHING } from './span.ts';
import type { Attachments } from './submission.ts';
import { Translator } from './translation.ts';
import { Work } from './work.ts';

/** Turns per chunk of the program and per device, after which a run is taken to go on for ever. */
const MOST_TURNS = 100_000;

/** A run of the reference: its result, what it has reached, and the frames that are free at the end. */
export interface ReferenceRun {
  readonly raw: RawRun;
  readonly reached: Readonly<Record<string, number>>;
  readonly freeFrames: number;
}

/** One space, on which all devices work. */
const alone = ({ device }: Machine): Attachments => ({
  spaceOf: () => EVERYTHING,
  devicesOf: () => Array.from({ length: device.count }, (_, i) => i),
  alike: (span) => [span],
  all: () => [EVERYTHING],
  lastTables: () => 0,
});

/** Nobody can go on: there are too few frames for what is in flight. */
export class Stuck extends Error {}

/** The slow twin of the machine: CPUs, reclaim, an IOMMU and a device, turn by turn. */
export function referenceRun(setup: RunSetup, program: Program): ReferenceRun {
  return new ReferenceMachine(setup, program).run();
}

class ReferenceMachine {
  private readonly counts = new Counts(PATH_NAMES);
  private readonly agents: Agent[];
  private readonly steps: (() => void)[];
  private readonly frames: Frames;
  private readonly space: Space;
  private readonly machines: readonly Machine[];
  /** Agents of each consumer. */
  private readonly hardware: readonly Hardware[];
  /** Of each consumer. */
  private readonly devices: readonly (readonly Device[])[];
  private readonly recent = new Recent();
  private readonly cpus: readonly Agent[];
  private readonly shootdown: Shootdown;
  private readonly chunks: number;

  constructor(setup: RunSetup, program: Program) {
    const { machine, policy, costs, ideal, seed } = setup;
    const { counts, recent } = this;
    this.chunks = program.chunks.length;
    this.machines = consumersOf(machine);
    // In this order they go when their clocks agree.
    const ats = (one: Machine): boolean => one.device.ats && (setup.device?.ats ?? true);
    const sizes = this.machines.map((one) => {
      const { count, outstanding } = one.device;
      return 2 + count + count * outstanding + (hasPri(one, ats(one)) ? 1 + one.driver.prqWorkers : 0);
    });
    const total = setup.cpus + 1 + sum(sizes);
    this.agents = Array.from({ length: total }, (_, id) => new Agent(id, total));
    const [reclaimer, ...rest] = this.agents.slice(setup.cpus) as [Agent, ...Agent[]];
    const cpus = this.agents.slice(0, setup.cpus);
    this.cpus = cpus;
    this.hardware = sizes.map((size, i) => hardwareOf(rest.splice(0, size), this.machines[i]!));
    reclaimer.block('idle');

    const callerHolds = !machine.hazards.includes('no-caller-ref');
    this.frames = new Frames(setup.frames ?? 2 * program.pages + 64, callerHolds);
    const { frames } = this;
    const price = this.priceFor(costs, machine);
    const sides = this.machines.map(
      (one, i) => new Secondary(one, ats(one), seed + i * SEED_STEP, ideal, one.device.count, counts),
    );
    this.space = new Space(machine, seed, ideal, setup.cpus, sides, counts);
    const { space } = this;
    const safety = new Safety(space, counts, ideal, true);
    const parties = this.machines.map((one, i): Party => {
      const { iommu, link } = this.hardware[i]!;
      const side = sides[i]!;
      const pays = this.priceFor(costs, one);
      const listener = new Listener(consumerOf(one), space, side, pays, counts, ideal);
      return {
        machine: one,
        side,
        listener,
        queue: new Queue(one, ats(one), pays, side, iommu, link, alone(one), counts, listener),
      };
    });
    const consumers = new Consumers(parties, counts);
    const unmapped = (page: Page): void => {
      counts.add('UNMAPPED');
      recent.unmapped(page);
    };
    const shootdown = new Shootdown(machine.cpu.shootdown, cpus, space, price, counts);
    this.shootdown = shootdown;
    const mmapLock = setup.cpus > 1 ? new MmapLock(price('ptl.handoff'), counts) : null;
    const paths = new Paths(
      policy.mm!, machine, price, space, frames, safety, consumers, shootdown, ideal, mmapLock, counts, unmapped,
    ); // biome-ignore format: many parts
    const faults = new Faults(frames, paths, shootdown, setup.frames === null ? null : reclaimer, price, counts);
    const requests: (PageRequests | null)[] = [];
    this.devices = parties.map(({ machine: one, side, queue, listener }, i) => {
      const { iommu, link, issuers, flyers, handlers } = this.hardware[i]!;
      const [handler, ...workers] = handlers;
      for (const agent of [iommu, link, ...flyers.flat(), ...handlers]) agent.block('idle');
      if (setup.device === null) for (const issuer of issuers) issuer.block('idle');
      const pays = this.priceFor(costs, one);
      requests[i] = handler
        ? new PageRequests(one, handler, workers, flyers.flat(), side, queue, faults, pays, counts)
        : null;
      const translator = new Translator(
        ats(one), one.iommu.walkers, space, side, null, pays, counts,
        (agent, page) => safety.walked(page, agent, recent.record),
      ); // biome-ignore format: many parts
      const first = seed + i * SEED_STEP;
      return issuers.map((issuer, n) => {
        const own = first + n * DEVICE_SEED_STEP;
        return new Device(
          setup.device, own, translator, one.hazards.includes('translated-while-idle'), issuer, n, flyers[n]!, recent,
          side, queue, listener, safety, faults, requests[i]!, pays, counts,
        ); // biome-ignore format: many parts
      });
    });
    const reclaim = new Reclaim(reclaimer, frames, space, paths, price, counts);
    const work = new Work(frames, paths, faults, safety, consumers, price, counts);
    const reader = new ProgramReader(program, ({ vpn, kind }) => space.addPage(vpn, kind));
    let posted = 0;
    const post = (page: Page, write: boolean, from: Agent): void => {
      const consumers = this.devices.length;
      const ofOne = this.devices[posted % consumers]!;
      const round = Math.floor(posted++ / consumers);
      ofOne[round % ofOne.length]!.post(page, write, from);
    };
    const cores = cpus.map((cpu, i) => {
      const horizon = (): number => this.horizon(cpu, reclaimer);
      return new Cpu(
        cpu, space.cpus[i]!, reader, program.dataOnly, space, paths, faults, work, recent, post, safety, consumers, price,
        setup.device !== null, horizon, counts,
      ); // biome-ignore format: many parts
    });
    this.steps = [
      ...cores.map((core) => stepper(core.life())),
      stepper(reclaim.life()),
      ...parties.flatMap(({ queue }, i) => [
        () => queue.turn(),
        () => queue.turnOfLink(),
        ...this.devices[i]!.map((device) => () => device.turn()),
        ...this.devices[i]!.flatMap((device, n) =>
          this.hardware[i]!.flyers[n]!.map((flyer, place) => {
            const step = stepper(device.place(place));
            return () => {
              step();
              device.afterFlight(flyer);
            };
          }),
        ),
        ...handling(requests[i]!, this.hardware[i]!.handlers.slice(1)),
      ]),
    ];
  }

  private priceFor(costs: RunSetup['costs'], machine: Machine): Price {
    return (key: CostKey) => costPs(costs, pricedAs(consumerOf(machine), key));
  }

  /**
   * Before this time nobody can change what the CPU's hits depend on. Whoever waits in the kernel may be woken by anybody;
   * a program of one CPU goes on while reclaim waits. Devices by themselves change nothing.
   */
  private horizon(cpu: Agent, reclaimer: Agent): number {
    const kernel = [...this.cpus, reclaimer].filter((agent) => agent !== cpu);
    const waits = kernel.some(({ state, waitsFor }) => state === 'blocked' && waitsFor !== 'idle');
    const all = waits && this.cpus.length > 1 ? this.agents.filter((agent) => agent !== cpu) : kernel;
    const runnable = all.filter(({ state }) => state === 'runnable');
    return Math.min(...runnable.map(({ clock, id }) => clock + (cpu.id < id ? 1 : 0)));
  }

  run(): ReferenceRun {
    const { counts, cpus } = this;
    const most = MOST_TURNS * this.chunks * this.devices.flat().length;
    let turns = 0;
    while (true) {
      const runnable = this.agents.filter((agent) => agent.state === 'runnable');
      const [next] = runnable.sort((a, b) => a.clock - b.clock || a.id - b.id);
      // Others take their steps before the program's end, and none after.
      if (cpus.every(({ state }) => state === 'done') && (next === undefined || next.clock >= this.end)) break;
      if (next === undefined) throw new Stuck('all agents wait');
      next.turn = next.clock;
      if (++turns > most) throw new Error(`${most} turns and no end: agents wake each other for ever`);
      this.countFor(next);
      // A CPU that a flush has left out has that to do first.
      if (cpus.includes(next) && this.shootdown.catchUp(next)) continue;
      this.steps[next.id]!();
      this.space.watchAll(next.turn);
      // A late device has its chance at what has just been unmapped.
      if (this.recent.takeNews()) for (const device of this.devices.flat()) device.rouse(next.clock);
    }
    this.checkLaws();
    const causes = CAUSES.map((cause) => [cause, sum(this.agents.map((agent) => agent.times.get(cause) ?? 0))]);
    const raw: RawRun = {
      elapsed: this.end,
      causes: Object.fromEntries(causes) as Record<string, number>,
      counters: countersOf((name) => counts.of(name)),
      ...(this.machines.length > 1 && {
        consumers: this.machines.map(({ name }, i) => ({
          machine: name,
          counters: countersOf((counter) => counts.ofConsumer(i, counter)),
        })),
      }),
      ...(this.machines.some(({ device }) => device.count > 1) && { devices: this.countedOfDevices() }),
      paths: Object.fromEntries(counts.paths),
      distributions: counts.distributions(),
      openAtEnd: this.space.pages.filter((page) => page.window !== null).length,
      first: counts.first,
    };
    return { raw, reached: counts.reached, freeFrames: this.frames.free };
  }

  /** What comes is counted for whose agent it is. */
  private countFor(agent: Agent): void {
    const consumer = this.hardware.findIndex(({ all }) => all.includes(agent));
    const { issuers = [], flyers = [] } = this.hardware[consumer] ?? {};
    const device = issuers.findIndex((issuer, i) => issuer === agent || flyers[i]!.includes(agent));
    this.counts.actor = Math.max(0, consumer);
    this.counts.device = device < 0 ? null : device;
  }

  /** When the last CPU was done. */
  private get end(): number {
    return Math.max(...this.cpus.map(({ clock }) => clock));
  }

  private countedOfDevices(): NonNullable<RawRun['devices']> {
    const all = this.machines.flatMap(({ name, device: { count } }, consumer) =>
      Array.from({ length: count }, (_, n) => ({ name, consumer, n, alone: count === 1 })),
    );
    return all.flatMap(({ name, consumer, n, alone }, device) => {
      const counters = countersOf((counter) => this.counts.ofDevice(consumer, n, counter));
      return alone ? [] : [{ machine: name, device, counters }];
    });
  }

  /** All of an agent's time went into something; every mapped frame is referred to, and mapped once. */
  private checkLaws(): void {
    for (const { id, clock, times } of this.agents)
      if (sum([...times.values()]) !== clock) throw new Error(`agent ${id}: its time is not what it went into`);
    const mapped = new Set<number>();
    for (const { id, pte, frame } of this.space.pages) {
      if (!pte.present || pte.zero) continue;
      if (mapped.has(frame!.number)) throw new Error(`page ${id}: frame ${frame!.number} is mapped twice`);
      mapped.add(frame!.number);
    }
    // One without references that is not free yet is in the hands of a path that the end of the run cut off.
    for (const { number, refs, free } of this.frames.all)
      if (free ? refs > 0 || mapped.has(number) : refs === 0 && mapped.has(number))
        throw new Error(`frame ${number}: ${refs} references, ${free ? 'free' : 'in use'}`);
  }
}

/** The agents of a consumer, in the order in which they go. */
interface Hardware {
  /** Its command processor. */
  readonly iommu: Agent;
  readonly link: Agent;
  readonly issuers: readonly Agent[];
  /** Places in flight, of each device. */
  readonly flyers: readonly (readonly Agent[])[];
  /** Who handles page requests, and its workers; or nobody. */
  readonly handlers: readonly Agent[];
  readonly all: readonly Agent[];
}
function hardwareOf(all: readonly Agent[], { device: { count, outstanding } }: Machine): Hardware {
  const [iommu, link, ...others] = all as [Agent, Agent, ...Agent[]];
  const issuers = others.splice(0, count);
  const flyers = issuers.map(() => others.splice(0, outstanding));
  return { iommu, link, issuers, flyers, handlers: others, all };
}

function countersOf(count: (name: (typeof COUNTERS)[number]) => number): Record<string, number> {
  return Object.fromEntries(COUNTERS.map((name) => [`N_${name}`, count(name)]));
}

/** What the handler of page requests and its workers do, where there are any. */
function handling(requests: PageRequests | null, workers: readonly Agent[]): (() => void)[] {
  if (requests === null) return [];
  return [stepper(requests.life()), ...workers.map((worker) => stepper(requests.work(worker)))];
}

function stepper(turns: Turns): () => void {
  return () => void turns.next();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}
