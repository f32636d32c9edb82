import { SIZES, type Sizes } from '../trace/generate/workload.ts';

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

/** Options of `gen`. */
export const GEN_OPTIONS = {
  output: { ...value, alias: 'o', demandOption: true, describe: 'Trace file to write' },
  ...Object.fromEntries(SIZES.map((size) => [size, { ...value, describe: WHAT[size] }])),
  seed: { ...value, default: '1', describe: 'Seed of everything that is drawn' },
} as const;
