import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { asUser, withFolder } from '../../testing/cli.ts';
import type { HostRecord } from '../model/history.ts';
import { appendHistory, readHistory, readHostTimes } from './history.ts';

const host = (name: string): HostRecord => ({
  ...{ format: 1, kind: 'host', commit: 'a', tool: '0.1.0', name, unit: 'ns', better: 'smaller', host: 'ci' },
  samples: [1],
});

test('what is appended is read again, in order', () =>
  withFolder(async (folder) => {
    const path = join(folder, 'h.ndjson');
    for (const name of ['one', 'two', 'three']) await appendHistory(path, [host(name), host(`${name} again`)]);
    const { records, torn } = readHistory(path);
    expect(records.map((record) => (record as HostRecord).name)).toEqual(
      ['one', 'two', 'three'].flatMap((name) => [name, `${name} again`]),
    );
    expect(torn).toBe(0);
  }));

describe('a torn last line', () => {
  const [whole, part] = [JSON.stringify(host('whole')), '{"format":1,"ki'];
  test('is told of, left out, and nothing is written behind it', () =>
    withFolder(async (folder) => {
      const path = join(folder, 'h.ndjson');
      writeFileSync(path, `${whole}\n${part}`);
      expect(readHistory(path)).toEqual({ records: [host('whole')], torn: part.length });
      await expect(appendHistory(path, [host('more')])).rejects.toThrow('h.ndjson: its last line is torn');
      expect(readFileSync(path, 'utf8')).toBe(`${whole}\n${part}`);
      writeFileSync(path, `${whole}\n`);
      await appendHistory(path, [host('more')]);
      expect(readHistory(path).records).toHaveLength(2);
    }));
});

test.each([
  ['not JSON', 'hello', 'h.ndjson:2: "hello" is not JSON, expected a record'],
  ['no record', '[]', 'h.ndjson:2: read []'],
  ['no such kind', '{"format":1,"kind":"walk","commit":"a","tool":"x"}', 'h.ndjson:2: model is missing'],
  ['no commit', JSON.stringify({ ...host('x'), commit: undefined }), 'h.ndjson:2: commit is missing'],
  ['no samples', JSON.stringify({ ...host('x'), samples: [] }), 'h.ndjson:2: samples: read []'],
  [
    'a sample that is none',
    JSON.stringify({ ...host('x'), samples: ['1'] }),
    'h.ndjson:2: samples.0: read "1", expected a number',
  ],
])('a line is refused by its number: %s', (_, line, message) =>
  withFolder((folder) => {
    const path = join(folder, 'h.ndjson');
    writeFileSync(path, `${JSON.stringify(host('first'))}\n${line}\n`);
    expect(() => readHistory(path)).toThrow(message);
  }),
);

test('host times are a line each', () =>
  withFolder((folder) => {
    const path = join(folder, 'times.ndjson');
    const { format: _, kind: _kind, commit: _commit, tool: _tool, ...times } = host('one');
    writeFileSync(path, `${JSON.stringify(times)}\n`);
    expect(readHostTimes(path)).toEqual([times]);
  }));

test('appends of several processes at a time do not mix, and none is lost', async () => {
  const printed = await asUser(`
    import { fork } from 'node:child_process';
    import { readFileSync } from 'node:fs';
    import { appendHistory, readHistory } from 'iommulator';
    const [, file, who] = process.argv;
    const record = (name) => ({ ...${JSON.stringify(host(''))}, name, samples: Array(2000).fill(1.5) });
    if (who !== undefined) for (let i = 0; i < 10; i++) await appendHistory('h.ndjson', [record(who + ' ' + i), record(who + ' ' + i)]);
    else {
      const codes = await Promise.all(['a', 'b', 'c'].map((name) => new Promise((end) => fork(file, [name]).on('close', end))));
      const { records, torn } = readHistory('h.ndjson');
      const pairs = records.every(({ name }, i) => name === records[i ^ 1].name);
      console.log(JSON.stringify({ codes, torn, pairs, names: new Set(records.map(({ name }) => name)).size }));
    }
  `);
  expect(JSON.parse(printed)).toEqual({ codes: [0, 0, 0], torn: 0, pairs: true, names: 30 });
});
