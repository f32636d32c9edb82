import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { iommulator, RECORDING, shell, withFolder, writeValgrind } from '../../testing/cli.ts';

function withValgrind<T>(use: (folder: string) => T): Promise<T> {
  return withFolder((folder) => {
    writeValgrind(folder);
    return use(folder);
  });
}

test('a program is recorded; its output, its input and its exit code are passed through', () =>
  withValgrind((folder) => {
    const line = 'PATH=.:$PATH; echo in | iommulator record -o p.trace -- sh -c \'cat; echo "$0 $1"; exit 3\' 007 -o';
    const { code, stdout, stderr } = shell(line, folder);
    expect({ code, stdout }).toEqual({ code: 3, stdout: 'in\n007 -o\n' });
    expect(stderr).toMatch(/^p\.trace: 9 accesses in \d+ records; 11 lines: 9 accepted, 0 rejected, 2 ignored\n$/);
    const exported = (name: string): string[] => iommulator(['export', name], folder).stdout.split('\n').slice(2);
    writeFileSync(join(folder, 'app.lk'), RECORDING);
    expect(exported('p.trace')).toEqual(exported('app.lk'));
  }));

test.each([
  ['-- /no/such', 'valgrind could not start /no/such: exit code 127'],
  ['', 'record needs a program: record -o TRACE -- PROGRAM ARGS'],
])('record %s: one line, and no trace', (rest, message) =>
  withValgrind((folder) => {
    const { code, stderr } = shell(`PATH=.:$PATH; iommulator record -o p.trace ${rest}`, folder);
    expect({ code, stderr }).toEqual({ code: 2, stderr: `iommulator: ${message}\n` });
    expect(existsSync(join(folder, 'p.trace'))).toBe(false);
  }),
);

test('without valgrind: how to get it', () =>
  withFolder((folder) => {
    const { code, stderr } = shell('PATH=/nowhere; iommulator record -o p.trace -- ls', folder);
    expect({ code, stderr: stderr.split(':')[1] }).toEqual({ code: 2, stderr: ' valgrind is not installed' });
  }));

test('a kernel is not recorded, the way to do it is printed', () => {
  const { code, stdout } = iommulator(['record', '--kernel']);
  expect(code).toBe(0);
  for (const part of [
    'import kernel.txt -o kernel.trace',
    'import mm.txt -o mm.trace',
    'trace-cmd record',
    'bpftrace -e',
  ])
    expect(stdout).toContain(part);
});
