import { pricedAs } from '../model/consumer.ts';
import { type CostKey, costPs } from '../model/cost.ts';
import { consumerOf, hasPri } from '../model/machine.ts';
import { PATH_NAMES } from '../model/path.ts';
import type { RawRun } from '../model/result.ts';
import type { RunSetup } from '../model/run.ts';
import { Agent, type Turns } from './agent.ts';
import { Listener } from './consumer.ts';
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
import { Queue } from './queue.ts';
import { Reclaim } from './reclaim.ts';
import { Safety } from './safety.ts';
import { Shootdown } from './shootdown.ts';
import { Space } from './space.ts';
import { EVERYTHING } from './span.ts';
import { Translator } from './translation.ts';
import { Work } from './work.ts';

/** Turns per chunk of the program, after which a run is taken to go on for ever. */
const MOST_TURNS = 100_000;

/** A run of the reference: its result, what it has reached, and the frames that are free at the end. */
export interface ReferenceRun {
  readonly raw: RawRun;
  readonly reached: Readonly<Record<string, number>>;
  readonly freeFrames: number;
}

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
  private readonly device: Device;
  private readonly cpus: readonly Agent[];
  private readonly shootdown: Shootdown;
  private readonly chunks: number;

  constructor(setup: RunSetup, program: Program) {
    const { machine, policy, costs, ideal, seed } = setup;
    const { counts } = this;
    this.chunks = program.chunks.length;
    const consumer = consumerOf(machine);
    const price = (key: CostKey): number => costPs(costs, pricedAs(consumer, key));
    const ats = machine.device.ats && (setup.device?.ats ?? true);
    const places = machine.device.outstanding;
    // In this order they go when their clocks agree.
    const pri = hasPri(machine, ats);
    const total = setup.cpus + 4 + places + (pri ? 1 : 0);
    this.agents = Array.from({ length: total }, (_, id) => new Agent(id, total));
    const cpus = this.agents.slice(0, setup.cpus);
    const [reclaimer, hardware, link, issuer, ...others] = this.agents.slice(setup.cpus) as [
      Agent, Agent, Agent, Agent, ...Agent[],
    ]; // biome-ignore format: many parts
    const flyers = others.slice(0, places);
    this.cpus = cpus;
    for (const agent of [reclaimer, hardware, link, ...others]) agent.block('idle');
    if (setup.device === null) issuer.block('idle');

    const callerHolds = !machine.hazards.includes('no-caller-ref');
    this.frames = new Frames(setup.frames ?? 2 * program.pages + 64, callerHolds);
    const { frames } = this;
    this.space = new Space(machine, ats, seed, ideal, setup.cpus, 1, counts);
    const { space } = this;
    const safety = new Safety(space, counts, ideal, true);
    const listener = new Listener(consumer, space, price, counts, ideal);
    const queue = new Queue(
      machine,
      ats,
      price,
      space,
      hardware,
      link,
      { spaceOf: () => EVERYTHING, devicesOf: () => [0], alike: (span) => [span], all: () => [EVERYTHING] },
      counts,
      listener,
    );
    const unmapped = (page: Page): void => {
      counts.add('UNMAPPED');
      this.device.unmapped(page);
    };
    const shootdown = new Shootdown(machine.cpu.shootdown, cpus, space, price, counts);
    this.shootdown = shootdown;
    const mmapLock = setup.cpus > 1 ? new MmapLock(price('ptl.handoff'), counts) : null;
    const paths = new Paths(
      policy.mm!,
      machine,
      price,
      space,
      frames,
      safety,
      queue,
      listener,
      shootdown,
      ideal,
      mmapLock,
      counts,
      unmapped,
    );
    const faults = new Faults(frames, paths, shootdown, setup.frames === null ? null : reclaimer, price, counts);
    const translator = new Translator(ats, machine.iommu.walkers, space, null, price, counts, (agent, page) =>
      safety.walked(page, agent, this.device.record),
    );
    const pageRequests = pri
      ? new PageRequests(machine, others[places]!, flyers, space, queue, faults, price, counts)
      : null;
    this.device = new Device(
      setup.device, seed, translator, machine.hazards.includes('translated-while-idle'),
      issuer, flyers, space, queue, listener, safety, faults, pageRequests, price, counts,
    ); // biome-ignore format: many parts
    const { device } = this;
    const reclaim = new Reclaim(reclaimer, frames, space, paths, price, counts);
    const work = new Work(frames, paths, faults, safety, queue, price, counts);
    const reader = new ProgramReader(program, ({ vpn, kind }) => space.addPage(vpn, kind));
    const cores = cpus.map((cpu, i) => {
      const horizon = (): number => this.horizon(cpu, reclaimer);
      return new Cpu(
        cpu, space.cpus[i]!, reader, program.dataOnly, space, paths, faults, work, device, safety, queue, price,
        setup.device !== null, horizon, counts,
      ); // biome-ignore format: many parts
    });
    this.steps = [
      ...cores.map((core) => stepper(core.life())),
      stepper(reclaim.life()),
      () => queue.turn(),
      () => queue.turnOfLink(),
      () => device.turn(),
      ...flyers.map((flyer, place) => {
        const step = stepper(device.place(place));
        return () => {
          step();
          device.afterFlight(flyer);
        };
      }),
      ...(pageRequests === null ? [] : [stepper(pageRequests.life())]),
    ];
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
    const most = MOST_TURNS * this.chunks;
    let turns = 0;
    while (true) {
      const runnable = this.agents.filter((agent) => agent.state === 'runnable');
      const [next] = runnable.sort((a, b) => a.clock - b.clock || a.id - b.id);
      // Others take their steps before the program's end, and none after.
      if (cpus.every(({ state }) => state === 'done') && (next === undefined || next.clock >= this.end)) break;
      if (next === undefined) throw new Stuck('all agents wait');
      next.turn = next.clock;
      if (++turns > most) throw new Error(`${most} turns and no end: agents wake each other for ever`);
      // A CPU that a flush has left out has that to do first.
      if (cpus.includes(next) && this.shootdown.catchUp(next)) continue;
      this.steps[next.id]!();
      this.space.watchAll(next.turn);
      this.device.afterTurn(next.clock);
    }
    this.checkLaws();
    const causes = CAUSES.map((cause) => [cause, sum(this.agents.map((agent) => agent.times.get(cause) ?? 0))]);
    const raw: RawRun = {
      elapsed: this.end,
      causes: Object.fromEntries(causes) as Record<string, number>,
      counters: Object.fromEntries(COUNTERS.map((name) => [`N_${name}`, counts.of(name)])),
      paths: Object.fromEntries(counts.paths),
      distributions: counts.distributions(),
      openAtEnd: this.space.pages.filter((page) => page.window !== null).length,
      first: counts.first,
    };
    return { raw, reached: counts.reached, freeFrames: this.frames.free };
  }

  /** When the last CPU was done. */
  private get end(): number {
    return Math.max(...this.cpus.map(({ clock }) => clock));
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

function stepper(turns: Turns): () => void {
  return () => void turns.next();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}
