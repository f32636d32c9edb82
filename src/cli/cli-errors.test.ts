import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { iommulator, RECORDING, shell, withRecording } from '../../testing/cli.ts';

describe('errors', () => {
  const files: Record<string, string | Uint8Array> = {
    empty: '',
    garbage: 'neither this\nnor that\n',
    binary: Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919) % 251),
    'broken.gz': gzipSync(RECORDING).subarray(0, 90),
    'broken.zst': Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 1, 2, 3),
    'rejected.lk': `${RECORDING}${'hello\n'.repeat(30)}`,
    'app.tar': `${'app.lk'.padEnd(257, '\0')}ustar`.padEnd(1024, '\0'),
    'perf.data': 'PERFILE2................',
    'old.txt': 'iommulator trace text 1\nsource 5\n',
  };

  // Arguments, and the line on stderr behind `iommulator: `.
  const CASES: [string[], string | RegExp][] = [
    [['tlb', 'nowhere'], /^nowhere: no such file, and no shipped trace of that name \(.*sqlite.*\)$/],
    [['tlb', 'folder'], 'folder: holds no file'],
    [['tlb', 'traces'], 'traces: is a folder, expected a file'],
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
    [['list', 'paths', 'cow', '--counts'], '--counts goes with `list paths`, and with no name and no --yaml'],
    [['list', 'paths', '--machine', 'amd-v2'], '--policies and --machine go with `list paths --counts`'],
    [['list', 'paths', '--counts', '--policies', 'strict'], /^policy strict is of family dma and machine amd-v2 of/],
    [['inspect', 'cut.trace'], 'cut.trace: is truncated: it does not end with a trailer'],
    [['export', 'flipped.trace'], /^flipped\.trace: chunk 0: /],
    [['import', 'nowhere', '-o', 'out'], 'nowhere: no such file'],
    [['import', 'empty', '-o', 'out'], 'empty: is empty'],
    [['import', 'garbage', '-o', 'out', '--as', 'lackey'], /^garbage: 2 of 2 lines \(100\.0 %\) were not understood/],
    [['import', 'rejected.lk', '-o', 'out', '--max-rejected', '73%'], /^rejected\.lk: 30 of 41 lines/],
    [
      ['import', 'rejected.lk', '-o', 'out', '--max-rejected', 'x'],
      '--max-rejected is "x", expected a percentage such as 0.5%',
    ],
    [['tlb', 'app.tar'], 'app.tar: is a tar archive: unpack it first'],
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
    mkdirSync(join(folder, 'traces'));
    writeFileSync(join(folder, 'traces/app.lk'), RECORDING);
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
