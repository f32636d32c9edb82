import { paidCosts } from '../engine/encode.ts';
import type { Costs } from '../model/cost.ts';
import type { Reuse } from '../model/dma.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine } from '../model/machine.ts';
import { MODEL, type RawRun, type RunResult } from '../model/result.ts';
import {
  DEFAULT_LOOKAHEAD,
  DEFAULT_SEED,
  MAX_SEED,
  parseDevice,
  parseMemory,
  parseWhole,
  type RunSetup,
} from '../model/run.ts';
import { programCpus, type TraceMeta } from '../model/trace.ts';
import { PAGE_BYTES, PS_PER_NS } from '../model/units.ts';
import { DEAL } from '../trace/generate/deal.ts';
import type { Trace } from '../trace/reader.ts';
import { mappedPages } from '../trace/scheduled.ts';
import { spaceAgents } from './agents.ts';
import { commandLine } from './command-line.ts';
import { isRecording, planDma } from './compare-dma.ts';
import { compose } from './compose.ts';
import type { DmaJob, MachineJob } from './job.ts';
import { loadPairs, type Pair, type PairRequest, sameRuns } from './pairs.ts';
import { CHECKED_SCHEDULED, refuseAdded, scheduleTexts } from './scheduled.ts';

/** A trace as a plan sees it, wherever its bytes are. */
export interface PlannedTrace {
  /** What the user named: a path, or the name of a shipped trace. */
  readonly given: string;
  /** Its base name. */
  readonly name: string;
  readonly sha256: string;
  readonly meta: TraceMeta;
  /** Opens it for as long as `use` runs. */
  open<T>(use: (trace: Trace) => T): T;
}

/** What is asked: policies, machines, and option texts as on the command line; what is not given follows the trace. */
export interface CompareRequest extends PairRequest {
  /** Of every random choice; 1 if not given. */
  readonly seed?: number | undefined;
  /** Memory limit: a share of the footprint such as `50%`, a size such as `8M`, or none. */
  readonly memory?: string | undefined;
  /** Device that is added: `follow`, with options behind commas, or none. */
  readonly device?: string | undefined;
  /** CPUs that run the program; not given: those recorded. */
  readonly cpus?: number | undefined;
  /** Of DMA recordings. */
  readonly reuse?: Reuse | undefined;
  readonly timeScale?: number | undefined;
  readonly lookahead?: number | undefined;
}

/** What follows from a trace of an address space if nothing else is asked for. */
export const DEFAULTS = {
  policies: ['under-lock', 'range-end', 'linux-4.14', 'linux-4.15', 'linux-6.6'],
  machines: ['amd-v2', 'intel-svm'],
  memory: '50%',
  device: 'follow',
} as const;

/** A comparison: results in the order machine by machine, policy by policy. */
export interface Comparison {
  readonly results: readonly RunResult[];
  /** What the command line added to the trace. */
  readonly added: readonly string[];
  /** Pairs that were left out, with the reason. */
  readonly skipped: readonly { policy: string; machine: string; why: string }[];
  readonly costs: Costs;
  readonly machines: readonly Machine[];
  /** `policy on machine` -> the policy that gave exactly the same run. */
  readonly same: Readonly<Record<string, string>>;
  readonly model: number;
  /** The command line that gives the same again. */
  readonly again: string;
}

/** Properties that the engine checks in a run of an address space. */
const CHECKED = ['S1', 'S2', 'S3', 'S4', 'S5'];

/** The runs that a comparison is made of, before they are made. */
export interface Plan extends Omit<Comparison, 'results' | 'added' | 'same'> {
  readonly pairs: readonly Pair[];
  /** The ideal run of each machine, then one for each pair. */
  readonly jobs: readonly (MachineJob | DmaJob)[];
  /** Raw runs of the jobs to results. Each is divided by the first of its machine, or with `alone` by itself. */
  results(raw: readonly RawRun[], alone?: boolean): RunResult[];
  /** What the command line added to the trace. */
  added(runs: readonly RawRun[]): string[];
}

/** Runs every policy on every machine, and the ideal run of each machine, on one trace. `run` does jobs, in any place. */
export async function comparisonOf(
  trace: PlannedTrace,
  request: CompareRequest,
  run: (jobs: Plan['jobs']) => Promise<readonly RawRun[]>,
): Promise<Comparison> {
  const { pairs, jobs, results, added, ...plan } = planOf(trace, request);
  const raw = await run(jobs);
  const runs = raw.slice(jobs.length - pairs.length);
  if (pairs.length > 1) refuseEmpty(trace, runs);
  return { ...plan, results: results(raw), added: added(runs), same: sameRuns(pairs, runs) };
}

/** A request whose seed is settled. */
export type SeededRequest = CompareRequest & { readonly seed: number };

/** What is to be run for a request. */
export function planOf(trace: PlannedTrace, request: CompareRequest): Plan {
  const seeded = { ...request, seed: seedOf(request) };
  return isRecording(trace.meta) ? planDma(trace, seeded) : planSpace(trace, seeded);
}

/** The seed of a request. */
export function seedOf({ seed = DEFAULT_SEED }: CompareRequest): number {
  return parseWhole(String(seed), 'seed', 0, MAX_SEED)!;
}

function planSpace(trace: PlannedTrace, request: SeededRequest): Plan {
  const { meta } = trace;
  if (request.reuse !== undefined || request.timeScale !== undefined)
    throw new UsageError(`${trace.name} has no DMA mappings: --reuse and --time are for those`);
  const { costs, machines, pairs, skipped } = loadPairs(request, DEFAULTS, 'mm');
  const scheduled = meta.schedule !== undefined;
  if (scheduled) refuseAdded(trace.name, request);
  const frames = scheduled ? null : parseMemory(request.memory ?? DEFAULTS.memory, meta.counts.pages);
  const device = scheduled ? null : parseDevice(request.device ?? DEFAULTS.device);
  const cpus = request.cpus ?? programCpus(meta).length;
  const { seed, lookahead = DEFAULT_LOOKAHEAD } = request;
  const base = { costs, seed, frames, device, cpus, lookahead };
  const job = ({ policy, machine }: Omit<Pair, 'given'>, ideal: boolean): MachineJob => ({
    kind: 'machine',
    setup: { ...base, policy, machine, ideal } satisfies RunSetup,
  });
  const used = machines.filter((machine) => pairs.some((pair) => pair.machine === machine));
  const ideals = used.map((machine) =>
    job({ policy: pairs.find((pair) => pair.machine === machine)!.policy, machine }, true),
  );
  return {
    pairs,
    jobs: [...ideals, ...pairs.map((pair) => job(pair, false))],
    results(raw, alone = false) {
      const runs = raw.slice(ideals.length);
      const vpns = pageNumbers(trace, new Set(runs.flatMap((run) => (run.first ? [run.first.page] : []))));
      return pairs.map(({ policy, machine, given }, i) =>
        compose({
          policy: policy.name,
          machine,
          costs,
          seed: request.seed,
          checked: scheduled ? CHECKED_SCHEDULED : CHECKED,
          paid: paidCosts(machine),
          repro: commandLine(
            'run',
            trace,
            { ...request, settings: given.settings },
            [given.policy],
            [given.machine],
            added(request, scheduled),
          ),
          run: runs[i]!,
          ideal: raw[used.indexOf(machine)]!,
          baseline: runs[alone ? i : pairs.findIndex((pair) => pair.machine === machine)]!,
          agents: spaceAgents(meta, machine, cpus),
          vpnOf: (page) => vpns.get(page)!,
        }),
      );
    },
    added: (runs) => (scheduled ? scheduleTexts(pairs, runs) : addedText(base, meta, runs[0]!)),
    skipped,
    costs,
    machines: used,
    model: MODEL,
    again: commandLine('compare', trace, request, request.policies, request.machines, added(request, scheduled)),
  };
}

/** Equal rows would say nothing, and look like a result. */
function refuseEmpty(trace: PlannedTrace, runs: readonly RawRun[]): void {
  if (runs.every(({ counters }) => counters.N_UNMAPPED === 0 && counters.N_SECONDARY === 0)) {
    throw new UsageError(
      `${trace.name}: no translation was taken away or narrowed, so policies do not differ; give less --memory`,
    );
  }
  if (runs.every((run) => run.counters.N_DMA === 0)) {
    throw new UsageError(
      `${trace.name}: no device access happened, so nothing can be said about safety; give a --device`,
    );
  }
}

/** Page numbers of page ids of a trace; of a scheduled one those of its `mmap` events, in order. */
export function pageNumbers(trace: PlannedTrace, wanted: ReadonlySet<number>): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  if (wanted.size > 0) {
    trace.open((opened) => {
      let id = 0;
      for (const chunk of opened.chunks()) {
        const pages = trace.meta.schedule === undefined ? chunk.pages : chunk.events.flatMap(mappedPages);
        for (const { vpn } of pages) {
          if (wanted.has(id)) found.set(id, vpn);
          id++;
        }
        if (found.size === wanted.size) return;
      }
    });
  }
  return found;
}

function addedText(
  { frames, device, cpus }: Pick<RunSetup, 'frames' | 'device' | 'cpus'>,
  meta: TraceMeta,
  run: RawRun,
): string[] {
  const added: string[] = [];
  if (cpus !== programCpus(meta).length)
    added.push(`${cpus} CPUs run it side by side, ${DEAL.toLocaleString('en')} records each in turn`);
  if (device !== null) {
    const ms = (ps: number): string => `${ps / PS_PER_NS / 1e6} ms`;
    const phases = device.idle === 0 ? 'always active' : `${ms(device.active)} on, ${ms(device.idle)} off`;
    const cpu = meta.agents[0]!.name;
    added.push(
      `dev0 follows ${cpu}: 1 DMA per ${device.every} accesses, ${phases}, ${Math.round(device.write * 100)} % writes`,
    );
    const late = (run.counters.N_DMA_LATE! / Math.max(1, run.counters.N_DMA!)) * 100;
    added.push(`${late.toFixed(1)} % of its accesses are late, on pages unmapped within the last 1,000 records`);
  }
  if (frames !== null) {
    const size = ((frames * PAGE_BYTES) / 2 ** 20).toFixed(1);
    added.push(
      `memory limit ${size} MiB: kswapd unmapped ${String(run.counters.N_RECLAIMED).replace(/\B(?=(\d{3})+$)/g, ',')} pages`,
    );
  }
  return added;
}

/** What the command line adds to a trace, as it was given or by default. */
function added(
  { memory = DEFAULTS.memory, device = DEFAULTS.device, cpus }: CompareRequest,
  scheduled: boolean,
): string[] {
  if (scheduled) return [];
  return ['--memory', memory, '--device', device, ...(cpus === undefined ? [] : ['--cpus', String(cpus)])];
}
