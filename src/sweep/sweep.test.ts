import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { BIN, ended, iommulator, ROOT, start, withFolder } from '../../testing/cli.ts';
import { mismatches } from '../../testing/schema.ts';
import { loadSweep } from '../catalog/sweeps.ts';
import type { PassTask } from '../jobs/job.ts';
import type { Threads } from '../jobs/threads.ts';
import pass from '../jobs/worker.ts';
import type { RunResult } from '../model/result.ts';
import { cellsOf, type SweepSpec } from '../model/sweep.ts';
import { openSweep } from './grid.ts';
import { runSweep } from './run.ts';
import { shardsFor, slurmScripts } from './slurm.ts';
import { Store } from './store.ts';
import { front, pivot, rowsOf, type SweepRow } from './table.ts';

const SPEC: SweepSpec = {
  name: 'small',
  title: 'a test',
  traces: ['vtd-edu-stale-lazy-icount'],
  machines: ['intel-vtd', 'amd-vi'],
  policies: ['strict', 'lazy'],
  set: { 'policy.dma.queue_size': [16, 64], 'machine.iommu.iotlb': ['1x32', '1x64'] },
};
const FILE = 'small.yaml';
/** 2 machines x 2 IOTLBs x (strict + lazy with two queues). */
const RUNS = 12;

/** The sweep's file and, made once, its results. */
const made = mkdtempSync(join(tmpdir(), 'sweep-'));
beforeAll(() => {
  writeFileSync(join(made, FILE), JSON.stringify(SPEC));
  sweep(made, FILE);
}, 60_000);
afterAll(() => rmSync(made, { recursive: true }));

/** A folder with the sweep's file; with `done`, with its results too. */
function inFolder<T>(done: boolean, use: (folder: string) => T | Promise<T>): Promise<T> {
  return withFolder((folder) => {
    cpSync(join(made, FILE), join(folder, FILE));
    if (done) cpSync(join(made, 'small.results'), join(folder, 'small.results'), { recursive: true });
    return use(folder);
  });
}

function sweep(folder: string, ...args: string[]): string {
  const { code, stdout, stderr } = iommulator(['sweep', ...args, '--quiet'], folder);
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
  return stdout;
}

/** Every result of a folder, by its name. */
function results(folder: string): Record<string, string> {
  const names = readdirSync(folder).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

describe('a grid', () => {
  const cells = (more: Partial<SweepSpec>) => cellsOf({ ...SPEC, ...more }, 'x.yaml');

  test('has every combination once', () => {
    const all = cells({});
    expect(all).toHaveLength(16);
    expect(new Set(all.map((cell) => JSON.stringify(cell))).size).toBe(16);
  });

  test('has the values of a range: equal factors or distances, whole between whole ends', () => {
    const values = (range: object) =>
      cells({ traces: ['t'], machines: ['m'], policies: ['p'], set: { 'cost.qi.wait': range } as never }).map(
        (cell) => cell['cost.qi.wait'],
      );
    expect(values({ from: 2, to: 1024, steps: 10, scale: 'log' })).toEqual([2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]);
    expect(values({ from: 0.5, to: 2, steps: 4 })).toEqual([0.5, 1, 1.5, 2]);
    expect(values({ from: 1, to: 2, steps: 5 })).toEqual([1, 2]);
  });

  test('leaves out what a rule forbids', () => {
    const where = [{ if: { policy: 'strict' }, only: { 'policy.dma.queue_size': 16 } }];
    expect(cells({ where })).toHaveLength(12);
    expect(cells({ where: [{ only: { machine: ['amd-vi'], policy: 'lazy' } }] })).toHaveLength(4);
  });

  test.each<[string, Partial<SweepSpec>, RegExp]>([
    ['an axis', { where: [{ only: { polcy: 'lazy' } }] }, /^x\.yaml: where\.0\.only\.polcy: no such axis.*policy/],
    [
      'a value',
      { where: [{ if: { policy: 'lasy' }, only: { seed: 1 } }] },
      /where\.0\.if\.policy: read "lasy", expected one of strict, lazy/,
    ],
    ['a key', { set: { qi: [1] } }, /^x\.yaml: set\.qi: expected a key such as/],
    ['an empty grid', { where: [{ only: { policy: [] as never } }] }, /where leaves nothing of 16/],
    [
      'a range',
      { set: { 'cost.x': { from: 0, to: 4, steps: 3, scale: 'log' } } },
      /expected numbers above 0 with scale: log/,
    ],
    [
      'too many',
      { set: { 'cost.x': { from: 0.25, to: 0.75, steps: 1_000_000 } } },
      /has 4000000 combinations, expected at most/,
    ],
  ])('refuses %s', (_, more, expected) => {
    expect(() => cells(more)).toThrow(expected);
  });
});

test.each([
  ['flush-queue.yaml', 400],
  ['iotlb-queue.yaml', 2000],
  ['stale-dma.yaml', 8],
])('the shipped %s has %i combinations', (file, count) => {
  const all = cellsOf(loadSweep(join(ROOT, 'traces/sweeps', file)), file);
  expect([all.length, new Set(all.map((cell) => JSON.stringify(cell))).size]).toEqual([count, count]);
});

describe('a sweep', () => {
  test(
    'makes every run once, and each is what `run` gives',
    () =>
      inFolder(true, (folder) => {
        expect(sweep(folder, FILE, '--dry-run')).toMatch(
          /16 combinations, 4 of which.*\n0 of 12 runs are to be made, 12 are there\n$/,
        );
        const all = Object.values(results(join(folder, 'small.results'))).map(
          (text) => JSON.parse(text).run as RunResult,
        );
        expect(all).toHaveLength(RUNS);
        for (const run of [all[0]!, all.find(({ policy }) => policy === 'lazy')!]) {
          const { stdout } = iommulator([...run.repro.split(' ').slice(1), '--format', 'json', '--quiet']);
          expect((JSON.parse(stdout) as { runs: RunResult[] }).runs[0]).toEqual(run);
        }
        // Again, with some missing: only those are made, and they are the same.
        const before = results(join(folder, 'small.results'));
        for (const name of Object.keys(before).slice(0, 3)) rmSync(join(folder, 'small.results', name));
        expect(sweep(folder, FILE, '--workers', '1')).toMatch(/^small: 3 runs made, 9 were there/);
        expect(results(join(folder, 'small.results'))).toEqual(before);

        const shown = sweep(
          folder,
          'show',
          FILE,
          '--where',
          'machine=amd-vi',
          '--where',
          'policy=lazy',
          '--columns',
          'machine.iommu.iotlb',
        );
        expect(shown).toMatch(/^policy\.dma\.queue_size +1x32 +1x64\n +16( +\d\S+){2}\n +64( +\d\S+){2}\n$/);
        expect(sweep(folder, 'gather', FILE, '-o', '-').trim().split('\n')).toHaveLength(16);
        expect(iommulator(['sweep', 'show', FILE], folder)).toMatchObject({
          code: 2,
          stderr: expect.stringMatching(/differ within a cell: say --where/),
        });
      }),
    60_000,
  );

  test(
    'shards of several workers make the same files, in any order',
    () =>
      inFolder(true, (folder) => {
        for (const shard of ['2/2', '1/2', '1/2']) {
          const { code } = iommulator(['worker', FILE, '--shard', shard, '--folder', 'shards'], folder);
          expect(code).toBe(0);
        }
        expect(results(join(folder, 'shards'))).toEqual(results(join(folder, 'small.results')));
      }),
    60_000,
  );

  test(
    'killed, it goes on where it was',
    async () =>
      inFolder(true, async (folder) => {
        const child = spawn(process.execPath, [BIN, 'sweep', FILE, '--folder', 'killed', '--quiet'], { cwd: folder });
        const ended = new Promise((resolve) => child.once('exit', resolve));
        for (;;) {
          if (child.exitCode !== null) break;
          try {
            if (readdirSync(join(folder, 'killed')).length >= 4) break;
          } catch {
            // Not yet made.
          }
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        child.kill('SIGKILL');
        await ended;
        sweep(folder, FILE, '--folder', 'killed');
        expect(results(join(folder, 'killed'))).toEqual(results(join(folder, 'small.results')));
      }),
    60_000,
  );

  test(
    'a worker that dies loses its job only, after a second attempt',
    async () =>
      inFolder(false, async (folder) => {
        const spec = {
          ...SPEC,
          traces: ['vtd-nvme-randread-strict'],
          machines: ['amd-vi'],
          policies: ['lazy'],
          set: { 'policy.dma.queue_size': [16, 17, 18] },
        };
        let deaths = 0;
        const dying = {
          run: async (task: PassTask) => {
            if (JSON.stringify(task.jobs).includes('"queueSize":17')) {
              deaths++;
              throw new Error('Worker terminated due to reaching memory limit');
            }
            return pass(task);
          },
        } as unknown as Threads;
        const store = new Store(join(folder, 'out'));
        store.open();
        const opened = await openSweep(spec, 'x.yaml');
        const outcome = await runSweep(opened, store, { i: 0, n: 1 }, { workers: 1, threads: dying });
        expect({ outcome, deaths }).toEqual({ outcome: { jobs: 3, before: 0, run: 2, failed: 1 }, deaths: 2 });
        expect(store.failures()).toMatchObject([{ reason: 'Worker terminated due to reaching memory limit' }]);
        const again = await runSweep(
          opened,
          store,
          { i: 0, n: 1 },
          { workers: 1, threads: { run: async (task: PassTask) => pass(task) } as unknown as Threads },
        );
        expect(again).toEqual({ jobs: 3, before: 2, run: 1, failed: 0 });
        expect(store.failures()).toEqual([]);
      }),
    60_000,
  );

  test(
    'Parquet has one row per combination, numbers as numbers',
    async () =>
      inFolder(true, async (folder) => {
        sweep(folder, 'gather', FILE, '-o', 'all.parquet');
        const { buffer, byteOffset, byteLength } = readFileSync(join(folder, 'all.parquet'));
        const rows = await parquetReadObjects({
          file: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer,
        });
        const lines = sweep(folder, 'gather', FILE, '-o', '-')
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line));
        expect(rows).toHaveLength(16);
        expect(rows.map((row) => row['cost.added_per_page_ns'])).toEqual(
          lines.map((row) => row['cost.added_per_page_ns']),
        );
        expect(rows.map((row) => row.policy)).toEqual(lines.map((row) => row.policy));

        const kept = rowsOf(await openSweep(SPEC, FILE), new Store(join(folder, 'small.results'))).rows;
        expect(mismatches('front', front(kept))).toEqual([]);
        const axes = { rows: 'policy.dma.queue_size', columns: 'policy', metric: 'work_ns' };
        const where = { machine: 'amd-vi', 'machine.iommu.iotlb': '1x32' };
        expect(mismatches('pivot', pivot(SPEC, FILE, kept, { ...axes, where }))).toEqual([]);
      }),
    60_000,
  );

  test.each<[string, object, RegExp]>([
    ['a field', { ...SPEC, trace: 'x' }, /small\.yaml: trace: no such field; near: traces/],
    ['a policy', { ...SPEC, policies: ['lasy'] }, /no policy "lasy"/],
    [
      'a setting',
      { ...SPEC, set: { 'machine.iommu.iotlbs': ['1x4'] } },
      /machine\.iommu\.iotlbs: no such key.*iommu\.iotlb/,
    ],
    ['a queue of nobody', { ...SPEC, policies: ['strict'] }, /none of strict has such a key/],
    ['steps', { ...SPEC, set: { 'cost.qi.wait': { from: 1, to: 2, steps: 1 } } }, /set\.cost\.qi\.wait/],
  ])('refuses %s before it begins', (_, spec, expected) =>
    withFolder(async (folder) => {
      writeFileSync(join(folder, FILE), JSON.stringify(spec));
      await expect(async () => openSweep(loadSweep(join(folder, FILE)), FILE)).rejects.toThrow(expected);
    }),
  );

  test('refuses in one line, and leaves nothing', () =>
    inFolder(false, (folder) => {
      writeFileSync(join(folder, FILE), JSON.stringify({ ...SPEC, policies: ['lasy'] }));
      const { code, stdout, stderr } = iommulator(['sweep', FILE], folder);
      expect({ code, stdout, lines: stderr.trim().split('\n').length }).toEqual({ code: 2, stdout: '', lines: 1 });
      expect(readdirSync(folder)).toEqual([FILE]);
    }));

  test('a result that is damaged is named', () =>
    inFolder(true, (folder) => {
      const [name] = readdirSync(join(folder, 'small.results'));
      writeFileSync(join(folder, 'small.results', name!), '{"format":1');
      const { code, stderr } = iommulator(['sweep', 'gather', FILE, '-o', '-'], folder);
      expect({ code, stderr }).toEqual({
        code: 2,
        stderr: expect.stringMatching(new RegExp(`${name}: is not JSON, expected the result`)),
      });
    }));
});

test('jobs of Slurm: words of a shell are quoted, and a task has a minute of work', () => {
  const { array, gather } = slurmScripts({
    name: 'grid',
    file: '/a b/grid.yaml',
    folder: "/it's/r",
    shards: 7,
    workers: 2,
    command: ['/usr/bin/node', '/x/main.js'],
  });
  const about = `'/a b/grid.yaml' --folder '/it'\\''s/r'`;
  expect(array).toContain('#SBATCH --array=1-7\n');
  expect(array).toContain(
    `exec '/usr/bin/node' '/x/main.js' worker ${about} --shard "$SLURM_ARRAY_TASK_ID/7" --workers 2`,
  );
  expect(gather).toContain(`'/x/main.js' sweep ${about} --workers 2 --quiet || exit\n`);
  expect([shardsFor(10, 1, 50), shardsFor(601, 1, 50), shardsFor(601, 4, 50), shardsFor(1e6, 1, 50)]).toEqual([
    1, 11, 3, 50,
  ]);
});

test('without Slurm, --executor slurm says so', async () => {
  await inFolder(false, async (folder) => {
    const { code, stdout, stderr } = await ended(
      start(['sweep', FILE, '--executor', 'slurm', '--shards', '2'], folder, { PATH: folder }),
    );
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^iommulator: --executor slurm: sbatch cannot be run \(ENOENT\)/);
  });
});

test('the front has what no other run beats in both', () => {
  const row = (policy: string, added: number, exposed: number): SweepRow =>
    ({
      cell: { trace: 't', policy },
      hash: policy,
      run: { cost: { added_per_page_ns: added }, safety: { exposed_ns: { sum: exposed } } },
    }) as unknown as SweepRow;
  const rows = [row('dear', 9, 0), row('cheap', 1, 9), row('worse', 9, 1), row('middle', 5, 5), row('lost', 6, 6)];
  expect(front(rows).map(({ cell }) => cell.policy)).toEqual(['cheap', 'middle', 'dear']);
});
