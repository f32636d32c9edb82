import { UsageError } from '../model/errors.ts';
import type { RawRun } from '../model/result.ts';
import type { RunSetup } from '../model/run.ts';
import type { TraceMeta } from '../model/trace.ts';
import type { Chunk } from '../trace/format.ts';
import { ScheduledReader } from '../trace/scheduled.ts';
import type { EngineLog, LogSelection } from './log.ts';
import { RaceEngine } from './race.ts';

/**
 * A scheduled trace on a machine under a policy: the agents of a race, in virtual time. A turn whose agent cannot take a step,
 * since it waits or is at its end, is passed over: under another policy lists have other steps. What is left after the last turn
 * goes on in the order of clocks.
 */
export class ScheduledEngine {
  /** Of a run that is logged, once it is over, what happened in it. */
  log: EngineLog | undefined;
  private readonly records: ScheduledReader;

  constructor(
    private readonly module: WebAssembly.Module,
    private readonly setup: RunSetup,
    private readonly meta: TraceMeta,
    private readonly selection?: LogSelection,
  ) {
    this.records = new ScheduledReader(meta);
  }

  feed(chunk: Chunk): void {
    this.records.feed(chunk);
  }

  /** Runs the schedule, and what is left behind it. */
  finish(): RawRun {
    const { race, turns } = this.records.finish();
    const { setup, meta } = this;
    const { entries } = meta.schedule!;
    const engine = new RaceEngine(this.module, race, { ...setup, entries, priced: true });
    if (this.selection !== undefined) this.log = engine.logOnly(this.selection);
    let [taken, passed, record] = [0, 0, 0];
    for (const turn of turns) {
      let left = turn.steps;
      while (left > 0 && engine.turn(turn.agent)) left--;
      taken += turn.steps - left;
      passed += left;
      if (record === 0 && engine.hasBroken) record = turn.record;
    }
    let after = 0;
    while (engine.next()) after++;
    if (!engine.isOver)
      throw new UsageError(
        `${setup.policy.name} on ${setup.machine.name}: behind the schedule agents are left that wait for ever`,
      );
    const run = engine.result();
    const first = run.first && { ...run.first, record: record || meta.counts.records - 1 };
    return { ...run, first, schedule: { taken, passed, after } };
  }
}
