import { listPolicies, loadCosts, loadPolicy } from '../src/catalog/catalog.ts';
import type { Instance } from '../src/engine/load.ts';
import { MachineEngine } from '../src/engine/machine.ts';
import type { CostKey, Costs } from '../src/model/cost.ts';
import { UsageError } from '../src/model/errors.ts';
import type { Machine } from '../src/model/machine.ts';
import type { PathName } from '../src/model/path.ts';
import { checkPath, type Policy, parseSteps } from '../src/model/policy.ts';
import type { RawRun } from '../src/model/result.ts';
import type { RunSetup } from '../src/model/run.ts';
import { type ReferenceRun, referenceRun, Stuck } from '../src/reference/machine.ts';
import type { ProgramChunk, ProgramPost } from '../src/reference/program.ts';
import type { Chunk } from '../src/trace/format.ts';
import { copyColumns, DEAL, Dealer, type Piece } from '../src/trace/generate/deal.ts';
import { Follower, type Posts } from '../src/trace/generate/follow.ts';
import { KIND, Mappings } from '../src/trace/mappings.ts';
import type { Trace } from '../src/trace/reader.ts';
import { recordsOf } from '../src/trace/records.ts';
import { openBytes, type Step, writeProgram } from './program.ts';

/** What an engine run says, and the frames that are free at its end. */
export interface EngineRun {
  readonly raw: RawRun;
  readonly freeFrames: number;
}

/** The steps of so many CPUs as a trace. */
export function traceOf(steps: readonly Step[], cpus = 1): Trace {
  return openBytes(writeProgram({ interleaved: false, spaces: 1, agents: Array(cpus).fill(0), cpus, steps }));
}

/** Runs a trace in the engine; null if nobody could go on. */
export function runEngine(module: WebAssembly.Module, setup: RunSetup, trace: Trace, deal = DEAL): EngineRun | null {
  const engine = new MachineEngine(module, setup, trace.meta, deal);
  const follower = setup.device === null ? undefined : new Follower(setup.device, setup.seed);
  try {
    for (const chunk of trace.chunks()) engine.feed(chunk, follower?.posts(chunk));
    const raw = engine.finish();
    const { exports } = (engine as unknown as { instance: Instance<{ freeFrameCount(): number }> }).instance;
    return { raw, freeFrames: exports.freeFrameCount() };
  } catch (error) {
    if (error instanceof UsageError) return null;
    throw error;
  }
}

const KIND_NAMES = Object.keys(KIND) as (keyof typeof KIND)[];

/** The same in the reference: it takes records, where the engine takes columns. */
export function runReference(setup: RunSetup, trace: Trace, deal = DEAL): ReferenceRun | null {
  const follower = setup.device === null ? undefined : new Follower(setup.device, setup.seed);
  const dealer = new Dealer(trace.meta.agents, setup.cpus, deal);
  const mappings = new Mappings();
  const pages: { space: number; vpn: number }[] = [];
  const chunks: ProgramChunk[] = [];
  for (const chunk of trace.chunks()) {
    pages.push(...chunk.pages);
    const kindOf = (space: number, vpn: number) =>
      KIND_NAMES.find((name) => KIND[name] === mappings.kindOf(space, vpn))!;
    chunks.push({
      pages: chunk.pages.map(({ space, vpn }) => ({ vpn, kind: kindOf(space, vpn) })),
      pieces: dealer.pieces(chunk, follower?.posts(chunk)).map((piece) => ({
        cpu: piece.cpu,
        records: [...recordsOf({ ...chunk, ...piece, ...columnsOf(piece) }, pages)].map((record) =>
          'event' in record ? record.event : record.run,
        ),
        posts: postsOf(piece.posts),
      })),
    });
    for (const event of chunk.events) mappings.apply(event);
  }
  const { counts } = trace.meta;
  try {
    return referenceRun(setup, { chunks, pages: counts.pages, dataOnly: counts.fetches === 0 });
  } catch (error) {
    if (error instanceof Stuck) return null;
    throw error;
  }
}

/** The records of a piece. */
export function columnsOf(piece: Piece): Pick<Chunk, 'heads' | 'runFetches' | 'runDatas'> {
  const { records } = piece;
  const columns = {
    heads: new Uint32Array(records),
    runFetches: new Uint16Array(records),
    runDatas: new Uint16Array(records),
  };
  copyColumns(piece, columns);
  return columns;
}

function postsOf(words: Posts): ProgramPost[] {
  return Array.from({ length: words.length / 2 }, (_, i) => {
    const work = words[2 * i + 1]!;
    return { after: words[2 * i]!, page: work >>> 1, write: (work & 1) === 1 };
  });
}

/** Policies for the mm half, as they ship. */
export const SHIPPED: readonly Policy[] = listPolicies()
  .filter(({ family }) => family.includes('mm'))
  .map(({ name }) => loadPolicy(name));

/** A shipped policy with some of its lists replaced. */
export function variant(base: string, name: string, lists: Partial<Record<PathName, string>>): Policy {
  const policy = loadPolicy(base);
  const parsed = Object.entries(lists).map(([path, text]) => {
    const list = parseSteps(text, `${name}: ${path}`);
    checkPath(list, path as PathName, `${name}: ${path}`);
    return [path, list];
  });
  return { ...policy, name, mm: { ...policy.mm!, paths: { ...policy.mm!.paths, ...Object.fromEntries(parsed) } } };
}

export const COSTS = loadCosts();

/** The catalog's prices, some of them changed. */
export function costsWith(changes: readonly (readonly [CostKey, number])[]): Costs {
  const changed = changes.map(([key, value]) => [key, { ...COSTS[key], default: value }]);
  return { ...COSTS, ...Object.fromEntries(changed) };
}

/** What a failing test prints of a setup. */
export function showSetup({ policy, machine, costs, ...rest }: RunSetup): string {
  const { cpu, iommu, device: hardware, driver, hazards }: Machine = machine;
  const changed = Object.entries(costs).flatMap(([key, cost]) =>
    cost === COSTS[key as CostKey] ? [] : [[key, cost.default]],
  );
  return JSON.stringify({
    policy: policy.name,
    gather: policy.mm?.gather,
    machine: machine.name,
    cpu,
    iommu,
    hardware,
    driver,
    hazards,
    changed,
    ...rest,
  });
}
