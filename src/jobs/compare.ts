import { loadCosts, loadMachine, loadPolicy, settingKind, withSetting } from '../catalog/catalog.ts';
import type { Costs } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine } from '../model/machine.ts';
import { familiesOf, type Policy } from '../model/policy.ts';
import { MODEL, type RawRun, type RunResult } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, type Follow, parseDevice, parseMemory, type RunSetup } from '../model/run.ts';
import type { TraceMeta } from '../model/trace.ts';
import { PAGE_BYTES, PS_PER_NS } from '../model/units.ts';
import { compose } from './compose.ts';
import type { MachineJob } from './job.ts';
import { type LocatedTrace, useTrace } from './locate.ts';
import { type PoolOptions, runJobs } from './pool.ts';

/** What the user asks: names and option texts as they were typed. */
export interface CompareRequest {
  readonly policies: readonly string[];
  readonly machines: readonly string[];
  readonly seed: number;
  readonly memory: string;
  readonly device: string;
  readonly costs?: string | undefined;
  readonly settings: readonly string[];
  readonly lookahead?: number | undefined;
}

/** What follows from a trace if nothing else is asked for. */
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

interface Pair {
  readonly policy: Policy;
  readonly machine: Machine;
}

/** Runs every policy on every machine, and the ideal run of each machine, on one trace. */
export async function compareTrace(
  trace: LocatedTrace,
  request: CompareRequest,
  options: PoolOptions = {},
): Promise<Comparison> {
  const { meta } = trace;
  if (meta.counts.maps + meta.counts.unmaps > 0) {
    throw new UsageError(
      `${trace.name} has DMA mappings: its recordings can be checked with \`verify recording\`, timed comparison of DMA policies is not there yet`,
    );
  }
  const changes = (kind: string) => request.settings.filter((setting) => settingKind(setting) === kind);
  const costs = changes('cost').reduce<Costs>(withSetting, loadCosts(request.costs));
  const machines = request.machines.map((name) => changes('machine').reduce<Machine>(withSetting, loadMachine(name)));
  const { pairs, skipped } = pairsOf(request.policies.map(loadPolicy), machines);
  const frames = parseMemory(request.memory, meta.counts.pages);
  const device = parseDevice(request.device);
  const base = { costs, seed: request.seed, frames, device, lookahead: request.lookahead ?? DEFAULT_LOOKAHEAD };
  const job = ({ policy, machine }: Pair, ideal: boolean): MachineJob => ({
    kind: 'machine',
    setup: { ...base, policy, machine, ideal } satisfies RunSetup,
  });
  const used = machines.filter((machine) => pairs.some((pair) => pair.machine === machine));
  const ideals = used.map((machine) =>
    job({ policy: pairs.find((pair) => pair.machine === machine)!.policy, machine }, true),
  );
  const raw = await runJobs(trace, [...ideals, ...pairs.map((pair) => job(pair, false))], options);
  const runs = raw.slice(ideals.length);
  if (pairs.length > 1) refuseEmpty(trace, runs);
  const vpnOf = pageNumbers(trace.path, runs);
  const results = pairs.map(({ policy, machine }, i) =>
    compose({
      policy: policy.name,
      machine,
      costs,
      seed: request.seed,
      repro: commandLine('run', trace, request, [policy.name], [machine.name]),
      run: runs[i]!,
      ideal: raw[used.indexOf(machine)]!,
      baseline: runs[pairs.findIndex((pair) => pair.machine === machine)]!,
      agentName: (agent) => agentName(agent, meta),
      vpnOf,
    }),
  );
  const same = sameRuns(pairs, runs);
  return {
    results,
    added: addedText(frames, device, meta, runs[0]!),
    skipped,
    costs,
    machines: used,
    same,
    model: MODEL,
    again: commandLine('compare', trace, request, request.policies, request.machines),
  };
}

function pairsOf(policies: readonly Policy[], machines: readonly Machine[]) {
  const pairs: Pair[] = [];
  const skipped: { policy: string; machine: string; why: string }[] = [];
  for (const machine of machines) {
    for (const policy of policies) {
      if (machine.family === 'mm' && familiesOf(policy).includes('mm')) pairs.push({ policy, machine });
      else skipped.push({ policy: policy.name, machine: machine.name, why: whyNot(policy, machine) });
    }
  }
  if (pairs.length === 0) throw new UsageError(skipped[0]!.why);
  return { pairs, skipped };
}

function whyNot(policy: Policy, machine: Machine): string {
  if (machine.family !== 'mm')
    return `machine ${machine.name} is of family ${machine.family}; this trace has an address space and wants one of family mm`;
  return `policy ${policy.name} is of family ${familiesOf(policy).join(', ')} and machine ${machine.name} of family ${machine.family}`;
}

/** Equal rows would say nothing, and look like a result. */
function refuseEmpty(trace: LocatedTrace, runs: readonly RawRun[]): void {
  if (runs.every((run) => run.counters.N_UNMAPPED === 0)) {
    throw new UsageError(`${trace.name}: nothing was unmapped, so policies do not differ; give less --memory`);
  }
  if (runs.every((run) => run.counters.N_DMA === 0)) {
    throw new UsageError(
      `${trace.name}: no device access happened, so nothing can be said about safety; give a --device`,
    );
  }
}

/** Policies whose run is the same in every number, on one machine. */
function sameRuns(pairs: readonly Pair[], runs: readonly RawRun[]): Record<string, string> {
  const same: Record<string, string> = {};
  const texts = runs.map((run) => JSON.stringify(run));
  pairs.forEach(({ policy, machine }, i) => {
    const first = pairs.findIndex((pair, j) => j < i && pair.machine === machine && texts[j] === texts[i]);
    if (first >= 0) same[`${policy.name} on ${machine.name}`] = pairs[first]!.policy.name;
  });
  const differ = pairs.length - Object.keys(same).length;
  const machines = new Set(pairs.map((pair) => pair.machine)).size;
  if (pairs.length > machines && differ === machines) {
    throw new UsageError(
      `${pairs.map((pair) => pair.policy.name).join(', ')} do not differ on anything that happens in this trace`,
    );
  }
  return same;
}

/** Page numbers of the pages that results name. */
function pageNumbers(path: string, runs: readonly RawRun[]): (page: number) => number {
  const wanted = new Set(runs.flatMap((run) => (run.first ? [run.first.page] : [])));
  const found = new Map<number, number>();
  if (wanted.size > 0) {
    useTrace(path, (trace) => {
      let id = 0;
      for (const chunk of trace.chunks()) {
        for (const page of chunk.pages) {
          if (wanted.has(id)) found.set(id, page.vpn);
          id++;
        }
        if (found.size === wanted.size) return;
      }
    });
  }
  return (page) => found.get(page)!;
}

/** CPUs, kswapd, the IOMMU, the device's issuer, its accesses in flight: the engine's order of agents. */
function agentName(agent: number, meta: TraceMeta): string {
  const cpus = meta.agents.filter(({ kind }) => kind === 'cpu').map(({ name }) => name);
  return [...cpus, 'kswapd', 'iommu', 'dev0'][agent] ?? 'dev0';
}

function addedText(frames: number | null, device: Follow | null, meta: TraceMeta, run: RawRun): string[] {
  const added: string[] = [];
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

/** The command that repeats a run; what is default is left out but what decides most. */
function commandLine(
  command: 'compare' | 'run',
  trace: LocatedTrace,
  request: CompareRequest,
  policies: readonly string[],
  machines: readonly string[],
): string {
  const option = (name: string, given: readonly string[], usual: readonly string[]): string[] =>
    command === 'compare' && given.join() === usual.join() ? [] : [name, given.join()];
  const words = [
    ...option('--policies', policies, DEFAULTS.policies),
    ...option('--machines', machines, DEFAULTS.machines),
    ...['--memory', request.memory, '--device', request.device, '--seed', String(request.seed)],
    ...(request.costs === undefined ? [] : ['--costs', request.costs]),
    ...request.settings.flatMap((setting) => ['--set', setting]),
  ];
  return ['iommulator', command, trace.name.replace(/\.trace$/, ''), ...words].join(' ');
}
