import type * as Fs from 'node:fs';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { withFolder } from '../../testing/cli.ts';
import type { Job, PassTask, ResultOf } from '../jobs/job.ts';
import type { Reply } from '../jobs/reply.ts';

type PassReply = Reply<ResultOf<Job>[]>;

import { Interrupted } from '../model/errors.ts';
import type { SweepResult, SweepSpec } from '../model/sweep.ts';
import { Random } from '../trace/generate/random.ts';
import { openSweep } from './grid.ts';
import { runSweep, type SweepOutcome } from './run.ts';
import { Store } from './store.ts';

/** Bytes for which the disk has room. */
const disk = vi.hoisted(() => ({ left: Number.POSITIVE_INFINITY }));

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof Fs>();
  const writeSync = (fd: number, bytes: Uint8Array, at: number): number => {
    if (disk.left <= 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
    const written = fs.writeSync(fd, bytes, at, Math.min(bytes.length - at, disk.left));
    disk.left -= written;
    return written;
  };
  return { ...fs, default: fs, writeSync };
});

/** Runs that were made before: what is tried here is what becomes of their results. */
vi.mock('../jobs/worker.ts', async (original) => {
  const { default: pass } = await original<{ default: (task: PassTask) => PassReply }>();
  const made = new Map<string, PassReply>();
  const once = (task: PassTask): PassReply => {
    const key = JSON.stringify(task.jobs, (_, value) => (typeof value === 'bigint' ? String(value) : value));
    const reply = made.get(key) ?? pass(task);
    made.set(key, reply);
    return reply;
  };
  const all = (task: PassTask): PassReply => {
    const replies = task.jobs.map((job) => once({ ...task, jobs: [job] }));
    return { ok: true, value: replies.flatMap((reply) => (reply.ok ? reply.value : [])) };
  };
  return { default: all };
});

const SPEC: SweepSpec = {
  name: 'crash',
  title: 'a test',
  traces: ['vtd-edu-stale-lazy-icount'],
  machines: ['intel-vtd', 'amd-vi'],
  policies: ['strict', 'lazy'],
  set: { 'policy.dma.queue_size': [16, 32, 64, 128], 'machine.iommu.iotlb': ['1x32', '1x64'] },
};
/** 2 machines x 2 IOTLBs x (strict + lazy with four queues). */
const RUNS = 20;

/** Every result of a folder, by its name. */
function results(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

async function sweepInto(store: Store): Promise<SweepOutcome> {
  const sweep = await openSweep(SPEC, 'x.yaml');
  try {
    store.open();
    store.clean();
    return await runSweep(sweep, store, { i: 0, n: 1 }, { workers: 1 });
  } finally {
    sweep.close();
  }
}

/** What an undisturbed sweep writes. */
let whole: Record<string, string> = {};
beforeAll(() =>
  withFolder(async (folder) => {
    expect(await sweepInto(new Store(join(folder, 'r')))).toEqual({ jobs: RUNS, before: 0, run: RUNS, failed: 0 });
    whole = results(join(folder, 'r'));
    expect(Object.keys(whole)).toHaveLength(RUNS);
  }),
);

/** The process dies when it has written so many results, or has half of the next one written. */
class Dying extends Store {
  readonly written: string[] = [];

  constructor(
    folder: string,
    private readonly after: number,
    private readonly half: boolean,
  ) {
    super(folder);
  }

  override write(result: SweepResult): void {
    if (this.has(result.hash)) throw new Error(`${result.hash} was run though its result was there`);
    if (this.written.length === this.after) {
      const text = JSON.stringify(result);
      if (this.half) writeFileSync(join(this.folder, `${result.hash}.json.4711.part`), text.slice(0, text.length / 2));
      throw new Interrupted('killed');
    }
    super.write(result);
    this.written.push(result.hash);
  }
}

test('killed at ten random moments, between results and within one, it ends with the same results, each made once', () =>
  withFolder(async (folder) => {
    const random = new Random(7);
    const into = join(folder, 'r');
    const written: string[] = [];
    for (let kill = 0; kill < 10; kill++) {
      const store = new Dying(into, random.below(3), kill % 2 === 1);
      await expect(sweepInto(store)).rejects.toThrow('killed');
      written.push(...store.written);
      const done = new Store(into).done();
      expect(done.size).toBe(written.length);
      expect(written.every((hash) => done.has(hash))).toBe(true);
    }
    expect(written.length).toBeLessThan(RUNS);
    expect(written.length).toBeGreaterThan(RUNS / 4);
    const last = new Dying(into, RUNS, false);
    expect(await sweepInto(last)).toEqual({
      jobs: RUNS,
      before: written.length,
      run: RUNS - written.length,
      failed: 0,
    });
    written.push(...last.written);
    expect(new Set(written).size).toBe(RUNS);
    expect(written).toHaveLength(RUNS);
    expect(results(into)).toEqual(whole);
  }));

test('a full disk is an error that names the file; with room again, the rest is made', () =>
  withFolder(async (folder) => {
    const into = join(folder, 'r');
    mkdirSync(into);
    const size = Object.values(whole)[0]!.length;
    for (const room of [0, Math.floor(2.5 * size), Math.floor(7.3 * size)]) {
      disk.left = room;
      try {
        await expect(sweepInto(new Store(into))).rejects.toThrow(/^cannot write .*[0-9a-f]{64}\.json: ENOSPC$/);
      } finally {
        disk.left = Number.POSITIVE_INFINITY;
      }
      for (const [name, text] of Object.entries(results(into))) expect([name, text]).toEqual([name, whole[name]]);
    }
    const before = new Store(into).done().size;
    expect(before).toBeGreaterThan(5);
    expect(await sweepInto(new Store(into))).toEqual({ jobs: RUNS, before, run: RUNS - before, failed: 0 });
    expect(results(into)).toEqual(whole);
  }));
