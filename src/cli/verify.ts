import type { CommandModule } from 'yargs';
import { ORDER_POLICIES, type OrderPolicy } from '../model/order.ts';
import { checkGrid, recordingText } from '../report/recording.ts';
import { ORDER_MACHINES } from '../verify/machines.ts';
import { verifyTrace } from '../verify/recording.ts';
import { EXIT } from './errors.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';
import { traceArgument, withTrace } from './trace-argument.ts';
import { table } from './verify-table.ts';
import { vectors } from './verify-vectors.ts';

interface Args extends OutputArgs {
  trace: string;
  machine?: string;
  policy: OrderPolicy;
  quiet: boolean;
}

const MACHINE = { type: 'string', requiresArg: true } as const;
const NAMES = ORDER_MACHINES.map(({ name }) => name).join(', ');
const POLICY = { choices: ORDER_POLICIES, requiresArg: true, default: 'recorded' as OrderPolicy } as const;

const recording: CommandModule<object, Args> = {
  command: 'recording <trace>',
  describe: 'A real kernel on QEMU, replayed in its order: every translation, every invalidation command',
  builder: (y) =>
    traceArgument(y)
      .option('machine', { ...MACHINE, describe: `Instead of the recorded one: ${NAMES}` })
      .option('policy', { ...POLICY, describe: 'What the DMA API does at an unmap' })
      .options(OUTPUT_OPTIONS)
      .example('$0 verify recording guest.qemu.txt.zst', 'is what the machine did what the model predicts?')
      .example('$0 verify recording guest.trace --format json', 'the same for scripts') as never,
  handler: ({ trace: given, quiet, machine, policy, ...output }) =>
    withTrace(given, quiet, async (trace) => {
      const { update, end } = startProgress(`verifying ${trace.name}`, quiet);
      const options = { machine, policy, signal: interrupted, onProgress: update };
      const result = await verifyTrace(trace, options).finally(end);
      const file = { file: trace.name, source: trace.meta.source.file };
      const text = recordingText(file.file, file.source, result);
      await print({ json: { ...file, ...result }, grid: checkGrid(result.checks), text }, output);
      if (result.failed > 0) process.exitCode = EXIT.gate;
    }),
};

export const verify: CommandModule = {
  command: 'verify',
  describe: 'Hold the model against what was measured elsewhere',
  builder: (y) =>
    y
      .command([recording, table, vectors] as never)
      .demandCommand(1, 'expected what to verify: recording, table, vectors'),
  handler: () => {},
};
