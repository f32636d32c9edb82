import { type CostKey, costPs } from '../model/cost.ts';
import { type DmaSetup, drained } from '../model/dma.ts';
import { submission } from '../model/machine.ts';
import type { RawRun } from '../model/result.ts';
import { Agent, type Turns } from './agent.ts';
import { Counts, DMA_CAUSES, DMA_COUNTERS } from './counts.ts';
import { DmaDevice } from './dma-device.ts';
import { Domains, domainOf, domainSpan, inDomain } from './dma-domain.ts';
import { type DomainParts, Driver, type UnmapMode, type Waiters } from './dma-driver.ts';
import { FlushQueue } from './dma-flushqueue.ts';
import { IovaAllocator } from './dma-iova.ts';
import { type DmaRecording, recordsOf } from './dma-recording.ts';
import { Lock } from './lock.ts';
import type { Page } from './page.ts';
import { Queue } from './queue.ts';
import { Safety } from './safety.ts';
import { Secondary } from './secondary.ts';
import { Space } from './space.ts';
import type { Attachments } from './submission.ts';
import { Translator } from './translation.ts';

/** A run of the reference: its result, and what it has reached. */
export interface DmaReferenceRun {
  readonly raw: RawRun;
  readonly reached: Readonly<Record<string, number>>;
}

/** The slow twin of the timed replay of a DMA recording. Throws Exhausted where a domain runs out of IOVAs. */
export function referenceDmaRun(setup: DmaSetup, recording: DmaRecording): DmaReferenceRun {
  return new DmaMachine(setup, recording).run();
}

/** CPUs that call the DMA API, the IOMMU, a flush timer per domain, devices and their accesses in flight. */
class DmaMachine {
  private readonly counts = new Counts(['map', 'unmap']);
  private readonly agents: readonly Agent[];
  private readonly steps: readonly (() => void)[];
  private readonly space: Space;
  private readonly drivers: readonly Driver[];
  private readonly devices: readonly DmaDevice[];

  constructor(
    private readonly setup: DmaSetup,
    recording: DmaRecording,
  ) {
    const { costs, ideal, reuse } = setup;
    const machine = drained(setup);
    const { counts } = this;
    const dma = setup.policy.dma!;
    const mode: UnmapMode = ideal ? 'vanish' : dma.unmap;
    const price = (key: CostKey): number => costPs(costs, key);
    const records = recordsOf(recording, setup.timeScale);
    const of = (kind: 'cpu' | 'device') => records.filter((_, i) => recording.agents[i]!.kind === kind);
    const spaces = Array.from({ length: recording.spaces }, (_, i) => i);
    const { outstanding, ats } = machine.device;

    // In this order they go when their clocks agree.
    const sizes = [of('cpu').length, 1, 1, spaces.length, of('device').length, of('device').length * outstanding];
    const total = sizes.reduce((sum, n) => sum + n, 0);
    this.agents = Array.from({ length: total }, (_, id) => new Agent(id, total));
    const left = [...this.agents];
    const [cpus, [hardware], [link], timers, issuers, flyers] = sizes.map((n) => left.splice(0, n)) as [
      Agent[], [Agent], [Agent], Agent[], Agent[], Agent[],
    ]; // biome-ignore format: many parts
    hardware.block('idle');
    link.block('idle');

    const side = new Secondary(machine, ats, setup.seed, ideal, issuers.length, counts);
    this.space = new Space(machine, setup.seed, ideal, 0, [side], counts);
    const { space } = this;
    const safety = new Safety(space, counts, ideal, reuse === 'immediate');
    const domains = new Domains(space, safety, counts, ideal, machine);
    const homes = recording.agents.filter(({ kind }) => kind === 'device').map((device) => device.space);
    const shared = machine.hazards.includes('shared-domain-id');
    const attached: Attachments = {
      spaceOf: (page) => domainSpan(domainOf(page)),
      all: () => spaces.map(domainSpan),
      lastTables: ({ first, last }) => space.lastTables(first, last),
      devicesOf: (page) => [...homes.keys()].filter((device) => homes[device] === domainOf(page)),
      alike: (span) => {
        if (!shared || span.last === Number.POSITIVE_INFINITY) return [span];
        const { first } = domainSpan(domainOf(span.first));
        return spaces.map((domain) => {
          const shift = domainSpan(domain).first - first;
          return { first: span.first + shift, last: span.last + shift };
        });
      },
    };
    const queue = new Queue(machine, ats, price, side, hardware, link, attached, counts);
    const queueOf = (timer: Agent, of: readonly number[]): FlushQueue | null => {
      if (dma.unmap !== 'lazy') timer.block('idle');
      if (dma.unmap !== 'lazy') return null;
      return new FlushQueue(
        dma,
        machine.hz,
        of,
        cpus.length,
        timer,
        domains,
        queue,
        price,
        counts,
        machine.hazards.includes('iova-before-flush'),
      );
    };
    const own = dma.unmap !== 'lazy' || dma.flush === 'domain';
    const queues = timers.map((timer, domain) => {
      if (own || domain === 0) return queueOf(timer, own ? [domain] : spaces);
      timer.block('idle');
      return null;
    });
    const parts = spaces.map((domain): DomainParts => {
      const iovas = new IovaAllocator(machine.iova!, cpus.length, price, counts);
      const lock = new Lock('iova tree', 1, price('ptl.handoff'), counts);
      return { iovas, lock, flushQueue: queues[own ? domain : 0]! };
    });
    const waiters: Waiters = {
      mapping: (mapping, now) => {
        for (const device of this.devices) device.rouse(mapping, now);
      },
      unmaps: (now) => {
        for (const driver of this.drivers) driver.rouse(now);
      },
    };
    this.drivers = cpus.map(
      (agent, i) =>
        new Driver(
          agent,
          of('cpu')[i]!,
          mode,
          machine.iommu,
          submission(machine, 'map').length > 0,
          parts,
          domains,
          queue,
          waiters,
          price,
          counts,
        ),
    );
    const aliases = ({ vpn }: Page): Page[] =>
      spaces
        .filter((domain) => domain !== domainOf(vpn))
        .flatMap((domain) => space.pageAt(domainSpan(domain).first + inDomain(vpn)) ?? []);
    const translator = new Translator(
      ats,
      machine.iommu.walkers,
      space,
      side,
      domains.tables,
      price,
      counts,
      () => {},
      {
        keepsAbsence: machine.driver.map.length > 0,
        aliases: shared ? aliases : () => [],
      },
    );
    const places = flyers.map((agent, i) => ({ agent, flight: side.flights[i]!, access: null, issued: 0 }));
    this.devices = issuers.map((agent, i) => {
      const own = places.slice(i * outstanding, (i + 1) * outstanding);
      return new DmaDevice(
        agent, of('device')[i]!, own, mode !== 'never', ideal, reuse, translator, domains, queue, safety, waiters, price,
        counts,
      ); // biome-ignore format: many parts
    });
    this.steps = [
      ...this.drivers.map((driver) => stepper(driver.life())),
      () => queue.turn(),
      () => queue.turnOfLink(),
      ...queues.map((flushQueue) => stepper(flushQueue?.life())),
      ...this.devices.map((device) => stepper(device.life())),
      ...this.devices.flatMap((device) => device.places.map((place) => stepper(device.place(place)))),
    ];
  }

  run(): DmaReferenceRun {
    while (!this.over) {
      const runnable = this.agents.filter((agent) => agent.state === 'runnable');
      const [next] = runnable.sort((a, b) => a.clock - b.clock || a.id - b.id);
      if (next === undefined) throw new Error('all agents wait');
      next.turn = next.clock;
      this.steps[next.id]!();
      this.space.watchAll(next.turn);
    }
    for (const { id, clock, times } of this.agents)
      if (sum([...times.values()]) !== clock) throw new Error(`agent ${id}: its time is not what it went into`);
    const { counts, space } = this;
    const ends = this.workers.map((agent) => agent.clock);
    const raw: RawRun = {
      elapsed: Math.max(0, ...ends),
      causes: Object.fromEntries(
        DMA_CAUSES.filter((cause) => cause !== 'exit' || this.setup.machine.iommu.shadowed).map((cause) => [
          cause,
          sum(this.agents.map((agent) => agent.times.get(cause) ?? 0)),
        ]),
      ),
      counters: Object.fromEntries(DMA_COUNTERS.map((name) => [`N_${name}`, counts.of(name)])),
      paths: Object.fromEntries(counts.paths),
      distributions: counts.distributions(),
      openAtEnd: space.pages.filter((page) => page.window !== null).length,
      first: this.first,
    };
    return { raw, reached: counts.reached };
  }

  /** Everyone but the IOMMU and the timers. */
  private get workers(): Agent[] {
    const devices = this.devices.flatMap(({ agent, places }) => [agent, ...places.map((place) => place.agent)]);
    return [...this.drivers.map(({ agent }) => agent), ...devices];
  }

  private get over(): boolean {
    const all = [...this.drivers, ...this.devices];
    const flying = this.devices.some(({ places }) => places.some(({ access }) => access !== null));
    return !flying && all.every(({ agent }) => agent.state === 'done');
  }

  /** The first violation; where there are pages, by the number of the page in its domain. */
  private get first(): RawRun['first'] {
    const { first } = this.counts;
    const { ideal, policy } = this.setup;
    if (first === null || (!ideal && policy.dma!.unmap === 'never')) return first;
    return { ...first, page: inDomain(this.space.pages[first.page]!.vpn) };
  }
}

/** Turns of somebody who may never have one. */
function stepper(turns: Turns | undefined): () => void {
  return () => void turns!.next();
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, n) => total + n, 0);
}
