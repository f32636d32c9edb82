import { type Comparison, compareTrace } from '../jobs/compare.ts';
import type { LocatedTrace } from '../jobs/locate.ts';
import { parseTimeScale } from '../model/dma.ts';
import { parseNames, parseWhole } from '../model/run.ts';
import { PS_PER_NS } from '../model/units.ts';
import { interrupted } from './interrupt.ts';
import type { MachineArgs } from './machine-options.ts';
import { startProgress } from './progress.ts';

/** Runs what the options say, with progress. */
export async function runComparison(trace: LocatedTrace, args: MachineArgs): Promise<Comparison> {
  const ahead = parseWhole(args.lookahead, '--lookahead', 0, 1e9);
  const request = {
    ...args,
    policies: parseNames(args.policies, '--policies'),
    machines: parseNames(args.machines, '--machines'),
    seed: parseWhole(args.seed, '--seed', 0, 2 ** 31 - 1),
    timeScale: parseTimeScale(args.timeScale, args.time),
    settings: args.set ?? [],
    lookahead: ahead === undefined ? undefined : ahead * PS_PER_NS,
  };
  const workers = parseWhole(args.workers, '--workers', 1, 256);
  const progress = startProgress(`replaying ${trace.name}`, args.quiet);
  const options = { workers, signal: interrupted, onProgress: (done: number) => progress.update(done) };
  return compareTrace(trace, request, options).finally(() => progress.end());
}
