import { join } from 'node:path';
import { loadCosts, loadMachine, loadPolicy } from '../src/catalog/catalog.ts';
import type { MachineJob } from '../src/jobs/job.ts';
import { locateTrace } from '../src/jobs/locate.ts';
import { passThreads, runJobs } from '../src/jobs/pool.ts';
import { DEFAULT_LOOKAHEAD, parseDevice, parseMemory } from '../src/model/run.ts';
import { host, measuredOf, ROOT, report } from './harness.ts';

const REPEATS = 5;
const POLICIES = [
  'under-lock',
  'range-end',
  'linux-4.10',
  'linux-4.12',
  'linux-4.14',
  'linux-4.15',
  'linux-5.0',
  'linux-6.6',
];
const MACHINES = ['amd-v2', 'intel-svm'];

/** Eight policies on two machines, with an ideal run of each machine, on two worker threads, against one job on one. */
console.log(`compare: time on the wall, decoding and all, ${host()}`);
const trace = await locateTrace(join(ROOT, 'traces/sqlite.trace'));
const job = (policy: string, machine: string, ideal: boolean): MachineJob => ({
  kind: 'machine',
  setup: {
    ...{ costs: loadCosts(), seed: 1, lookahead: DEFAULT_LOOKAHEAD, cpus: 1, ideal },
    machine: loadMachine(machine),
    policy: loadPolicy(policy),
    frames: parseMemory('50%', trace.meta.counts.pages),
    device: parseDevice('follow'),
  },
});
const one = [job('range-end', 'amd-v2', false)];
const all = MACHINES.flatMap((machine) => [
  job('range-end', machine, true),
  ...POLICIES.map((policy) => job(policy, machine, false)),
]);

const threads = passThreads(2);
const wall = async (jobs: readonly MachineJob[], workers: number): Promise<number> => {
  const start = performance.now();
  await runJobs(trace, jobs, { workers, threads });
  return (performance.now() - start) * 1e6;
};
const took = { one: [] as number[], all: [] as number[] };
await wall(one, 1);
for (let i = 0; i < REPEATS; i++) {
  took.one.push(await wall(one, 1));
  took.all.push(await wall(all, 2));
}
await threads.end();
const single = measuredOf(took.one);
const whole = measuredOf(took.all);
report('compare, one job', 'job', single);
report(
  `compare, ${all.length} jobs on 2 workers`,
  'comparison',
  whole,
  `${(whole.least / single.least).toFixed(2)} times one job`,
);
