/** Runs what was measured elsewhere, and compares. */
import { workOf } from '../jobs/compose.ts';
import { generatedTrace } from '../jobs/generate.ts';
import { type LocatedTrace, locateTrace } from '../jobs/locate.ts';
import { planOf } from '../jobs/plan.ts';
import { type PoolOptions, runJobs } from '../jobs/pool.ts';
import { UsageError } from '../model/errors.ts';
import {
  type Experiment,
  type ExperimentSetup,
  isWithin,
  type Outcome,
  type TableCheck,
  type TableResult,
  toleranceText,
} from '../model/experiment.ts';
import { nearText } from '../model/near.ts';
import type { RawRun } from '../model/result.ts';
import { PS_PER_NS } from '../model/units.ts';
import { workloadNamed } from '../trace/generate/index.ts';
import { parseSizes } from '../trace/generate/workload.ts';

/** Runs every case of an experiment, with its costs and with the default ones, and compares each outcome. `place`: its file. */
export async function verifyExperiment(
  experiment: Experiment,
  place: string,
  options: PoolOptions = {},
): Promise<TableResult> {
  const { name, title, source, setup = {}, cases = {}, checks } = experiment;
  const bench = new Bench(options);
  try {
    const used = Object.keys(cases).filter((key) =>
      checks.some((check) => check.kind !== 'not-modelled' && (check.case === key || check.over === key)),
    );
    const own = new Map<string, RawRun>();
    const usual = new Map<string, RawRun>();
    for (const key of used) {
      const all = merged(setup, cases[key]!);
      const at = `${place}: cases.${key}`;
      own.set(key, await bench.run(all, at));
      const { costs = {}, ...rest } = all;
      usual.set(key, Object.keys(costs).length === 0 ? own.get(key)! : await bench.run(rest, at));
    }
    const rows = checks.map((check) => compared(check, own, usual, place));
    const counted = rows.filter(({ kind }) => kind !== 'not-modelled');
    const held = counted.filter(({ holds }) => holds).length;
    return { experiment: name, title, source, checks: rows, held, failed: counted.length - held };
  } finally {
    await bench.close();
  }
}

function merged(shared: ExperimentSetup, own: ExperimentSetup): ExperimentSetup {
  return {
    ...shared,
    ...own,
    workload: { ...shared.workload, ...own.workload },
    costs: { ...shared.costs, ...own.costs },
    set: { ...shared.set, ...own.set },
  };
}

function compared(
  check: Outcome,
  own: ReadonlyMap<string, RawRun>,
  usual: ReadonlyMap<string, RawRun>,
  place: string,
): TableCheck {
  const { what: name, kind, expected, unit = '', why } = check;
  const base = { name, kind, expected, unit, tolerance: toleranceText(check), ...(why && { why }) };
  if (kind === 'not-modelled') return { ...base, got: null, with_default_costs: null, holds: false };
  const got = outcomeOf(check, own, place);
  const same = own.get(check.case!) === usual.get(check.case!);
  return {
    ...base,
    got,
    with_default_costs: same ? null : outcomeOf(check, usual, place),
    holds: isWithin(check, got),
  };
}

function outcomeOf(check: Outcome, runs: ReadonlyMap<string, RawRun>, place: string): number {
  const { sum, per, times = 1, plus = 0, over } = check;
  const of = (run: RawRun): number => {
    const quantity = (key: string): number => quantityOf(run, key, `${place}: ${check.what}`);
    return sum!.reduce((all, key) => all + quantity(key), 0) / (per === undefined ? 1 : quantity(per));
  };
  const value = of(runs.get(check.case!)!);
  return (over === undefined ? value : value / of(runs.get(over)!)) * times + plus;
}

/** Time of a cause in ns, a counter, time, calls or pages of a path, or one of a few others. */
function quantityOf(run: RawRun, key: string, place: string): number {
  const paths = Object.entries(run.paths).flatMap(([path, { count, pages, ps }]) => [
    [`${path}.ns`, ps / PS_PER_NS],
    [`${path}.calls`, count],
    [`${path}.pages`, pages],
  ]);
  const others: Record<string, number> = {
    ...Object.fromEntries(paths),
    elapsed_ns: run.elapsed / PS_PER_NS,
    work_ns: workOf(run) / PS_PER_NS,
    lock_hold_p99_ns: run.distributions.lockHold!.p99 / PS_PER_NS,
  };
  const cause = run.causes[key];
  const value = others[key] ?? (cause === undefined ? run.counters[key] : cause / PS_PER_NS);
  if (value !== undefined) return value;
  const known = [...Object.keys(others), ...Object.keys(run.causes), ...Object.keys(run.counters)];
  throw new UsageError(`${place}: no quantity "${key}"${nearText(key, known)}; quantities are ${known.join(', ')}`);
}

/** Traces that an experiment needs, each made once. */
class Bench {
  private readonly traces = new Map<string, Promise<LocatedTrace>>();

  constructor(private readonly options: PoolOptions) {}

  async run(setup: ExperimentSetup, place: string): Promise<RawRun> {
    const { machine, policy, memory, device, packed, costs = {}, set = {}, seed = 1 } = setup;
    if (machine === undefined || policy === undefined)
      throw new UsageError(`${place}: expected a machine and a policy`);
    const trace = await this.trace(setup, place);
    const settings = [
      ...Object.entries(costs).map(([key, ns]) => `cost.${key}=${ns}`),
      ...Object.entries(set).map(([key, value]) => `${key}=${value}`),
    ];
    const request = { policies: [policy], machines: [machine], seed, settings, memory, device };
    const { jobs } = planOf(trace, packed ? { ...request, timeScale: 0 } : request);
    // The first job is the ideal run, which is compared with nothing here.
    const [run] = await runJobs(trace, jobs.slice(1), this.options);
    return run as RawRun;
  }

  private trace({ trace, workload = {}, seed = 1 }: ExperimentSetup, place: string): Promise<LocatedTrace> {
    if ((trace === undefined) === (workload.name === undefined))
      throw new UsageError(`${place}: expected either a trace or a workload`);
    const key = JSON.stringify([trace, workload, seed]);
    let found = this.traces.get(key);
    if (found === undefined) {
      found = trace === undefined ? this.generate(workload, seed) : locateTrace(trace);
      this.traces.set(key, found);
    }
    return found;
  }

  private generate({ name, ...sizes }: Readonly<Record<string, string | number>>, seed: number): Promise<LocatedTrace> {
    const workload = workloadNamed(String(name));
    const given = Object.fromEntries(Object.entries(sizes).map(([key, size]) => [key, String(size)]));
    return generatedTrace(workload, parseSizes(workload, given), seed);
  }

  async close(): Promise<void> {
    for (const made of await Promise.allSettled(this.traces.values()))
      if (made.status === 'fulfilled') made.value.close();
  }
}
