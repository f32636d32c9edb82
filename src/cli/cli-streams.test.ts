import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ended, iommulator, ROOT, shell, start, withFolder } from '../../testing/cli.ts';

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
