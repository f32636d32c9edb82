import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { host, measuredOf, ROOT, report, show } from './harness.ts';

const REPEATS = 7;
const MAIN = pathToFileURL(join(ROOT, 'dist/cli/main.js')).href;
/** Runs the command, and says behind its own messages what it used. */
const WATCH = `
process.argv.splice(1, 0, 'iommulator');
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  process.stderr.write('\\n' + JSON.stringify({ cpu: (user + system) * 1000, peak: process.resourceUsage().maxRSS }));
});
await import(${JSON.stringify(MAIN)});`;

/** CPU time in nanoseconds and the largest resident set in KiB of one command in a process of its own. */
function command(...args: string[]): { cpu: number; peak: number } {
  const node = ['--input-type=module', '-e', WATCH, '--', ...args];
  const { status, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  return JSON.parse(stderr.slice(stderr.lastIndexOf('\n'))) as { cpu: number; peak: number };
}

/** Whole commands, each in a process of its own, start-up and all. */
console.log(`command: CPU time of whole commands, ${host()}`);
for (const args of [['--version'], ['compare', 'vtd-edu-stale-lazy-icount', '--quiet', '--policies', 'strict,lazy']]) {
  const samples = Array.from({ length: REPEATS }, () => command(...args).cpu);
  const measured = measuredOf(samples);
  report(`command, ${args.slice(0, 2).join(' ')}`, 'run', measured, `${(measured.least / 1e6).toFixed(0)} ms`);
}

const folder = mkdtempSync(join(tmpdir(), 'iommulator-bench-'));
try {
  for (const [workload, ops, run] of [
    ['gups', 2_000_000, ['tlb']],
    ['jit-mprotect', 40_000, ['run', '--policy', 'range-end', '--machine', 'amd-v2', '--memory', 'none']],
  ] as const) {
    const [small, large] = [1, 10].map((times) => {
      const file = join(folder, `${workload}-${times}.trace`);
      command('gen', workload, '--ops', `${ops * times}`, '-o', file, '--quiet');
      return Array.from({ length: 2 }, () => command(run[0], file, ...run.slice(1), '--quiet', '--format', 'json'));
    }) as [{ cpu: number; peak: number }[], { cpu: number; peak: number }[]];
    const start = measuredOf(Array.from({ length: 3 }, () => command(run[0], '--help').cpu)).least;
    const least = [small, large].map((runs) => measuredOf(runs.map(({ cpu }) => cpu)).least) as [number, number];
    const peak = [small, large].map((runs) => `${(Math.max(...runs.map((one) => one.peak)) / 1024).toFixed(0)} MiB`);
    show(
      `${run[0]}, ${workload}, 10 times as long`,
      `${((least[1] - start) / (least[0] - start)).toFixed(2)} times the time`,
      `${(least[1] / 1e9).toFixed(2)} s`,
      `peak ${peak.join(', then ')}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
