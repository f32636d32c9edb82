import { spawnSync } from 'node:child_process';
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BIN, iommulator, ROOT, withFolder } from '../../testing/cli.ts';
import { RECLAIMED, writeProgram } from '../../testing/program.ts';
import { loadCosts } from '../catalog/catalog.ts';
import { PATH_NAMES } from '../model/path.ts';
import type { RunResult } from '../model/result.ts';
import type { Uncertainty } from '../model/uncertainty.ts';

const PAIR = ['--policies', 'under-lock,range-end', '--machines', 'amd-v2'];

interface Result {
  readonly model: number;
  readonly trace: { readonly added: readonly string[]; readonly file: string };
  readonly runs: readonly RunResult[];
}

function json(args: readonly string[], folder = ROOT): Result {
  const { code, stdout, stderr } = iommulator([...args, '--format', 'json', '--quiet'], folder);
  expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' });
  return JSON.parse(stdout) as Result;
}

describe('compare of the shipped recording', () => {
  // golden.test.ts holds that this is what the command prints.
  const whole = JSON.parse(readFileSync(join(ROOT, 'traces/golden/cli/compare.json'), 'utf8')) as Result;
  const run = (policy: string, machine: string): RunResult =>
    whole.runs.find((row) => row.policy === policy && row.machine === machine)!;

  test('the numbers are the same on any number of workers and with any lookahead', () => {
    for (const more of [[], ['--workers', '1'], ['--workers', '3', '--lookahead', '0']]) {
      const { runs } = json(['compare', 'sqlite', ...PAIR, ...more]);
      expect({ more, runs }).toEqual({ more, runs: whole.runs.slice(0, 2) });
    }
  }, 120_000);

  test('it unmaps at least 10,000 pages, and 5 % of the device accesses are late', () => {
    for (const { cost } of whole.runs) {
      expect(cost.pages_unmapped).toBeGreaterThan(10_000);
      expect(cost.dma_late_share).toBeGreaterThanOrEqual(0.05);
    }
  });

  test('causes add up to the overhead, and stale uses to their kinds', () => {
    for (const { cost, safety } of whole.runs) {
      const sum = Object.values(cost.added_by_cause).reduce((total, ns) => total + Math.round(ns * 1000), 0);
      expect(sum).toBe(Math.round(cost.overhead_ns * 1000));
      const broken = safety.violations.S1! + safety.violations.S2! + safety.violations.S3!;
      expect(safety.in_flight_uses + safety.allowed_races + broken).toBeLessThanOrEqual(safety.stale_uses);
    }
  });

  test('range-end holds the page-table lock shorter than under-lock, and is exposed', () => {
    expect(run('range-end', 'amd-v2').cost.lock_hold_ns.p99).toBeLessThan(
      run('under-lock', 'amd-v2').cost.lock_hold_ns.p99,
    );
    expect(run('under-lock', 'amd-v2').safety.verdict).toBe('safe');
    expect(run('range-end', 'amd-v2').safety.verdict).toBe('exposed');
  });

  test('linux-4.14 invalidates twice what linux-6.6 does', () => {
    const ratio =
      run('linux-4.14', 'amd-v2').cost.invalidations_per_page / run('linux-6.6', 'amd-v2').cost.invalidations_per_page;
    expect(ratio).toBeGreaterThan(1.9);
    expect(ratio).toBeLessThan(2.1);
  });

  test('the unaligned ranges of intel-svm are what makes it unsafe', () => {
    expect(run('under-lock', 'intel-svm').safety.violations.S3).toBeGreaterThan(0);
    const aligned = [
      '--set',
      'machine.driver.range_cover=aligned',
      '--machines',
      'intel-svm',
      '--policies',
      'under-lock,linux-6.6',
    ];
    for (const { safety } of json(['compare', 'sqlite', ...aligned]).runs) expect(safety.verdict).toBe('safe');
  }, 60_000);

  test('only intel-svm defers', () => {
    for (const { machine, cost } of whole.runs) {
      if (machine === 'intel-svm') expect(cost.invalidations.deferred).toBeGreaterThan(0);
      else expect(cost.invalidations.deferred).toBe(0);
    }
  });

  test('a row can be repeated by its command line', () => {
    const { repro } = run('range-end', 'amd-v2');
    expect(repro.startsWith('iommulator run sqlite ')).toBe(true);
    const [again] = json(repro.split(' ').slice(1)).runs;
    expect(again!.cost.work_ns).toBe(run('range-end', 'amd-v2').cost.work_ns);
    expect(again!.safety).toEqual(run('range-end', 'amd-v2').safety);
  }, 60_000);
});

describe('--uncertainty', () => {
  interface Drawn extends Result {
    readonly uncertainty: Uncertainty;
  }

  test(
    'the same draws on any number of workers; the comparison itself stays as it was',
    () =>
      withFolder((folder) => {
        writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
        const plain = json(['compare', 'small.trace', ...PAIR], folder);
        const draw = (workers: string): Drawn =>
          json(['compare', 'small.trace', ...PAIR, '--uncertainty', '4', '--workers', workers], folder) as Drawn;
        const { uncertainty, ...rest } = draw('1');
        expect(rest).toEqual(plain);
        expect(draw('2').uncertainty).toEqual(uncertainty);
        expect(uncertainty.rankings).toHaveLength(1);
        for (const row of uncertainty.intervals.filter(({ key }) => key === 'added_per_page_ns')) {
          const base = plain.runs.find(({ policy }) => policy === row.policy)!;
          expect(row.default).toBe(base.cost.added_per_page_ns);
          expect(row.p5).toBeLessThan(row.p50);
          expect(row.p50).toBeLessThan(row.p95);
        }
      }),
    60_000,
  );

  test(
    'costs without a range draw what they are',
    () =>
      withFolder((folder) => {
        writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
        const costs = Object.entries(loadCosts(undefined)).map(([key, cost]) => `cost.${key}=${cost.default}`);
        const given = costs.flatMap((setting) => ['--set', setting]);
        const { uncertainty } = json(
          ['compare', 'small.trace', ...PAIR, '--uncertainty', '2', ...given],
          folder,
        ) as Drawn;
        for (const { default: value, p5, p95 } of uncertainty.intervals) expect([p5, p95]).toEqual([value, value]);
        for (const { holds, ties } of uncertainty.rankings) expect(holds + ties).toBe(2);
      }),
    60_000,
  );
});

describe('names are only names', () => {
  /** A copy of the package in which every policy, machine and path has another name, and the text with the old ones. */
  function renamed(folder: string): (text: string) => string {
    const old = new Map<string, string>();
    const copy = (path: string): void => cpSync(join(ROOT, path), join(folder, path), { recursive: true });
    const rewrite = (path: string, change: (text: string) => string): void =>
      writeFileSync(join(folder, path), change(readFileSync(join(folder, path), 'utf8')));
    for (const path of ['dist', 'build', 'package.json']) copy(path);
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
    const newName = (kind: string, name: string): string => {
      const made = [...old].find(([, known]) => known === `${kind} ${name}`)?.[0] ?? `${kind}X${old.size}X`;
      old.set(made, `${kind} ${name}`);
      return made;
    };
    const inYaml = (kind: string) => (text: string) =>
      text
        .replace(/^(name|extends): (.*)$/gm, (_, key, name) => `${key}: ${newName(kind, name)}`)
        .replace(/^also: \[([\w-]+)\]$/gm, (_, name) => `also: [${newName(kind, name)}]`)
        .replace(/^ {4}(\w+): (?="|>-)/gm, (_, name) => `    ${newName('path', name)}: `);
    // Without what the build has read in the files, they are read anew.
    rewrite('build/catalog.js', (text) =>
      text
        .replace(/^(export const contents = ).*$/m, '$1[];')
        .replace(/^(export const shelves = )(.*);$/m, (_, start, json) => {
          const shelves = JSON.parse(json) as Record<string, Record<string, string>>;
          for (const [kind, shelf] of [
            ['policy', 'policies'],
            ['machine', 'machines'],
          ] as const) {
            const renamed = Object.entries(shelves[shelf]!).map(([name, file]) => [
              newName(kind, name),
              inYaml(kind)(file),
            ]);
            shelves[shelf] = Object.fromEntries(renamed) as Record<string, string>;
          }
          return `${start}${JSON.stringify(shelves)};`;
        }),
    );
    rewrite('dist/model/path.js', (text) =>
      text.replace(/^ {4}(\w+): \{$/gm, (_, name) => `    ${newName('path', name)}: {`),
    );
    rewrite('dist/engine/encode.js', (text) =>
      text.replace(/^( {4}AT_\w+): '(\w+)',$/gm, (_, at, name) => `${at}: '${newName('path', name)}',`),
    );
    expect([...old.values()].filter((name) => name.startsWith('path ')).sort()).toEqual(
      PATH_NAMES.map((name) => `path ${name}`).sort(),
    );
    return (text) => text.replace(/(policy|machine|path)X\d+X/g, (name) => old.get(name)!.split(' ')[1]!);
  }

  test(
    'renaming all policies, machines and paths changes no byte of a result but the names',
    () =>
      withFolder((folder) => {
        const back = renamed(folder);
        writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
        const names = (bin: string, kind: string): string[] => {
          const { stdout } = run(bin, ['list', kind, '--format', 'json']);
          const rows = JSON.parse(stdout) as { name: string; family: string }[];
          return rows.filter(({ family }) => family.includes('mm')).map(({ name }) => name);
        };
        const run = (bin: string, args: readonly string[]) =>
          spawnSync(process.execPath, [bin, ...args], { cwd: folder, encoding: 'utf8', maxBuffer: 1 << 28 });
        const compare = (bin: string): string => {
          const named = ['policies', 'machines'].map((kind) =>
            names(bin, kind).toSorted((a, b) => (back(a) < back(b) ? -1 : 1)),
          );
          const [policies, machines] = named.map((list) => list.join());
          const pairs = ['--policies', policies!, '--machines', machines!, '--quiet'];
          const { stdout, stderr, status } = run(bin, ['compare', 'small.trace', ...pairs, '--format', 'json']);
          expect({ stderr, status }).toEqual({ stderr: '', status: 0 });
          return stdout;
        };
        const theirs = compare(BIN);
        const ours = compare(join(folder, 'dist/cli/main.js'));
        expect((JSON.parse(ours) as Result).runs.length).toBeGreaterThan(20);
        expect(ours).not.toMatch(/range-end|amd-v2|madv_free/);
        expect(back(ours)).toBe(theirs);
      }),
    60_000,
  );
});

describe('refusals', () => {
  const CASES: [string, string[], RegExp][] = [
    ['an unknown policy', ['--policy', 'range-emd'], /no policy "range-emd".*range-end/],
    ['an unknown machine', ['--machine', 'amd-v3'], /no machine "amd-v3".*amd-v2/],
    ['a pair of two families', ['--policy', 'lazy'], /policy lazy is of family dma and machine amd-v2 of family mm/],
    ['an unknown key', ['--set', 'machine.device.outstandin=3'], /no such key.*device\.outstanding/],
    ['too little memory', ['--memory', '1%'], /expected at least 128/],
    ['nonsense memory', ['--memory', 'much'], /--memory is "much", expected none, a share/],
    ['nonsense device', ['--device', 'follow,every=0'], /--device: every is "0", expected a count/],
    ['nonsense seed', ['--seed', '-1'], /--seed is "-1", expected a whole number/],
    ['a policy twice', ['--policies', 'range-end,range-end'], /--policies names range-end twice/],
    ['no device', ['--device', 'none', ...PAIR], /no device access happened/],
    ['no CPU', ['--cpus', '0'], /--cpus is "0", expected a whole number of 1/],
  ];
  for (const [name, args, expected] of CASES) {
    test(
      name,
      () =>
        withFolder((folder) => {
          writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
          const before = readdirSync(folder);
          const { code, stdout, stderr } = iommulator(
            ['compare', 'small.trace', ...args, '-o', 'out.txt', '--quiet'],
            folder,
          );
          expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
          expect(stderr).toMatch(expected);
          expect(stderr.trim().split('\n')).toHaveLength(1);
          expect(readdirSync(folder)).toEqual(before);
        }),
      60_000,
    );
  }

  test(
    '--cpus deals the program to several CPUs, and stands in the command that repeats it',
    () =>
      withFolder((folder) => {
        writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
        const { trace, runs } = json(['run', 'small.trace', '--cpus', '3'], folder);
        expect(trace.added[0]).toBe('3 CPUs run it side by side, 1,000 records each in turn');
        expect(runs[0]!.repro).toContain('--cpus 3');
        expect(runs[0]!.cost.locks.mmap).toBeGreaterThan(0);
        expect(runs[0]!.cost.invalidations.ipi).toBeGreaterThan(0);
      }),
    60_000,
  );

  test('where pages are narrowed and none is unmapped, numbers are per page changed; what is flushed too late shows', () =>
    withFolder((folder) => {
      iommulator(['gen', 'shared-writeback', '--ops', '2000', '--pages', '100', '-o', 'w.trace', '--quiet'], folder);
      const args = ['w.trace', '--memory', 'none', '--machines', 'amd-v2'];
      const { runs } = json(['compare', ...args, '--policies', 'under-lock,range-end,batched'], folder);
      expect(runs.map(({ cost }) => [cost.pages_unmapped, cost.invalidations_per_page])).toEqual([
        [0, 1],
        [0, 1],
        [0, 1],
      ]);
      expect(runs.map(({ safety }) => safety.verdict)).toEqual(['safe', 'safe', 'exposed']);
      expect(iommulator(['compare', ...args, '--quiet'], folder).stdout).toContain(' per page changed ');
    }));

  test('--fail-on is a gate', () =>
    withFolder((folder) => {
      writeFileSync(join(folder, 'small.trace'), writeProgram(RECLAIMED));
      const args = ['run', 'small.trace', '--policy', 'range-end', '--machine', 'intel-svm'];
      expect(json(args, folder).runs[0]!.safety.verdict).toBe('exposed');
      const row = (gate: string): number | null => iommulator([...args, '--fail-on', gate, '--quiet'], folder).code;
      expect({ unsafe: row('unsafe'), exposed: row('exposed') }).toEqual({ unsafe: 0, exposed: 1 });
    }));
});
