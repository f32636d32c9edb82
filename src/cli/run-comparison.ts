import { compareTrace } from '../jobs/compare.ts';
import type { LocatedTrace } from '../jobs/locate.ts';
import type { CompareRequest, Comparison } from '../jobs/plan.ts';
import type { PoolOptions } from '../jobs/pool.ts';
import { drawComparisons } from '../jobs/uncertainty.ts';
import { parseTimeScale } from '../model/dma.ts';
import { MAX_SEED, parseNames, parseWhole } from '../model/run.ts';
import type { Uncertainty } from '../model/uncertainty.ts';
import { PS_PER_NS } from '../model/units.ts';
import { interrupted } from './interrupt.ts';
import type { MachineArgs } from './machine-options.ts';
import { startProgress } from './progress.ts';

const MOST_DRAWS = 100_000;

/** What the options ask for. */
export function requestOf(args: MachineArgs): CompareRequest {
  const ahead = parseWhole(args.lookahead, '--lookahead', 0, 1e9);
  return {
    ...args,
    policies: parseNames(args.policies, '--policies'),
    cpus: parseWhole(args.cpus, '--cpus', 1, 32),
    machines: parseNames(args.machines, '--machines'),
    seed: parseWhole(args.seed, '--seed', 0, MAX_SEED),
    timeScale: parseTimeScale(args.timeScale, args.time),
    settings: args.set ?? [],
    lookahead: ahead === undefined ? undefined : ahead * PS_PER_NS,
  };
}

/** Does `work` on a trace with as many workers as the options say, and with progress. */
export async function withProgress<T>(
  trace: LocatedTrace,
  args: Pick<MachineArgs, 'workers' | 'quiet'>,
  work: (options: PoolOptions) => Promise<T>,
): Promise<T> {
  const workers = parseWhole(args.workers, '--workers', 1, 256);
  const { update, end } = startProgress(`replaying ${trace.name}`, args.quiet, 'records');
  const onProgress = (done: number): void => update(done, trace.meta.counts.records);
  return work({ workers, signal: interrupted, onProgress }).finally(end);
}

/** Runs what the options say, with progress. */
export async function runComparison(trace: LocatedTrace, args: MachineArgs): Promise<Comparison> {
  const request = requestOf(args);
  return withProgress(trace, args, (options) => compareTrace(trace, request, options));
}

/** The same under as many draws of all costs as `--uncertainty` says. */
export async function runDraws(
  trace: LocatedTrace,
  args: MachineArgs & { uncertainty?: string },
): Promise<Uncertainty | undefined> {
  const draws = parseWhole(args.uncertainty, '--uncertainty', 1, MOST_DRAWS);
  if (draws === undefined) return undefined;
  const request = requestOf(args);
  return withProgress(trace, args, (options) => drawComparisons(trace, request, draws, options));
}
