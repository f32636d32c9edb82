import type { Argv } from 'yargs';
import { type Comparison, compareTrace, DEFAULTS } from '../jobs/compare.ts';
import { DMA_DEFAULTS, isRecording, replayWords } from '../jobs/compare-dma.ts';
import type { LocatedTrace } from '../jobs/locate.ts';
import { REUSES, type Reuse } from '../model/dma.ts';
import { UsageError } from '../model/errors.ts';
import type { ComparisonView } from '../report/compare.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';
import { toolVersion } from './version.ts';

/** Options that `compare` and `run` share, as yargs gives them. */
export interface MachineArgs {
  policies?: string;
  machines?: string;
  seed: string;
  workers?: string;
  memory?: string;
  device?: string;
  reuse?: Reuse;
  timeScale?: string;
  time?: 'packed';
  costs?: string;
  set?: string[];
  lookahead?: string;
  quiet: boolean;
}

/** Adds the options. What is not given follows the trace, so that yargs has no defaults of these. */
export function machineOptions<T>(y: Argv<T>) {
  const text = { type: 'string', requiresArg: true } as const;
  const follows = (mm: readonly string[], dma: readonly string[]): string =>
    `follows the trace: ${mm.join()}; with DMA mappings ${dma.join()}`;
  return y
    .option('policies', {
      ...text,
      alias: 'policy',
      defaultDescription: follows(DEFAULTS.policies, DMA_DEFAULTS.policies),
      describe: 'a,b,...: names or YAML files, or all; the first is the baseline',
    })
    .option('machines', {
      ...text,
      alias: 'machine',
      defaultDescription: follows(DEFAULTS.machines, DMA_DEFAULTS.machines),
      describe: 'a,b,...: names or YAML files, or all',
    })
    .option('memory', {
      ...text,
      defaultDescription: DEFAULTS.memory,
      describe: 'Share of the footprint, or a size; none: no limit',
    })
    .option('device', {
      ...text,
      defaultDescription: DEFAULTS.device,
      describe: 'follow[,every=200][,write=30%][,active=5ms][,idle=5ms][,ats=on|off], or none',
    })
    .option('reuse', {
      choices: REUSES,
      requiresArg: true,
      defaultDescription: 'immediate',
      describe: 'DMA mappings: whose a frame is once dma_unmap has returned',
    })
    .option('time-scale', {
      ...text,
      defaultDescription: '1',
      describe: 'DMA mappings: factor of the recorded think time',
    })
    .option('time', { choices: ['packed'] as const, requiresArg: true, describe: 'DMA mappings: no think time at all' })
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
    policies: args.policies === undefined ? undefined : names(args.policies, '--policies'),
    machines: args.machines === undefined ? undefined : names(args.machines, '--machines'),
    seed: whole(args.seed, '--seed', 2 ** 31 - 1),
    memory: args.memory,
    device: args.device,
    reuse: args.reuse,
    timeScale: timeScale(args),
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
  const given = (option: string, text: string | undefined): string[] => (text === undefined ? [] : [option, text]);
  const added = isRecording(trace.meta)
    ? replayWords({ reuse: args.reuse, timeScale: timeScale(args) })
    : ['--memory', args.memory ?? DEFAULTS.memory, '--device', args.device ?? DEFAULTS.device];
  const chosen = [...given('--policies', args.policies), ...given('--machines', args.machines)];
  const words = [...chosen, ...added, '--seed', args.seed, ...costs, ...set];
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

/** Factor of think time; 0: packed; undefined: not given. */
function timeScale({ timeScale: text, time }: MachineArgs): number | undefined {
  if (time !== undefined && text !== undefined)
    throw new UsageError('--time packed and --time-scale exclude each other');
  if (time !== undefined) return 0;
  if (text === undefined) return undefined;
  if (!/^\d{1,4}(\.\d{1,6})?$/.test(text) || Number(text) === 0)
    throw new UsageError(`--time-scale is "${text}", expected a number above 0 and below 10000, such as 0.5`);
  return Number(text);
}

function whole(text: string, option: string, most: number): number {
  if (!/^\d{1,10}$/.test(text) || Number(text) > most) {
    throw new UsageError(`${option} is "${text}", expected a whole number of 0..${most}`);
  }
  return Number(text);
}
