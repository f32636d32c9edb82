import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BIN } from '../cli.ts';
import { type Cluster, startCluster } from './cluster.ts';

const folder = mkdtempSync(join(tmpdir(), 'slurm-'));
const FILE = join(folder, 'grid.yaml');
const RUNS = 36;
const SHARDS = 6;
let cluster: Cluster;

beforeAll(async () => {
  writeFileSync(
    FILE,
    JSON.stringify({
      name: 'grid',
      title: 'a test',
      traces: ['vtd-nvme-randread-strict'],
      machines: ['intel-vtd', 'amd-vi'],
      policies: ['lazy'],
      set: { 'machine.iommu.iotlb': ['1x32', '1x64', '1x128'], 'policy.dma.queue_size': [8, 16, 32, 64, 128, 256] },
    }),
  );
  cluster = await startCluster(folder);
}, 60_000);
afterAll(() => {
  cluster?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function iommulator(...args: string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args, '--quiet'], {
    cwd: folder,
    env: cluster.env,
    encoding: 'utf8',
  });
  expect({ args, status, stderr }).toEqual({ args, status: 0, stderr: '' });
  return stdout;
}

/** Every result by its name. */
function results(name: string): Record<string, string> {
  const files = readdirSync(join(folder, name)).filter((file) => /^[0-9a-f]{64}\.json$/.test(file));
  return Object.fromEntries(files.sort().map((file) => [file, readFileSync(join(folder, name, file), 'utf8')]));
}

/** Waits until something is so. */
async function until(what: string, isSo: () => boolean, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!isSo()) {
    if (Date.now() > end) {
      const queue = execFileSync('squeue', ['-o', '%i %t %R'], { env: cluster.env, encoding: 'utf8' });
      throw new Error(`not within ${seconds} s: ${what}\n${queue}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

test('a sweep on two nodes, one of which is killed, has the results of one host', async () => {
  iommulator('sweep', FILE, '--folder', 'local');
  const local = results('local');
  expect(Object.keys(local)).toHaveLength(RUNS);

  const said = iommulator('sweep', FILE, '--folder', 'cluster', '--executor', 'slurm', '--shards', String(SHARDS));
  expect(said).toMatch(/^grid: array job \d+ with 6 tasks, and job \d+ behind it/);
  await until('the first result', () => Object.keys(results('cluster')).length > 0, 120);
  cluster.killNode('n1');
  await until('the gathered file', () => existsSync(join(folder, 'cluster/grid.parquet')), 240);
  expect(results('cluster')).toEqual(local);
  // What was made before the node went was not made again: the gathering step found it there.
  iommulator('sweep', 'gather', FILE, '--folder', 'local', '-o', 'local.parquet');
  expect(readFileSync(join(folder, 'cluster/grid.parquet'))).toEqual(readFileSync(join(folder, 'local.parquet')));
}, 480_000);
