import { codec, openRandom } from '../trace/input.ts';
import { engineModule } from '../trace/module.ts';
import { firstRecords } from '../trace/prefix.ts';
import { openTrace } from '../trace/reader.ts';
import type { Job, PassTask, ResultOf } from './job.ts';
import { runPass } from './pass.ts';
import { type Reply, replyOf } from './reply.ts';

/** Piscina's task: one pass. */
export default function pass(task: PassTask): Reply<ResultOf<Job>[]> {
  const shared = new Int32Array(task.shared);
  return replyOf(() => {
    const file = openRandom(task.trace);
    try {
      const trace = openTrace(file, codec, task.name);
      return runPass(firstRecords(trace, task.records), task.jobs, engineModule(), (records) => {
        Atomics.store(shared, 0, Math.floor(records / 1000));
        return Atomics.load(shared, 1) !== 0;
      });
    } finally {
      file.close();
    }
  });
}
