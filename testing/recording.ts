import { loadCosts, loadPolicy } from '../src/catalog/catalog.ts';
import { DmaEngine } from '../src/engine/dma.ts';
import type { DmaSetup } from '../src/model/dma.ts';
import { UsageError } from '../src/model/errors.ts';
import type { Machine } from '../src/model/machine.ts';
import type { RawRun } from '../src/model/result.ts';
import type { EventName, TraceEvent } from '../src/model/trace.ts';
import { Exhausted } from '../src/reference/dma-iova.ts';
import { type DmaReferenceRun, referenceDmaRun } from '../src/reference/dma-machine.ts';
import { codec } from '../src/trace/input.ts';
import type { Trace } from '../src/trace/reader.ts';
import { TraceWriter } from '../src/trace/writer.ts';
import { openBytes, PROVENANCE } from './program.ts';
import { engineModule } from './wasm.ts';

/** Who there is in a recording: CPUs first, then devices, each with its domain. */
export interface Actors {
  readonly cpus: number;
  readonly domains: number;
  /** Domain of each device. */
  readonly devices: readonly number[];
}

/** A recording of the DMA API, as an importer writes it. */
export class Recording {
  private readonly parts: Uint8Array[] = [];
  private readonly out = new TraceWriter({ write: (bytes) => this.parts.push(bytes.slice()) }, codec);
  private instances = 0;

  constructor({ cpus, domains, devices }: Actors) {
    for (let i = 0; i < domains; i++) this.out.space(`domain ${i + 1}`, 'domain');
    for (let i = 0; i < cpus; i++) this.out.agent(`cpu${i}`, 'cpu', 0);
    for (const [i, domain] of devices.entries()) this.out.agent(`00:0${i + 4}.0`, 'device', domain);
  }

  event(agent: number, op: Exclude<EventName, 'switch'>, fields: number[], gap = 0): void {
    this.out.event(agent, op, fields, gap);
  }

  /** Maps the next instance. `joined` 1: behind the one before it. Returns its id. */
  map(frame: number, { pages = 1, space = 0, gap = 0, joined = 0, prot = 3, cpu = 0 } = {}): number {
    this.event(cpu, 'map', [space, this.instances, pages, frame, prot, 0, joined], gap);
    return this.instances++;
  }

  unmap(first: number, { accesses = 0, instances = 1, space = 0, gap = 0, cpu = 0 } = {}): void {
    this.event(cpu, 'unmap', [space, first, instances, accesses], gap);
  }

  /** `late`: picoseconds since the unmap began, where it has. */
  dma(id: number, { page = 0, write = 1, late = -1, gap = 0, device = 2 } = {}): void {
    this.event(device, 'dma', [id, page, 0, write, late < 0 ? 0 : 1 + late], gap);
  }

  open(): Trace {
    this.out.finish(PROVENANCE);
    return openBytes(Buffer.concat(this.parts));
  }
}

/** A recording in the checked engine, under a policy of the catalog; what is not given is the usual. */
export function runChecked(
  trace: Trace,
  policy: string,
  machine: Machine,
  more: Partial<DmaSetup> = {},
  without?: (event: TraceEvent) => boolean,
): RawRun {
  const usual = { costs: loadCosts(), seed: 1, reuse: 'immediate', timeScale: 1, ideal: false } as const;
  const setup: DmaSetup = { ...usual, policy: loadPolicy(policy), machine, ...more };
  return runDmaEngine(engineModule('checked'), setup, trace, without)!;
}

/** Runs a recording in the engine; null if a domain ran out of IOVAs. Events that `without` accepts are left out. */
export function runDmaEngine(
  module: WebAssembly.Module,
  setup: DmaSetup,
  trace: Trace,
  without: (event: TraceEvent) => boolean = () => false,
): RawRun | null {
  const engine = new DmaEngine(module, setup, trace.meta);
  for (const chunk of trace.chunks()) {
    const events = chunk.events.filter((event) => !without(event));
    engine.feed({ ...chunk, heads: Uint32Array.from(events.keys(), (i) => (i << 5) | 3), events });
  }
  try {
    return engine.finish();
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}

/** The same in the reference. */
export function runDmaReference(setup: DmaSetup, trace: Trace): DmaReferenceRun | null {
  const events = [...trace.chunks()].flatMap((chunk) => chunk.events);
  const { agents, spaces } = trace.meta;
  try {
    return referenceDmaRun(setup, { agents, spaces: spaces.length, events });
  } catch (error) {
    if (error instanceof Exhausted) return null;
    throw error;
  }
}
