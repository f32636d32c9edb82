import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
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
      const shipped = 'vtd-nvme-randread-strict';
      const whole = readFileSync(join(ROOT, `traces/${shipped}.trace`));
      const got = shell(`iommulator export ${shipped} | (sleep 0.5; cat) > a.txt`, folder);
      expect(got).toMatchObject({ code: 0, stderr: '' });
      // Far more than a pipe and a stream hold.
      expect(statSync(join(folder, 'a.txt')).size).toBeGreaterThan(4 << 20);
      expect(iommulator(['import', 'a.txt', '-o', 'a.trace', '--quiet'], folder).code).toBe(0);
      expect(Buffer.compare(readFileSync(join(folder, 'a.trace')), whole)).toBe(0);
    }));

  describe('a signal', () => {
    let recording = '';
    beforeAll(() => {
      const record = 'I  04000ff0,5\n L 1ffe000,8\n S 1ffe008,8\n';
      recording = join(mkdtempSync(join(tmpdir(), 'iommulator test-')), 'long.lk');
      writeFileSync(recording, record.repeat(3_000_000));
    });
    afterAll(() => rmSync(dirname(recording), { recursive: true }));

    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      for (const args of [
        ['import', 'RECORDING', '-o', 'long.trace'],
        ['tlb', 'RECORDING', '-o', 'long.txt'],
        ['export', 'sqlite', '-o', 'sqlite.txt'],
      ]) {
        test(`${signal} during ${args[0]} leaves no file and exits 130`, () =>
          withFolder(async (folder) => {
            const child = start(
              args.map((arg) => arg.replace('RECORDING', recording)),
              folder,
              { TMPDIR: folder, TEMP: folder, TMP: folder },
            );
            const done = ended(child);
            // Until it has begun to write: a part file beside the output, or in a temporary folder, which is here as well.
            const part = () => readdirSync(folder, { recursive: true }).some((file) => `${file}`.endsWith('.part'));
            for (let i = 0; i < 3000 && !part(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
            child.kill(signal);
            const { code, stdout, stderr } = await done;
            expect({ code, stdout, stderr }).toEqual({ code: 130, stdout: '', stderr: '' });
            expect(readdirSync(folder)).toEqual([]);
          }));
      }
    }
  });
});
