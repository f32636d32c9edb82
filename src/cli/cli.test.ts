import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ended, iommulator, ROOT, shell, start, withFolder } from '../../testing/cli.ts';
import { IMPORTERS } from '../trace/import/index.ts';

/** A short recording with every kind of line. */
const RECORDING = `==7== Lackey, an example Valgrind tool
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
const TLB = ['tlb', 'app.lk', '--quiet'];

function withRecording<T>(use: (folder: string) => T | Promise<T>): Promise<T> {
  return withFolder((folder) => {
    writeFileSync(join(folder, 'app.lk'), RECORDING);
    return use(folder);
  });
}

function golden(name: string): string {
  return join(ROOT, 'traces/golden/cli', name);
}

describe('output', () => {
  for (const [name, ...args] of [
    ['tlb.txt', 'tlb', 'sqlite'],
    ['tlb.json', 'tlb', 'sqlite', '--format', 'json'],
    ['tlb.csv', 'tlb', 'sqlite', '--format', 'csv'],
    ['tlb.md', 'tlb', 'sqlite', '--format', 'md'],
    ['tlb-data-only.json', 'tlb', 'sqlite', '--data-only', '--invalidate', 'all', '--format', 'json'],
    ['tlb-geometry.txt', 'tlb', 'sqlite', '--l1', '3x5', '--l1i', '1x8', '--l2', '100x7', '--replacement', 'fifo'],
    ['tlb-huge.txt', 'tlb', 'sqlite', '--page-size', '2M', '--l2', 'none', '--straddle', 'one'],
    ['inspect.txt', 'inspect', 'sqlite'],
    ['inspect.json', 'inspect', 'sqlite', '--format', 'json'],
    ['inspect.csv', 'inspect', 'sqlite', '--format', 'csv'],
    ['start.txt'],
  ] as [string, ...string[]][]) {
    test(`${args.join(' ')} -> ${name}`, async () => {
      const { code, stdout, stderr } = iommulator(args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      await expect(stdout).toMatchFileSnapshot(golden(name));
      if (name.endsWith('.md')) expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(77);
      if (name.endsWith('.txt') && args[0] !== 'inspect')
        expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThan(101);
    });
  }

  test('export of a recording', () =>
    withRecording(async (folder) => {
      const { code, stdout, stderr } = iommulator(['export', 'app.lk', '--quiet'], folder);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      await expect(stdout).toMatchFileSnapshot(golden('export.txt'));
      writeFileSync(join(folder, 'app.txt'), stdout);
      expect(iommulator(['export', 'app.txt', '--quiet'], folder).stdout).toBe(stdout);
    }));

  test('list formats names all importers with their sources', () => {
    const { code, stdout } = iommulator(['list', 'formats', '--format', 'json']);
    const rows = IMPORTERS.map(({ name, summary, source }) => ({ format: name, what: summary, source }));
    expect({ code, rows: JSON.parse(stdout) }).toEqual({ code: 0, rows });
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

describe('help', () => {
  const commands = [...iommulator(['--help']).stdout.matchAll(/^ {2}iommulator (\w+)/gm)].map((match) => match[1]!);

  test('lists the commands there are', () => {
    expect(commands).toEqual(expect.arrayContaining(['tlb', 'import', 'export', 'inspect', 'list']));
    expect(iommulator(['--version']).stdout).toBe(
      `${JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version}\n`,
    );
  });

  for (const command of commands) {
    test(`the examples of ${command} run`, () =>
      withRecording((folder) => {
        writeFileSync(join(folder, 'app.lk.zst'), RECORDING);
        writeFileSync(join(folder, 'app.txt'), iommulator(['export', 'app.lk', '--quiet'], folder).stdout);
        iommulator(['import', 'app.lk', '-o', 'app.trace', '--quiet'], folder);
        const help = iommulator([command, '--help']).stdout;
        const examples = examplesOf(help);
        expect(examples.length, help).toBeGreaterThanOrEqual(2);
        for (const example of examples) {
          const ran = shell(example, folder);
          expect({ example, ...ran, stdout: '' }).toMatchObject({ example, code: 0 });
        }
      }));
  }
});

/** Commands below `Examples:`. The explanation stands two or more spaces behind; a long command goes on below. */
function examplesOf(help: string): string[] {
  const lines = help.slice(help.indexOf('Examples:')).split('\n').slice(1);
  const examples: string[] = [];
  for (const line of lines) {
    const part = line.trim().split(/ {2,}/)[0]!;
    if (line.startsWith('  iommulator ')) examples.push(part);
    else if (part !== '' && examples.length > 0) examples.push(`${examples.pop()} ${part}`);
  }
  return examples;
}

describe('errors', () => {
  const files: Record<string, string | Uint8Array> = {
    empty: '',
    garbage: 'neither this\nnor that\n',
    binary: Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251),
    'broken.gz': gzipSync(RECORDING).subarray(0, 90),
    'broken.zst': Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3),
    'rejected.lk': `${RECORDING}${'hello\n'.repeat(30)}`,
    'perf.data': 'PERFILE2................',
    'old.txt': 'iommulator trace text 1\nsource 5\n',
  };

  // Arguments, and the line on stderr behind `iommulator: `.
  const CASES: [string[], string | RegExp][] = [
    [['tlb', 'nowhere'], /^nowhere: no such file, and no shipped trace of that name \(.*sqlite.*\)$/],
    [['tlb', '.'], '.: is not a file'],
    [['tlb', 'empty'], 'empty: is empty'],
    [['tlb', 'garbage'], /^garbage: is in no known format \(text, .*lackey.*; `iommulator list formats`\)$/],
    [['tlb', 'binary'], /^binary: is in no known format/],
    [['tlb', 'broken.gz'], 'broken.gz: cannot be decompressed or read: unexpected end of file'],
    [['tlb', 'broken.zst'], /^broken\.zst: cannot be decompressed or read: /],
    [
      ['tlb', 'rejected.lk'],
      /^rejected\.lk: 30 of 41 lines \(73\.2 %\) were not understood; first, line 12: "hello" is not /,
    ],
    [['tlb', 'perf.data'], 'perf.data: is a perf.data: make it text with `perf script` first'],
    [['tlb', 'old.txt'], 'old.txt:2: source is not {"format": NAME, "file": NAME}'],
    [['tlb', 'cut.trace'], 'cut.trace: is truncated: it does not end with a trailer'],
    [['tlb', 'flipped.trace'], /^flipped\.trace: chunk 0: /],
    [['inspect', 'cut.trace'], 'cut.trace: is truncated: it does not end with a trailer'],
    [['export', 'flipped.trace'], /^flipped\.trace: chunk 0: /],
    [['import', 'nowhere', '-o', 'out'], 'nowhere: no such file'],
    [['import', 'empty', '-o', 'out'], 'empty: is empty'],
    [['import', 'garbage', '-o', 'out', '--as', 'lackey'], /^garbage: 2 of 2 lines \(100\.0 %\) were not understood/],
    [['import', 'rejected.lk', '-o', 'out', '--strict'], /^rejected\.lk:12: "hello" is not /],
    [['import', 'app.trace', '-o', 'out'], /^app\.trace: is /],
    [['import', 'app.lk', '-o', '-'], 'a trace is binary and is written to a file, not to -'],
    [['import', 'app.lk', '-o', 'no/such/folder/out'], 'cannot write no/such/folder/out: ENOENT'],
    [['import', 'app.lk', '-o', 'folder'], 'cannot write folder: it is not a file'],
    [['import', 'app.lk'], 'Missing required argument: output (see iommulator --help)'],
    [['tlb', 'app.lk', '-o', 'folder'], 'cannot write folder: it is not a file'],
    [['tbl', 'app.lk'], 'Did you mean tlb? (see iommulator --help)'],
    [['frobnicate'], 'Unknown argument: frobnicate (see iommulator --help)'],
    [['tlb'], 'Not enough non-option arguments: got 0, need at least 1 (see iommulator --help)'],
    [['tlb', 'app.lk', 'app.lk'], 'Unknown argument: app.lk (see iommulator --help)'],
    [['tlb', 'app.lk', '--l3', '4x4'], 'Unknown argument: l3 (see iommulator --help)'],
    [['tlb', 'app.lk', '--l1', '0x4'], '--l1 is "0x4", expected SETSxWAYS with at most 1048576 entries, such as 16x4'],
    [['tlb', 'app.lk', '--l1', '16'], '--l1 is "16", expected SETSxWAYS with at most 1048576 entries, such as 16x4'],
    [['tlb', 'app.lk', '--l1i', '-1x4'], /^--l1i is "-1x4", expected SETSxWAYS|Not enough arguments|Unknown argument/],
    [['tlb', 'app.lk', '--l2', '99999x99999'], /^--l2 is "99999x99999", expected SETSxWAYS/],
    [['tlb', 'app.lk', '--l1', '4x4', '--l1', '8x8'], '--l1 is given twice'],
    [['tlb', 'app.lk', '--format', 'csv', '--format=json'], '--format is given twice'],
    [['tlb', 'app.lk', '-o', 'a', '--output', 'b'], '--output is given twice'],
    [['tlb', 'app.lk', '--l1'], 'Not enough arguments following: l1 (see iommulator --help)'],
    [['tlb', 'app.lk', '-o'], /^Not enough arguments following: (o|output)/],
    [['tlb', 'app.lk', '--page-size', '3K'], /^Invalid values:/],
    [['tlb', 'app.lk', '--format', 'xml'], /^Invalid values:/],
    [['list', 'wonders'], /^Invalid values:/],
  ];

  // One folder for all: that every case leaves it as it was is part of the test.
  let folder = '';
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'iommulator test-'));
    for (const [name, content] of Object.entries({ 'app.lk': RECORDING, ...files })) {
      writeFileSync(join(folder, name), content);
    }
    mkdirSync(join(folder, 'folder'));
    iommulator(['import', 'app.lk', '-o', 'app.trace', '--quiet'], folder);
    const trace = readFileSync(join(folder, 'app.trace'));
    writeFileSync(join(folder, 'cut.trace'), trace.subarray(0, trace.length - 40));
    const flipped = Buffer.from(trace);
    flipped[70]! ^= 4;
    writeFileSync(join(folder, 'flipped.trace'), flipped);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  for (const [args, message] of CASES) {
    test(args.join(' '), () => {
      const before = readdirSync(folder, { recursive: true }).sort();
      const { code, stdout, stderr } = iommulator(args, folder);
      // An export streams: what came before the damage is out already.
      expect({ code, stdout: args[0] === 'export' ? '' : stdout, stderr }).toMatchObject({ code: 2, stdout: '' });
      expect(stderr.split('\n'), 'one line').toHaveLength(2);
      if (typeof message === 'string') expect(stderr).toBe(`iommulator: ${message}\n`);
      else expect(stderr.slice('iommulator: '.length, -1)).toMatch(message);
      // Nothing is written on failure, and nothing is left behind.
      expect(readdirSync(folder, { recursive: true }).sort()).toEqual(before);
    });
  }

  test('a good file is not replaced by a failed import', () =>
    withRecording((folder) => {
      writeFileSync(join(folder, 'out.trace'), 'precious');
      writeFileSync(join(folder, 'bad.lk'), `${RECORDING}${'hello\n'.repeat(30)}`);
      expect(iommulator(['import', 'bad.lk', '-o', 'out.trace'], folder).code).toBe(2);
      expect(readFileSync(join(folder, 'out.trace'), 'utf8')).toBe('precious');
    }));

  test('a full disk is an error, not a bug', () =>
    withRecording((folder) => {
      if (!existsSync('/dev/full')) return;
      const { code, stderr } = shell('iommulator export sqlite > /dev/full', folder);
      expect({ code, stderr }).toEqual({ code: 2, stderr: 'iommulator: cannot write to standard output: ENOSPC\n' });
    }));
});

describe('streams and signals', () => {
  test('a closed pipe ends quietly', () =>
    withFolder((folder) => {
      for (const line of [
        'iommulator export sqlite | head -3',
        'iommulator export sqlite | true',
        'iommulator inspect sqlite | head -1',
      ]) {
        const { code, stderr } = shell(line, folder);
        expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: '' });
      }
    }));

  test('a slow reader gets everything: what it got, imported, is the trace byte for byte', () =>
    withFolder((folder) => {
      expect(shell('iommulator export sqlite | (sleep 0.5; cat) > a.txt', folder)).toMatchObject({
        code: 0,
        stderr: '',
      });
      expect(iommulator(['import', 'a.txt', '-o', 'a.trace', '--quiet'], folder).code).toBe(0);
      const whole = readFileSync(join(ROOT, 'traces/sqlite.trace'));
      expect(Buffer.compare(readFileSync(join(folder, 'a.trace')), whole)).toBe(0);
    }));

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    for (const args of [
      ['import', 'long.lk', '-o', 'long.trace'],
      ['tlb', 'long.lk', '-o', 'long.txt'],
      ['export', 'sqlite', '-o', 'sqlite.txt'],
    ]) {
      test(`${signal} during ${args[0]} leaves no file and exits 130`, () =>
        withFolder(async (folder) => {
          const record = 'I  04000ff0,5\n L 1ffe000,8\n S 1ffe008,8\n';
          writeFileSync(join(folder, 'long.lk'), record.repeat(3_000_000));
          const child = start(args, folder);
          const done = ended(child);
          // Until it has begun to write: a part file beside the output, or in a temporary folder.
          const part =
            args[0] === 'tlb' ? () => true : () => readdirSync(folder).some((file) => file.endsWith('.part'));
          for (let i = 0; i < 300 && !part(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
          if (args[0] === 'tlb') await new Promise((resolve) => setTimeout(resolve, 700));
          child.kill(signal);
          const { code, stdout, stderr } = await done;
          expect({ code, stdout, stderr }).toEqual({ code: 130, stdout: '', stderr: '' });
          expect(readdirSync(folder)).toEqual(['long.lk']);
        }));
    }
  }
});
