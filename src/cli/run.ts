import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { isRecording } from '../jobs/compare-dma.ts';
import { UsageError } from '../model/errors.ts';
import type { TraceMeta } from '../model/trace.ts';
import { compareJson } from '../report/compare.ts';
import { runGrid } from '../report/run.ts';
import { failOn, GATE_OPTION, type Gate } from './gate.ts';
import { type MachineArgs, machineOptions } from './machine-options.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { runComparison } from './run-comparison.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends OutputArgs, MachineArgs {
  trace: string;
  failOn?: Gate;
}

/** The arguments with one policy and one machine where none are given. */
export function onePair<T extends MachineArgs>(args: T, meta: TraceMeta): T {
  const [policies, machines] = isRecording(meta) ? ['strict', 'intel-vtd'] : ['range-end', 'amd-v2'];
  return { ...args, policies: args.policies ?? policies!, machines: args.machines ?? machines! };
}

export const run: CommandModule<object, Args> = {
  command: 'run <trace>',
  describe: 'One policy on one machine, every number',
  builder: (y) =>
    machineOptions(traceArgument(y))
      .option('fail-on', GATE_OPTION)
      .options(OUTPUT_OPTIONS)
      .example('$0 run sqlite --policy range-end --machine amd-v2', 'every number of one row of `compare`')
      .example('$0 run sqlite --policy linux-6.6 --machine intel-svm --format json', 'the same for scripts') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async (trace) => {
      const one = onePair(args, trace.meta);
      const label = { file: trace.name, sha256: trace.sha256 };
      const view = { ...(await runComparison(trace, one)), label, meta: trace.meta, version };
      const [result, ...more] = view.results;
      if (more.length > 0) throw new UsageError('run takes one policy and one machine; `compare` takes several');
      await print({ json: compareJson(view), grid: runGrid(result!) }, args);
      failOn(args.failOn, view.results);
    }),
};
