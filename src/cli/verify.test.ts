import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { iommulator, ROOT, withFolder } from '../../testing/cli.ts';

const SAMPLE = join(ROOT, 'traces/samples/qemu/vtd-strict.txt');

describe('verify recording', () => {
  test('a foreign recording that holds: a row per check, exit code 0', () => {
    const { code, stdout } = iommulator(['verify', 'recording', SAMPLE, '--quiet']);
    expect(code).toBe(0);
    expect(stdout).toContain('vtd-strict.txt on qemu-vtd, policy recorded\n');
    expect(stdout).toMatch(/^check +expected +got +tolerance +holds\ntranslations that hit +113 +113 +0 +yes$/m);
    expect(stdout).not.toContain('NO');
  });

  test('as JSON', () => {
    const { stdout } = iommulator(['verify', 'recording', SAMPLE, '--quiet', '--format', 'json']);
    const { checks, held, failed } = JSON.parse(stdout);
    expect(checks[0]).toEqual({
      name: 'translations that hit',
      kind: 'predicted',
      expected: 113,
      got: 113,
      tolerance: 0,
      holds: true,
    });
    expect([held, failed]).toEqual([checks.length, 0]);
  });

  test('one that does not: exit code 1, and both sides with the line', () =>
    withFolder((folder) => {
      const lines = readFileSync(SAMPLE, 'latin1').split('\n');
      const at = lines.findIndex((line) => line.includes('high 0xfffff000 low 0x400f2'));
      lines[at] = lines[at]!.replace('0xfffff000', '0xffffe000');
      writeFileSync(join(folder, 'changed.txt'), lines.join('\n'));
      const { code, stdout, stderr } = iommulator(['verify', 'recording', 'changed.txt', '--quiet'], folder);
      expect(code).toBe(1);
      expect(stderr).toBe('');
      expect(stdout).toContain(
        `changed.txt:${at + 1}: recorded command 0x00000000000400f2 0x00000000ffffe000; ` +
          'predicted command 0x00000000000400f2 0x00000000fffff000 (strict) at record ',
      );
    }));

  test.each([
    [['verify'], 'expected what to verify'],
    [['verify', 'recording', 'sqlite'], 'holds no recorded outcomes|does not say which IOMMU'],
    [
      ['verify', 'recording', SAMPLE, '--machine', 'amd-v2'],
      'no machine amd-v2 .* expected one of qemu-vtd, qemu-amdvi',
    ],
  ])('%j is refused', (args, message) => {
    const { code, stderr } = iommulator(args);
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(message));
  });
});
