import { Interrupted, TraceError, UsageError } from '../model/errors.ts';
import { codec, openRandom } from '../trace/input.ts';
import { firstRecords } from '../trace/prefix.ts';
import { openTrace } from '../trace/reader.ts';
import type { PassReply, PassTask } from './job.ts';
import { engineModule } from './module.ts';
import { runPass } from './pass.ts';

/** Piscina's task: one pass. */
export default function pass(task: PassTask): PassReply {
  const shared = new Int32Array(task.shared);
  try {
    const file = openRandom(task.trace);
    try {
      const trace = openTrace(file, codec, task.name);
      const results = runPass(firstRecords(trace, task.records), task.jobs, engineModule(), (records) => {
        Atomics.store(shared, 0, Math.floor(records / 1000));
        return Atomics.load(shared, 1) !== 0;
      });
      return { ok: true, results };
    } finally {
      file.close();
    }
  } catch (error) {
    if (error instanceof TraceError) return { ok: false, kind: 'trace', place: error.place, message: error.message };
    const kind = error instanceof UsageError ? 'usage' : error instanceof Interrupted ? 'interrupted' : 'bug';
    const { message, stack } = error as Error;
    return { ok: false, kind, place: '', message: kind === 'bug' ? (stack ?? message) : message };
  }
}
