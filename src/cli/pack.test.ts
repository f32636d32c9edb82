import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, withFolder } from '../../testing/cli.ts';
import { type Form, goldenCases, goldenFile, wordsOf } from '../../testing/golden/cases.ts';

const MB = 1_000_000;

/** npm, with the errors and warnings of its configuration on a stream of their own. */
function npm(args: readonly string[], cwd: string): string {
  const env = {
    ...process.env,
    npm_config_update_notifier: 'false',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
  };
  return execFileSync('npm', args, { cwd, env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

interface Packed {
  readonly filename: string;
  readonly size: number;
  readonly files: readonly { readonly path: string }[];
}

describe('the package', () => {
  let folder = '';
  let remove = (): void => {};
  let packed: Packed;

  beforeAll(async () => {
    await new Promise<void>((ready) => {
      void withFolder((path) => {
        folder = path;
        ready();
        return new Promise<void>((resolve) => {
          remove = resolve;
        });
      });
    });
    // Without scripts: dist is built already, and other tests are using it.
    [packed] = JSON.parse(npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT));
  });
  afterAll(() => remove());

  test('is smaller than 3 MB and holds what a user needs, no more', () => {
    const paths = packed.files.map((file) => file.path);
    expect(packed.size).toBeLessThan(3 * MB);
    expect(paths).toEqual(
      expect.arrayContaining([
        'build/release.wasm',
        'build/catalog.js',
        'build/validators/machine.js',
        'dist/cli/main.js',
        'dist/jobs/worker.js',
        'README.md',
        'LICENSE',
      ]),
    );
    const shipped = readdirSync(join(ROOT, 'traces')).filter((file) => /\.(trace|md)$/.test(file));
    expect(paths).toEqual(expect.arrayContaining(shipped.map((file) => `traces/${file}`)));
    const yaml = readdirSync(join(ROOT, 'src/catalog'), { recursive: true, encoding: 'utf8' }).filter((file) =>
      file.endsWith('.yaml'),
    );
    expect(paths).toEqual(expect.arrayContaining(yaml.map((file) => `src/catalog/${file}`)));
    const strange = paths.filter((path) =>
      /\.(test|bench)\.|\.wat$|\.map$|checked|^(testing|bench|assembly|node_modules|\.)|outside|golden/.test(path),
    );
    expect(strange).toEqual([]);
    expect(paths.filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))).toEqual([]);
  });

  const filesOf = (name: string, form: Form) => {
    const golden = goldenCases(ROOT).find((row) => row.name === name)!;
    return { words: wordsOf(golden, form), file: goldenFile(ROOT, golden, form) };
  };
  for (const [name, ...printed] of [
    ['plain', filesOf('cli/tlb', 'json'), filesOf('cli/compare', 'json')],
    ['a name with spaces', filesOf('cli/tlb', 'txt'), filesOf('cli/compare-dma', 'json')],
  ] as const) {
    test(`runs where it is installed, with the bytes of the checkout: ${name}`, { timeout: 300_000 }, () => {
      const place = join(folder, name);
      mkdirSync(place);
      writeFileSync(join(place, 'package.json'), '{ "private": true }');
      npm(['install', '--omit=dev', '--no-save', join(folder, packed.filename)], place);
      expect(statSync(join(place, 'node_modules/iommulator/build/release.wasm')).isFile()).toBe(true);
      const run = (...args: string[]) => npm(['exec', '--no', '--', 'iommulator', ...args], place);
      expect(run('list', 'traces', '--format', 'csv')).toContain('sqlite');
      // What the checkout prints: golden.test.ts.
      for (const { words, file } of printed) expect(run(...words)).toBe(readFileSync(file, 'utf8'));
    });
  }
});

test('every package of package-lock.json has its digest, on every system', () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { integrity?: string }>;
  };
  const without = Object.entries(packages).filter(([path, { integrity }]) => path !== '' && integrity === undefined);
  expect(without.map(([path]) => path)).toEqual([]);
});
