import { axesOf } from '../model/sweep.ts';
import { planText } from '../report/sweep.ts';
import type { Sweep } from '../sweep/grid.ts';
import { planSweep } from '../sweep/plan.ts';
import type { Store } from '../sweep/store.ts';

/** What there is to do, as text: runs one part of what is missing, to see how long it takes; keeps nothing. */
export async function estimate(sweep: Sweep, store: Store): Promise<string> {
  const plan = planSweep(sweep, store);
  const begin = Date.now();
  await plan.probe?.run();
  const seconds = plan.probe ? (((Date.now() - begin) / 1000) * plan.records) / plan.probe.records : null;
  return planText(sweep.spec, axesOf(sweep.spec, sweep.spec.name), plan, seconds);
}
