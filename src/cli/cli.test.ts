import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { HISTOGRAM, iommulator, RECORDING, ROOT, shell, withRecording, writeValgrind } from '../../testing/cli.ts';
import { RECLAIMED, writeProgram } from '../../testing/program.ts';
import { mismatches } from '../../testing/schema.ts';
import { IMPORTERS } from '../trace/import/index.ts';

const TLB = ['tlb', 'app.lk', '--quiet'];

describe('output', () => {
  test('an exported recording is read again as it was written', () =>
    withRecording((folder) => {
      const { code, stdout, stderr } = iommulator(['export', 'app.lk', '--quiet'], folder);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      writeFileSync(join(folder, 'app.txt'), stdout);
      expect(iommulator(['export', 'app.txt', '--quiet'], folder).stdout).toBe(stdout);
    }));

  test('list formats names all importers with their sources', () => {
    const { code, stdout } = iommulator(['list', 'formats', '--format', 'json']);
    const rows = IMPORTERS.map(({ name, summary, source }) => ({ format: name, what: summary, source }));
    expect({ code, rows: JSON.parse(stdout) }).toEqual({ code: 0, rows });
    expect(mismatches('listing', rows)).toEqual([]);
    expect(iommulator(['list', 'formats']).stdout.split('\n')).toHaveLength(IMPORTERS.length + 2);
  });

  test('list traces names what is in traces/', () => {
    const shipped = readdirSync(join(ROOT, 'traces')).filter((file) => file.endsWith('.trace'));
    expect(iommulator(['list', 'traces', '--format', 'csv']).stdout).toBe(
      `trace\n${shipped.map((file) => `${file.replace('.trace', '')}\n`).join('')}`,
    );
  });

  test('-o writes what stdout would have got', () =>
    withRecording((folder) => {
      const printed = iommulator([...TLB, '--format', 'json'], folder).stdout;
      const written = iommulator([...TLB, '--format', 'json', '-o', 'out.json'], folder);
      expect(written).toEqual({ code: 0, stdout: '', stderr: '' });
      expect(readFileSync(join(folder, 'out.json'), 'utf8')).toBe(printed);
      expect(readdirSync(folder).sort()).toEqual(['app.lk', 'out.json']);
    }));

  test('a recording counts the same plain, compressed, imported, and through text', () =>
    withRecording((folder) => {
      writeFileSync(join(folder, 'app.lk.gz'), gzipSync(RECORDING));
      expect(iommulator(['import', 'app.lk', '-o', 'app.trace', '--quiet'], folder).code).toBe(0);
      expect(shell('iommulator export app.trace > app.txt', folder).code).toBe(0);
      expect(iommulator(['import', 'app.txt', '-o', 'again.trace', '--quiet'], folder).code).toBe(0);
      expect(readFileSync(join(folder, 'again.trace'))).toEqual(readFileSync(join(folder, 'app.trace')));
      const results = ['app.lk', 'app.lk.gz', 'app.trace', 'app.txt'].map((file) => {
        const { trace, ...rest } = JSON.parse(iommulator(['tlb', file, '--format', 'json'], folder).stdout);
        return { ...rest, accesses: trace.accesses };
      });
      for (const result of results) expect(result).toEqual(results[0]);
      expect(results[0]).toMatchObject({ accesses: 9, l1d: { accesses: 5 }, l1i: { accesses: 4 } });
    }));

  test('a pipe counts as its file does, as - to any command', () =>
    withRecording((folder) => {
      const count = (line: string) => JSON.parse(shell(line, folder).stdout).l1d;
      const file = count('iommulator tlb app.lk --format json --quiet');
      expect(count('cat app.lk | iommulator tlb - --format json --quiet')).toEqual(file);
      expect(count('cat app.lk | iommulator import - -o a.trace; iommulator tlb a.trace --format json')).toEqual(file);
      expect(iommulator(['tlb', ''], folder)).toMatchObject({ code: 2, stderr: 'iommulator: an argument is empty\n' });
    }));

  test('import says what it read on stderr, and nothing with --quiet', () =>
    withRecording((folder) => {
      const loud = iommulator(['import', 'app.lk', '-o', 'a.trace'], folder);
      expect(loud.stdout).toBe('');
      expect(loud.stderr).toMatch(
        /^a\.trace: 9 accesses in \d+ records; 11 lines: 9 accepted, 0 rejected, 2 ignored\n$/,
      );
      const quiet = iommulator(['import', 'app.lk', '-o', 'b.trace', '--quiet'], folder);
      expect(quiet).toEqual({ code: 0, stdout: '', stderr: '' });
    }));

  test('--interleave keeps every access a record and every count', () =>
    withRecording((folder) => {
      iommulator(['import', 'app.lk', '-o', 'a.trace', '--interleave'], folder);
      const { counts, interleaved } = JSON.parse(iommulator(['inspect', 'a.trace', '--format', 'json'], folder).stdout);
      expect({ interleaved, runs: counts.records - counts.events }).toEqual({ interleaved: true, runs: 9 });
      const count = (file: string) => JSON.parse(iommulator(['tlb', file, '--format', 'json'], folder).stdout).l1d;
      expect(count('a.trace')).toEqual(count('app.lk'));
    }));
});

/** A sweep of four runs. */
const GRID = `name: grid
title: a test
traces: [sqlite]
machines: [amd-v2]
policies: [under-lock, range-end]
set: { machine.iommu.iotlb: [1x32, 1x64] }
`;

describe('help', () => {
  const helps = new Map<string, string>();
  /** What --help of a command prints. */
  const helpOf = (command: readonly string[]): string => {
    const key = command.join(' ');
    if (!helps.has(key)) helps.set(key, iommulator([...command, '--help']).stdout);
    return helps.get(key)!;
  };
  /** The commands that the help of `command` lists; `command` itself if it has none below it. */
  const commandsOf = (...command: string[]): string[] => {
    const help = helpOf(command);
    const list = /^Commands:\n(.*?)\n\n/ms.exec(help)?.[1] ?? '';
    const found = list.matchAll(/^ {2}iommulator ([a-z]+(?: [a-z]+)*)/gm);
    const below = [...found].map((match) => match[1]!).filter((name) => name.startsWith(`${command.join(' ')}`.trim()));
    return below.filter((name) => name.split(' ').length === command.length + 1);
  };
  const commands = commandsOf().flatMap((name) => {
    const below = commandsOf(name);
    return below.length > 0 ? below : [name];
  });

  test('lists the commands there are', () => {
    expect(commands).toEqual(expect.arrayContaining(['tlb', 'import', 'export', 'inspect', 'list']));
    expect(iommulator(['--version']).stdout).toBe(
      `${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}\n`,
    );
  });

  // Files that the examples name. A small program stands for the shipped one: a file comes before a shipped name.
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'iommulator test-'));
    const guest = join(ROOT, 'traces/samples/qemu/vtd-strict.txt');
    for (const name of ['app.lk', 'app.lk.zst']) writeFileSync(join(folder, name), RECORDING);
    writeFileSync(join(folder, 'app.txt'), iommulator(['export', 'app.lk', '--quiet'], folder).stdout);
    iommulator(['import', 'app.lk', '-o', 'app.trace', '--quiet'], folder);
    iommulator(['import', guest, '-o', 'guest.trace', '--quiet'], folder);
    copyFileSync(guest, join(folder, 'guest.qemu.txt.zst'));
    copyFileSync(join(ROOT, 'traces/outside/iommu-vectors.json'), join(folder, 'iommu-vectors.json'));
    writeFileSync(join(folder, 'sqlite'), writeProgram(RECLAIMED));
    copyFileSync(join(ROOT, 'traces/golden/cli/compare.json'), join(folder, 'sqlite.json'));
    copyFileSync(join(ROOT, 'traces/golden/cli/explore.json'), join(folder, 'races.json'));
    copyFileSync(join(ROOT, 'traces/golden/history.ndjson'), join(folder, 'iommulator.ndjson'));
    iommulator(['track', 'record', 'sqlite.json', '--commit', '1a2b3c4d', '--quiet'], folder);
    const times = { name: 'replay', unit: 'ns', better: 'smaller', host: 'ci', samples: [1, 2] };
    writeFileSync(join(folder, 'bench.ndjson'), JSON.stringify(times));
    writeValgrind(folder);
    mkdirSync(join(folder, 'traces/experiments'), { recursive: true });
    const experiment = 'traces/experiments/queue.yaml';
    copyFileSync(join(ROOT, experiment), join(folder, experiment));
    writeFileSync(join(folder, 'grid.yaml'), GRID);
    iommulator(['sweep', 'grid.yaml', '--quiet'], folder);
    writeFileSync(join(folder, 'dmar_perf_latency.txt'), HISTOGRAM);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  for (const command of commands) {
    test(`the examples of ${command} run`, () => {
      const help = helpOf(command.split(' '));
      const examples = examplesOf(help);
      expect(examples.length, help).toBeGreaterThanOrEqual(2);
      for (const example of examples) {
        // All races under all policies: explore.test.ts, and the golden files.
        const less = example === 'iommulator explore all' ? ' --policies under-lock --machines amd-v2' : '';
        const ran = shell(`PATH=.:$PATH; ${example}${less}`, folder);
        expect({ example, ...ran, stdout: '' }).toMatchObject({ example, code: 0 });
      }
    });
  }
});

/** Commands below `Examples:`; a long one goes on in the next line, as does its explanation, further right. */
function examplesOf(help: string): string[] {
  const lines = help.slice(help.indexOf('Examples:')).split('\n').slice(1);
  const examples: string[] = [];
  for (const line of lines) {
    const part = /^ {2}(\S.*?)(?: {2,}|$)/.exec(line)?.[1];
    if (part?.startsWith('iommulator ')) examples.push(part);
    else if (part !== undefined) examples.push(`${examples.pop()} ${part}`);
  }
  return examples;
}
