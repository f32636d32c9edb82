import type { CommandModule } from 'yargs';
import { generateFile } from '../jobs/generate.ts';
import { UsageError } from '../model/errors.ts';
import { parseWhole } from '../model/run.ts';
import { generatedNote } from '../report/trace.ts';
import { WORKLOADS, workloadNamed } from '../trace/generate/index.ts';
import { parseSizes, type Sizes } from '../trace/generate/workload.ts';
import { GEN_OPTIONS } from './gen-options.ts';
import { interrupted } from './interrupt.ts';
import { startProgress } from './progress.ts';

interface Args extends Partial<Record<keyof Sizes, string>> {
  workload: string;
  output: string;
  seed: string;
  quiet: boolean;
}

/** `gen WORKLOAD -o TRACE` */
export const gen: CommandModule<object, Args> = {
  command: 'gen <workload>',
  describe: 'Make a trace of a synthetic workload: the same seed and sizes, the same bytes',
  builder: (y) =>
    y
      .positional('workload', {
        type: 'string',
        demandOption: true,
        describe: WORKLOADS.map(({ name }) => name).join(', '),
      })
      .options(GEN_OPTIONS)
      .example('$0 gen nic-rx -o rx.trace --cpus 4 --ops 2000', 'a receive ring on each of four CPUs')
      .example('$0 gen munmap-storm -o storm.trace --ops 200', 'then compare storm.trace') as never,
  handler: async ({ workload: name, output, seed, quiet, ...args }) => {
    if (output === '-') throw new UsageError('a trace is binary and is written to a file, not to -');
    const workload = workloadNamed(name);
    const sizes = parseSizes(workload, args);
    const { update, end } = startProgress(`generating ${name}`, quiet);
    const options = { signal: interrupted, onProgress: (done: number): void => update(done) };
    const drawn = parseWhole(seed, '--seed', 0, 2 ** 32 - 1);
    const meta = await generateFile(workload, sizes, drawn, output, options).finally(end);
    if (!quiet) process.stderr.write(`${output}: ${generatedNote(meta, output, workload.compare)}\n`);
  },
};
