import type { Argv } from 'yargs';
import { type Comparison, compareTrace, DEFAULTS } from '../jobs/compare.ts';
import type { LocatedTrace } from '../jobs/locate.ts';
import { UsageError } from '../model/errors.ts';
import type { ComparisonView } from '../report/compare.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';
import { toolVersion } from './version.ts';

/** Options that `compare` and `run` share, as yargs gives them. */
export interface MachineArgs {
  policies: string;
  machines: string;
  seed: string;
  workers?: string;
  memory: string;
  device: string;
  costs?: string;
  set?: string[];
  lookahead?: string;
  quiet: boolean;
}

/** Adds the options; defaults of policies and machines are the caller's. */
export function machineOptions<T>(y: Argv<T>, policies: string, machines: string) {
  const text = { type: 'string', requiresArg: true } as const;
  return y
    .option('policies', {
      ...text,
      alias: 'policy',
      default: policies,
      describe: 'a,b,...: names or YAML files; the first is the baseline',
    })
    .option('machines', { ...text, alias: 'machine', default: machines, describe: 'a,b,...: names or YAML files' })
    .option('memory', {
      ...text,
      default: DEFAULTS.memory as string,
      describe: 'Share of the footprint, or a size; none: no limit',
    })
    .option('device', {
      ...text,
      default: DEFAULTS.device as string,
      describe: 'follow[,every=200][,write=30%][,active=5ms][,idle=5ms][,ats=on|off], or none',
    })
    .option('seed', { ...text, default: '1', describe: 'Seed of every random choice' })
    .option('costs', { ...text, describe: 'YAML file of costs that replace the default ones' })
    .option('set', {
      ...text,
      array: true,
      nargs: 1,
      describe: 'machine.KEY=VALUE or cost.KEY=VALUE; may be given again',
    })
    .option('workers', { ...text, describe: 'Worker threads; all cores if not given. Changes no number' })
    .option('lookahead', { ...text, describe: 'ns that TLB hits may run ahead; changes no number' });
}

/** Runs what the options say, with progress. */
export async function runComparison(trace: LocatedTrace, args: MachineArgs): Promise<Comparison> {
  const progress = startProgress(`replaying ${trace.name}`, args.quiet);
  const lookahead = args.lookahead === undefined ? undefined : whole(args.lookahead, '--lookahead', 1e9) * 1000;
  const request = {
    policies: names(args.policies, '--policies'),
    machines: names(args.machines, '--machines'),
    seed: whole(args.seed, '--seed', 2 ** 31 - 1),
    memory: args.memory,
    device: args.device,
    costs: args.costs,
    settings: args.set ?? [],
    lookahead,
  };
  const workers = args.workers === undefined ? undefined : Math.max(1, whole(args.workers, '--workers', 256));
  const options = { workers, signal: interrupted, onProgress: (done: number) => progress.update(done) };
  return compareTrace(trace, request, options).finally(() => progress.end());
}

/** What reports need, and the command line that gives the same again. */
export function viewOf(trace: LocatedTrace, args: MachineArgs, comparison: Comparison): ComparisonView {
  const file = trace.name.replace(/\.trace$/, '');
  const set = (args.set ?? []).flatMap((setting) => ['--set', setting]);
  const costs = args.costs === undefined ? [] : ['--costs', args.costs];
  const chosen = args.policies === DEFAULTS.policies.join() ? [] : ['--policies', args.policies];
  const machines = args.machines === DEFAULTS.machines.join() ? [] : ['--machines', args.machines];
  const words = [
    ...chosen,
    ...machines,
    '--memory',
    args.memory,
    '--device',
    args.device,
    '--seed',
    args.seed,
    ...costs,
    ...set,
  ];
  const label = { file: trace.name, sha256: trace.sha256 };
  const again = ['iommulator compare', file, ...words].join(' ');
  return { ...comparison, label, meta: trace.meta, version: toolVersion(), again };
}

function names(text: string, option: string): string[] {
  const list = text.split(',').map((name) => name.trim());
  if (list.some((name) => name === ''))
    throw new UsageError(`${option} is "${text}", expected names with commas between`);
  const twice = list.find((name, i) => list.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`${option} names ${twice} twice`);
  return list;
}

function whole(text: string, option: string, most: number): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > most) {
    throw new UsageError(`${option} is "${text}", expected a whole number of 0..${most}`);
  }
  return Number(text);
}
