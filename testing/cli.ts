import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the package. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** The real command: `dist` must have been built. */
export const BIN = join(ROOT, 'dist/cli/main.js');

/** What a finished command leaves: exit code, and both streams as text. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const PLAIN = { ...process.env, NO_COLOR: '1', TZ: 'UTC', COLUMNS: '100', LANG: 'C.UTF-8' };

/** How far work has come is said only where it takes long: on a busy machine, and of no interest here. */
export const withoutProgress = (stderr: string): string =>
  stderr.replace(/^\w+( \S+)? \d+ %(, [\d.]+ [kMG]? ?\w+\/s)?(, \d+ s left)?\n/gm, '');

/** Runs the command in the folder `cwd`. */
export function iommulator(args: readonly string[], cwd = ROOT): Ran {
  if (!existsSync(BIN)) throw new Error('dist is not built: run npm test, or node build.mjs before vitest');
  const options = { cwd, encoding: 'utf8', env: PLAIN, maxBuffer: 1 << 28 } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [BIN, ...args], options);
  return { code: status, stdout, stderr: withoutProgress(stderr) };
}

/** Runs a shell line in which `iommulator` is the real command. */
export function shell(line: string, cwd: string): Ran {
  const script = `iommulator() { '${process.execPath}' '${BIN}' "$@"; }\nset -o pipefail\n${line}`;
  const options = { cwd, encoding: 'utf8', env: PLAIN, maxBuffer: 1 << 28 } as const;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], options);
  return { code: status, stdout, stderr: withoutProgress(stderr) };
}

/** Starts the command, with more in its environment; it runs on. */
export function start(args: readonly string[], cwd: string, more: Readonly<Record<string, string>>): ChildProcess {
  const env = { ...PLAIN, ...more };
  return spawn(process.execPath, [BIN, ...args], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Exit code of a started command, once it has ended, and what it wrote. */
export async function ended(child: ChildProcess): Promise<Ran> {
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  return { code, stdout, stderr };
}

/** Calls `use` with an empty folder that is removed afterwards. */
export async function withFolder<T>(use: (folder: string) => T | Promise<T>, name = 'iommulator test-'): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), name));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Runs a module that imports the package by its name, as a user's does, and gives what it prints. */
export function asUser(script: string): Promise<string> {
  return withFolder((folder) => {
    mkdirSync(join(folder, 'node_modules'));
    symlinkSync(ROOT, join(folder, 'node_modules/iommulator'), 'junction');
    writeFileSync(join(folder, 'user.mjs'), script);
    return execFileSync(process.execPath, ['user.mjs'], { cwd: folder, encoding: 'utf8' });
  });
}

/** A short recording with every kind of line. */
export const RECORDING = `==7== Lackey, an example Valgrind tool
I  04000ff0,5
 L 1ffe000,8
 S 1ffe008,8
I  04000fff,5
SYSCALL[7,1](9) sys_mmap ( 0x0, 8192, 3, 34, 4294967295, 0 ) --> [pre-success] Success(0x5000000)${' '}
 M 05000ffc,8
 L 05001ffc,4
SYSCALL[7,1](11) sys_munmap ( 0x5000000, 8192 )[sync] --> Success(0x0)${' '}
I  04001004,2
==7== done
`;

/** What Linux prints in dmar_perf_latency of one IOMMU. */
export const HISTOGRAM = `IOMMU: dmar0 Register Base Address: fed90000
                  <0.1us   0.1us-1us    1us-10us  10us-100us   100us-1ms    1ms-10ms      >=10ms     min(us)     max(us) average(us)
   inv_iotlb           0           0        1000           0           0           0           0           1           9           2
  inv_devtlb           0           0           0         500           0           0           0          10          90          31
     inv_iec           0           0           0           0           0           0           0           0           0           0
`;

/** A valgrind that says RECORDING on the descriptor it is told, and runs the program as the real one does. */
const VALGRIND = `#!/bin/sh
while [ "$1" != -- ]; do case "$1" in --log-fd=*) fd="\${1#--log-fd=}" ;; esac; shift; done
shift
[ "$1" = /no/such ] && exit 127
cat <<'END' >&$fd
${RECORDING}END
"$@"
`;

/** Puts that valgrind into a folder, for those who have the folder in their PATH. */
export function writeValgrind(folder: string): void {
  writeFileSync(join(folder, 'valgrind'), VALGRIND);
  chmodSync(join(folder, 'valgrind'), 0o755);
}

/** Calls `use` with a folder that holds the recording, as `app.lk`. */
export function withRecording<T>(use: (folder: string) => T | Promise<T>): Promise<T> {
  return withFolder((folder) => {
    writeFileSync(join(folder, 'app.lk'), RECORDING);
    return use(folder);
  });
}
