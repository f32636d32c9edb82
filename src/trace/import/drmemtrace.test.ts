import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { withFolder } from '../../../testing/cli.ts';
import { imported, inputOf } from '../../../testing/imports.ts';
import { openInput } from '../input.ts';
import { recognise } from './index.ts';

/** A record: type, size, address. */
function entry(type: number, size: number, address: number): Buffer {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt16LE(type, 0);
  bytes.writeUInt16LE(size, 2);
  bytes.writeBigUInt64LE(BigInt(address), 4);
  return bytes;
}
const [READ, WRITE, INSTR, THREAD, PID, HEADER, FOOTER, MARKER] = [0, 1, 10, 22, 24, 25, 26, 28];
const [TIME, FILETYPE, WINDOW, PAGE_SIZE] = [2, 9, 14, 18];

interface File {
  readonly tid: number;
  readonly pid?: number;
  readonly filetype?: number;
  readonly markers?: readonly (readonly [kind: number, value: number])[];
  /** Times, each with the pages that are read behind it. */
  readonly reads: readonly (readonly [time: number, ...pages: number[]])[];
}

/** A file of one thread. */
function file({ tid, pid = 1, filetype = 0x40, markers = [], reads }: File): Buffer {
  const head = [entry(HEADER, 0, 7), entry(MARKER, FILETYPE, filetype), entry(THREAD, 4, tid), entry(PID, 4, pid)];
  const marks = markers.map(([kind, value]) => entry(MARKER, kind, value));
  const body = reads.flatMap(([time, ...pages]) => [
    entry(MARKER, TIME, time),
    ...pages.map((page) => entry(READ, 8, page * 4096)),
  ]);
  return Buffer.concat([...head, ...marks, ...body, entry(FOOTER, 0, 0)]);
}

/** A zip whose members are stored (PKWARE APPNOTE 4.3). */
function zipOf(members: readonly (readonly [name: string, bytes: Buffer])[]): Buffer {
  const [locals, centrals]: [Buffer[], Buffer[]] = [[], []];
  let at = 0;
  for (const [name, bytes] of members) {
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), bytes]);
    const tail = Buffer.alloc(14);
    tail.writeUInt32LE(at, 10);
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, tail, Buffer.from(name)]));
    locals.push(local);
    at += local.length;
  }
  const central = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(members.length, 4);
  end.writeUInt16LE(members.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...locals, central, Buffer.from('PK\x05\x06'), end]);
}

describe('a folder', () => {
  const folder = {
    'a.trace.gz': gzipSync(
      file({
        tid: 11,
        reads: [
          [100, 1, 2],
          [300, 3],
        ],
      }),
    ), // prettier-ignore
    'b.trace': file({
      tid: 12,
      reads: [
        [50, 20],
        [200, 21],
        [400, 22],
      ],
    }), // prettier-ignore
    'cpu_schedule.bin': Buffer.alloc(96),
    'c.trace.zip': zipOf([
      ['chunk.0001', Buffer.concat([entry(MARKER, TIME, 250), entry(WRITE, 8, 31 * 4096), entry(FOOTER, 0, 0)])],
      ['chunk.0000', file({ tid: 13, pid: 2, reads: [[150, 30]] }).subarray(0, -12)],
    ]),
  };

  test('of threads, of which files of other kinds are left out, is merged by time stamps', () =>
    withFolder(async (place) => {
      mkdirSync(join(place, 'app'));
      for (const [name, bytes] of Object.entries(folder)) writeFileSync(join(place, 'app', name), bytes);
      const input = openInput(join(place, 'app'));
      expect((await recognise(input)).name).toBe('drmemtrace');
      const { meta, lines } = await imported(input);
      expect(meta.agents.map(({ name, space }) => [name, meta.spaces[space]!.name])).toEqual([
        ['thread 12', 'process 1'],
        ['thread 11', 'process 1'],
        ['thread 13', 'process 2'],
      ]);
      const pages = lines.filter((line) => !line.startsWith('by')).map((line) => line.split(' ')[1]);
      expect(pages).toEqual(['14', '1', '2', '1e', '15', '1f', '3', '16']);
      expect(meta.inferred).toContain('3 files were merged by their time stamps.');
      expect(meta.inferred).toContain('1 files of the folder are of another format and were not read.');
    }));

  test('without a thread is refused', () =>
    withFolder(async (place) => {
      writeFileSync(join(place, 'cpu_schedule.bin'), folder['cpu_schedule.bin']);
      await expect(imported(openInput(place))).rejects.toThrow('is in no known format');
    }));
});

test.each([
  [0x44, 'holds instructions only'],
  [0xc0, 'was filtered by an instruction cache'],
  [0x140, 'was filtered by a data cache'],
  [0x41, 'was filtered by a cache'],
])('file type 0x%s is refused: %s', async (filetype, why) => {
  await expect(imported(inputOf(file({ tid: 1, filetype, reads: [[1, 2]] })))).rejects.toThrow(`t: ${why}`);
});

test('says which pages the system had, how many windows, and what instructions', async () => {
  const markers = [
    [PAGE_SIZE, 16384],
    [WINDOW, 0],
    [WINDOW, 1],
  ] as const; // prettier-ignore
  const { meta } = await imported(inputOf(file({ tid: 1, filetype: 0x20040, markers, reads: [[1, 2]] })));
  expect(meta.inferred).toEqual([
    'Threads (1 of them) are agents; between time stamps each runs by itself.',
    'No change of the address space is recorded: nothing is ever unmapped.',
    'Time stamps order threads; they are no think time.',
    'The recorded system had pages of 16384 bytes; here they have 4096.',
    'The recording is 2 windows: what lay between them is missing.',
    'Instructions are of the synthetic DR_ISA_REGDEPS: their lengths are not those of the program.',
  ]);
});

test('a damaged record costs itself, not the rest', async () => {
  const body = Array.from({ length: 300 }, (_, i) => entry(INSTR, 4, 0x400000 + i * 4096));
  const whole = Buffer.concat([file({ tid: 1, reads: [[1, 2]] }).subarray(0, -12), ...body]);
  const good = await imported(inputOf(whole));
  const damaged = Buffer.from(whole);
  damaged[12 * 40] = 0xff;
  const { meta, lines } = await imported(inputOf(damaged, 't', 100));
  const { lines: read, accepted, rejected } = meta.tally;
  expect({ read, accepted, rejected }).toEqual({
    read: good.meta.tally.lines,
    accepted: good.meta.tally.accepted - 1,
    rejected: 1,
  });
  expect(lines.length).toBe(good.lines.length - 1);
});
