import type { CommandModule } from 'yargs';
import { version } from '../../build/package.js';
import { colourVerdicts } from '../report/colour.ts';
import { compareGrid, compareJson, compareText } from '../report/compare.ts';
import { compareMarkdown } from '../report/narrow.ts';
import { failOn, GATE_OPTION, type Gate } from './gate.ts';
import { type MachineArgs, machineOptions } from './machine-options.ts';
import { isColourful, OUTPUT_OPTIONS, type OutputArgs, print, terminalWidth } from './output.ts';
import { runComparison, runDraws } from './run-comparison.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends OutputArgs, MachineArgs {
  trace: string;
  failOn?: Gate;
  uncertainty?: string;
}

export const compare: CommandModule<object, Args> = {
  command: 'compare <trace>',
  describe: 'One trace under several policies and machines: what each costs, and whether it is safe',
  builder: (y) =>
    machineOptions(traceArgument(y))
      .option('fail-on', GATE_OPTION)
      .option('uncertainty', {
        type: 'string',
        requiresArg: true,
        describe: 'How often the ranking holds in N draws of all costs from their ranges',
      })
      .options(OUTPUT_OPTIONS)
      .example('$0 compare sqlite', 'invalidation under the lock against deferred to range_end')
      .example(
        '$0 compare sqlite --policies range-end,linux-6.6 --machines amd-v2 --format md',
        'two rows, for mail',
      ) as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async (trace) => {
      const label = { file: trace.name, sha256: trace.sha256 };
      const comparison = await runComparison(trace, args);
      const uncertainty = await runDraws(trace, args);
      const view = { ...comparison, uncertainty, label, meta: trace.meta, version };
      const plain = compareText(view, terminalWidth(args));
      const text = isColourful(args) ? colourVerdicts(plain) : plain;
      await print({ json: compareJson(view), grid: compareGrid(view), text, markdown: compareMarkdown(view) }, args);
      failOn(args.failOn, view.results);
    }),
};
