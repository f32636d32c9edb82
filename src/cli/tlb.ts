import type { CommandModule } from 'yargs';
import { countTlb } from '../jobs/pool.ts';
import { tlbGrid, tlbJson } from '../report/tlb.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';
import { type TlbArgs, tlbConfig, tlbOptions } from './tlb-options.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends OutputArgs, TlbArgs {
  trace: string;
  quiet: boolean;
}

/** `tlb TRACE` */
export const tlb: CommandModule<object, Args> = {
  command: 'tlb <trace>',
  describe: 'Pure TLB statistics of a trace for any geometry',
  builder: (y) =>
    tlbOptions(traceArgument(y))
      .options(OUTPUT_OPTIONS)
      .example('$0 tlb sqlite', 'a 64-entry L1 and a 1536-entry L2')
      .example('$0 tlb sqlite --cpu zen4', 'the TLBs of a CPU; `list cpus` has them')
      .example('$0 tlb sqlite --l1 1x32 --l2 none --data-only', 'fully associative, data accesses alone') as never,
  handler: async (args) => {
    const config = tlbConfig(args);
    await withTrace(args.trace, args.quiet, async (trace) => {
      const progress = startProgress(`tlb ${trace.name}`, args.quiet, 'records');
      const options = {
        workers: 1,
        signal: interrupted,
        onProgress: (done: number) => progress.update(done, trace.meta.counts.records),
      };
      const result = await countTlb(trace, config, options).finally(() => progress.end());
      const label = { file: trace.name, sha256: trace.sha256 };
      await print({ json: tlbJson(label, trace.meta, config, result), grid: tlbGrid(result) }, args);
    });
  },
};
