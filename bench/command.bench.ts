import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { GROWTH, host, measuredOf, ROOT, report, show } from './harness.ts';

const REPEATS = 7;
/** Of runs on long traces: a hundred times as long takes minutes. */
const LONG_REPEATS = GROWTH > 10 ? 1 : 5;
const MAIN = pathToFileURL(join(ROOT, 'dist/cli/main.js')).href;
/** Runs the command, and says behind its own messages what it used. */
const WATCH = `
process.argv.splice(1, 0, 'iommulator');
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  process.stderr.write('\\n' + JSON.stringify({ cpu: (user + system) * 1000, peak: process.resourceUsage().maxRSS }));
});
await import(${JSON.stringify(MAIN)});`;

/** What a command in a process of its own used. */
interface Used {
  /** CPU time, and time on the wall, in ns. */
  readonly cpu: number;
  readonly wall: number;
  /** Largest resident set in KiB. */
  readonly peak: number;
}

function command(...args: string[]): Used {
  const start = performance.now();
  const node = ['--input-type=module', '-e', WATCH, '--', ...args];
  const { status, stderr } = spawnSync(process.execPath, node, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  const wall = (performance.now() - start) * 1e6;
  return { ...(JSON.parse(stderr.slice(stderr.lastIndexOf('\n'))) as Pick<Used, 'cpu' | 'peak'>), wall };
}

/** Whole commands, each in a process of its own, start-up and all. */
console.log(`command: CPU time of whole commands, ${host()}`);
for (const args of [['--version'], ['compare', 'vtd-edu-stale-lazy-icount', '--quiet', '--policies', 'strict,lazy']]) {
  const runs = Array.from({ length: REPEATS }, () => command(...args));
  const measured = measuredOf(runs.map(({ cpu }) => cpu));
  const wall = measuredOf(runs.map(({ wall }) => wall));
  const ms = (ns: number): string => (ns / 1e6).toFixed(0);
  report(
    `command, ${args.slice(0, 2).join(' ')}`,
    'run',
    measured,
    `${ms(measured.median)} ms`,
    `${ms(wall.median)} ms on the wall`,
  );
}

type Long = Pick<Used, 'cpu' | 'peak'>;
const folder = mkdtempSync(join(tmpdir(), 'iommulator-bench-'));
try {
  for (const [workload, ops, run] of [
    ['gups', 2_000_000, ['tlb']],
    ['jit-mprotect', 40_000, ['run', '--policy', 'range-end', '--machine', 'amd-v2', '--memory', 'none']],
  ] as const) {
    const [small, large] = (
      [
        [1, REPEATS],
        [GROWTH, LONG_REPEATS],
      ] as const
    ).map(([times, length]) => {
      const file = join(folder, `${workload}-${times}.trace`);
      command('gen', workload, '--ops', `${ops * times}`, '-o', file, '--quiet');
      const runs = Array.from({ length }, () => command(run[0], file, ...run.slice(1), '--quiet', '--format', 'json'));
      rmSync(file);
      return { cpu: measuredOf(runs.map(({ cpu }) => cpu)).median, peak: Math.max(...runs.map(({ peak }) => peak)) };
    }) as [Long, Long];
    const start = measuredOf(Array.from({ length: REPEATS }, () => command(run[0], '--help').cpu)).median;
    show(
      `${run[0]}, ${workload}, ${GROWTH} times as long`,
      `${((large.cpu - start) / (small.cpu - start)).toFixed(2)} times the time`,
      `${(large.cpu / 1e9).toFixed(2)} s`,
      `peak ${[small, large].map(({ peak }) => `${(peak / 1024).toFixed(0)} MiB`).join(', then ')}`,
    );
  }
} finally {
  rmSync(folder, { recursive: true });
}
