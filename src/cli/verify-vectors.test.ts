import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { iommulator, ROOT, withFolder } from '../../testing/cli.ts';

const FILE = join(ROOT, 'traces/outside/iommu-vectors.json');
const vectors = JSON.parse(readFileSync(FILE, 'utf8')) as Record<string, { id: string }[] | Record<string, unknown>>;

describe('verify vectors', () => {
  test('every vector of every section has a check, in their order, and holds', () => {
    const { code, stdout } = iommulator(['verify', 'vectors', FILE, '--format', 'json']);
    expect(code).toBe(0);
    const { file, checks, held, failed } = JSON.parse(stdout);
    const { meta, sequences, ...sections } = vectors;
    const names = Object.values(sections).flatMap((section) =>
      Array.isArray(section) ? section.map(({ id }) => id) : Object.keys(section),
    );
    expect(checks.map(({ name }: { name: string }) => name)).toEqual(names);
    expect([file, held, failed]).toEqual(['iommu-vectors.json', names.length, 0]);
    expect(names).toHaveLength(239);
    expect(checks.find(({ name }: { name: string }) => name === 'vtd-bad-12')).toEqual({
      name: 'vtd-bad-12',
      kind: 'predicted',
      expected: 'status=error error=IQE reason=reserved_bits type_raw=2 qw=1 bits=0x80',
      got: 'status=error error=IQE reason=reserved_bits type_raw=2 qw=1 bits=0x80',
      tolerance: 0,
      holds: true,
    });
  });

  test('one that does not hold: exit code 1, and what differs', () =>
    withFolder((folder) => {
      const text = readFileSync(FILE, 'utf8').replace('"DID": 4660', '"DID": 4661').replace('"walks"', '"wolks"');
      writeFileSync(join(folder, 'v.json'), text);
      const { code, stdout, stderr } = iommulator(['verify', 'vectors', 'v.json'], folder);
      expect([code, stderr]).toEqual([1, '']);
      expect(stdout).toContain('vtd-cc-02: expected DID=0x1235, got DID=0x1234\n');
      expect(stdout).toContain('section wolks: expected tested, got unknown\n');
      expect(stdout).toMatch(/\nv\.json: 211 of 213 vectors hold\n$/);
      const lines = iommulator(['verify', 'vectors', 'v.json', '--format', 'md'], folder).stdout.split('\n');
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(76);
    }));

  test('a file that is not there', () => {
    const { code, stdout, stderr } = iommulator(['verify', 'vectors', 'none.json']);
    expect([code, stdout, stderr]).toEqual([2, '', 'iommulator: none.json: no such file\n']);
  });
});
