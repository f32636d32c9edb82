import type { CommandModule } from 'yargs';
import { runJobs } from '../jobs/pool.ts';
import { INVALIDATES, parseGeometry, REPLACEMENTS, STRADDLES, type TlbConfig } from '../model/tlb.ts';
import { PAGE_SIZES, type PageSize } from '../model/units.ts';
import { tlbGrid, tlbJson } from '../report/tlb.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';
import { traceArgument, withTrace } from './trace-argument.ts';

interface Args extends OutputArgs, Pick<TlbConfig, 'replacement' | 'straddle' | 'invalidate'> {
  trace: string;
  l1: string;
  l1i?: string;
  l2: string;
  pageSize: PageSize;
  dataOnly: boolean;
  quiet: boolean;
}

export const tlb: CommandModule<object, Args> = {
  command: 'tlb <trace>',
  describe: 'Pure TLB statistics of a trace for any geometry',
  builder: (y) =>
    traceArgument(y)
      .option('l1', { type: 'string', default: '16x4', describe: 'First-level data TLB, SETSxWAYS' })
      .option('l1i', { type: 'string', describe: 'First-level fetch TLB; as --l1 if not given' })
      .option('l2', { type: 'string', default: '128x12', describe: 'Shared second level, or none' })
      .option('replacement', { choices: REPLACEMENTS, default: 'lru' as const, describe: 'Which entry makes room' })
      .option('page-size', {
        choices: Object.keys(PAGE_SIZES) as PageSize[],
        default: '4K' as const,
        describe: 'Of all pages',
      })
      .option('data-only', { type: 'boolean', default: false, describe: 'Leave instruction fetches out' })
      .option('straddle', {
        choices: STRADDLES,
        default: 'both' as const,
        describe: 'Pages touched by an access across two',
      })
      .option('invalidate', { choices: INVALIDATES, default: 'none' as const, describe: 'Changes that drop entries' })
      .options(OUTPUT_OPTIONS)
      .example('$0 tlb sqlite', 'a 64-entry L1 and a 1536-entry L2')
      .example('$0 tlb sqlite --l1 1x32 --l2 none --data-only', 'fully associative, data accesses alone') as never,
  handler: (args) =>
    withTrace(args.trace, args.quiet, async (trace) => {
      const progress = startProgress(`tlb ${trace.name}`, args.quiet);
      const options = { workers: 1, signal: interrupted, onProgress: (done: number) => progress.update(done) };
      const [reply] = await runJobs(trace, [{ kind: 'tlb', config: configOf(args) }], options).finally(() =>
        progress.end(),
      );
      const result = reply!.result;
      await print(
        { json: tlbJson({ file: trace.name, sha256: trace.sha256 }, trace.meta, result), grid: tlbGrid(result) },
        args,
      );
    }),
};

function configOf(args: Args): TlbConfig {
  const { replacement, dataOnly, straddle, invalidate } = args;
  const l1d = parseGeometry(args.l1, '--l1');
  const l1i = args.l1i === undefined ? l1d : parseGeometry(args.l1i, '--l1i');
  const l2 = args.l2 === 'none' ? { sets: 0, ways: 0 } : parseGeometry(args.l2, '--l2');
  return { l1d, l1i, l2, replacement, dataOnly, straddle, invalidate, pageShift: PAGE_SIZES[args.pageSize] };
}
