import { parseWhole } from '../model/run.ts';
import { axesOf } from '../model/sweep.ts';
import { planText, submittedText } from '../report/sweep.ts';
import type { Sweep } from '../sweep/grid.ts';
import { planSweep } from '../sweep/plan.ts';
import { shardsFor, submitSlurm } from '../sweep/slurm.ts';
import type { Store } from '../sweep/store.ts';
import type { SweepArgs } from './sweep-options.ts';

/** What there is to do, and seconds of one worker for it: one part of what is missing is run, and nothing is kept. */
async function estimated(sweep: Sweep, store: Store) {
  const plan = planSweep(sweep, store);
  const begin = Date.now();
  await plan.probe?.run();
  const seconds = plan.probe ? (((Date.now() - begin) / 1000) * plan.records) / plan.probe.records : null;
  return { plan, seconds };
}

/** What there is to do, as text. */
export async function estimate(sweep: Sweep, store: Store): Promise<string> {
  const { plan, seconds } = await estimated(sweep, store);
  return planText(sweep.spec, axesOf(sweep.spec, sweep.spec.name), plan, seconds);
}

/** Hands the sweep to Slurm; what was submitted, as text. */
export async function submit(sweep: Sweep, store: Store, args: SweepArgs & { shards?: string }): Promise<string> {
  const workers = parseWhole(args.workers, '--workers', 1, 256) ?? 1;
  const given = parseWhole(args.shards, '--shards', 1, 10_000);
  const shards = given ?? shardsFor((await estimated(sweep, store)).seconds ?? 0, workers, sweep.groups.length);
  store.open();
  store.clean();
  const { name } = sweep.spec;
  const command = [process.execPath, process.argv[1]!];
  const jobs = submitSlurm({ name, file: args.file, folder: store.folder, shards, workers, command });
  return submittedText(name, store.folder, shards, jobs);
}
