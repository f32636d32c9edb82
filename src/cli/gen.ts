import type { CommandModule } from 'yargs';
import { generateFile } from '../jobs/generate.ts';
import { UsageError } from '../model/errors.ts';
import { parseWhole } from '../model/run.ts';
import { generatedNote } from '../report/trace.ts';
import { WORKLOADS, workloadNamed } from '../trace/generate/index.ts';
import { parseSizes, SIZES, type Sizes } from '../trace/generate/workload.ts';

interface Args extends Partial<Record<keyof Sizes, string>> {
  workload: string;
  output: string;
  seed: string;
  quiet: boolean;
}

const value = { type: 'string', requiresArg: true } as const;

/** Sizes in a word each; `list workloads NAME` says what they are in one workload. */
const WHAT: Readonly<Record<keyof Sizes, string>> = {
  cpus: 'CPUs that drive devices, or run the program',
  busy: 'CPUs that only run',
  devices: 'Devices, each in a domain of its own',
  pages: 'Pages of what is used [list workloads NAME]',
  depth: 'Entries of a ring or queue',
  ops: 'Operations',
  rate: 'Operations per second and queue',
  late: 'Per cent of mappings that a device uses after their unmap',
};

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
      .option('output', { ...value, alias: 'o', demandOption: true, describe: 'Trace file to write' })
      .options(Object.fromEntries(SIZES.map((size) => [size, { ...value, describe: WHAT[size] }])))
      .option('seed', { ...value, default: '1', describe: 'Seed of everything that is drawn' })
      .example('$0 gen nic-rx -o rx.trace --cpus 4 --ops 2000', 'a receive ring on each of four CPUs')
      .example('$0 gen munmap-storm -o storm.trace --ops 200', 'then compare storm.trace') as never,
  handler: ({ workload: name, output, seed, quiet, ...args }) => {
    if (output === '-') throw new UsageError('a trace is binary and is written to a file, not to -');
    const workload = workloadNamed(name);
    const meta = generateFile(workload, parseSizes(workload, args), parseWhole(seed, '--seed', 0, 2 ** 32 - 1), output);
    if (!quiet) process.stderr.write(`${output}: ${generatedNote(meta, output, workload.compare)}\n`);
  },
};
