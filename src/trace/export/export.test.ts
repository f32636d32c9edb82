import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Imported, imported, inputOf, samplesOf } from '../../../testing/imports.ts';
import { openBytes, PROVENANCE } from '../../../testing/program.ts';
import { MAX_VPN } from '../../model/limits.ts';
import { IMPORTERS } from '../import/index.ts';
import { codec } from '../input.ts';
import type { Trace } from '../reader.ts';
import { TraceWriter } from '../writer.ts';
import { LeftOut } from './exporter.ts';
import { EXPORTERS } from './index.ts';

/** A trace in a format of others, and what had no place in it. */
function exported(trace: Trace, format: string): { readonly bytes: Buffer; readonly left: string[] } {
  const left = new LeftOut();
  const exporter = EXPORTERS.find(({ name }) => name === format)!;
  const pieces = [...exporter.write(trace, left)].map((piece) => Buffer.from(piece as string));
  return { bytes: Buffer.concat(pieces), left: left.sentences() };
}

const read = (bytes: Uint8Array, format: string): Promise<Imported> =>
  imported(inputOf(bytes, 't', 1000), { importer: IMPORTERS.find(({ name }) => name === format)! });

function written(write: (out: TraceWriter) => void): Trace {
  const parts: Uint8Array[] = [];
  const out = new TraceWriter({ write: (bytes) => parts.push(bytes.slice()) }, codec);
  write(out);
  out.finish(PROVENANCE);
  return openBytes(Buffer.concat(parts));
}

const page = fc.oneof(
  { arbitrary: fc.nat(3), weight: 3 },
  fc.constantFrom(0x1ffe, 0xf_ffff, 0x10_0000, 2 ** 36, MAX_VPN - 40),
);
const access = fc.record({ kind: fc.nat(2), page, more: fc.constantFrom(0, 0, 0, 0, 1, 2), times: fc.nat(3) });
const range = { first: page, pages: fc.integer({ min: 1, max: 40 }) };
const change = fc.oneof(
  fc.record({ op: fc.constant('munmap' as const), ...range, rest: fc.constant([]) }),
  fc.record({ op: fc.constant('mprotect' as const), ...range, rest: fc.tuple(fc.nat(7)) }),
  fc.record({ op: fc.constant('madvise' as const), ...range, rest: fc.tuple(fc.constantFrom(4, 8)) }),
  fc.record({ op: fc.constant('mmap' as const), ...range, rest: fc.tuple(fc.nat(7), fc.nat(7)) }),
);
const heap = fc.record({ brk: fc.nat(30) });
const program = fc.array(
  fc.oneof({ arbitrary: access, weight: 8 }, { arbitrary: change, weight: 1 }, { arbitrary: heap, weight: 1 }),
  { minLength: 1, maxLength: 60 },
);

test('lackey: any program of one CPU comes back record by record', async () => {
  await fc.assert(
    fc.asyncProperty(program, async (steps) => {
      const trace = written((out) => {
        const cpu = out.agent('cpu0', 'cpu', out.space('mm', 'mm'));
        let end = 7;
        out.touch(cpu, 0, 1, 0);
        for (const step of steps) {
          if ('brk' in step) {
            if (step.brk !== end) out.event(cpu, 'brk', [0, end, step.brk]);
            end = step.brk;
          } else if ('op' in step) {
            out.event(cpu, step.op, [0, step.first, step.first + step.pages, ...step.rest]);
          } else for (let i = 0; i <= step.times; i++) out.touch(cpu, step.kind, step.page, step.more);
        }
      });
      const { bytes, left } = exported(trace, 'lackey');
      const again = await read(bytes, 'lackey');
      const first = await read(Buffer.from(exported(trace, 'text').bytes), 'text');
      expect(again.lines).toEqual(first.lines);
      expect(left).toEqual([]);
    }),
    { seed: 1234, numRuns: 70 },
  );
});

test('lackey: moved and grown mappings come back; its own samples, too', async () => {
  const trace = written((out) => {
    const cpu = out.agent('cpu0', 'cpu', out.space('mm', 'mm'));
    out.touch(cpu, 1, 5, 0);
    out.event(cpu, 'mremap', [0, 4, 8, 16, 24]);
    out.event(cpu, 'mremap', [0, 16, 24, 16, 32]);
  });
  expect((await read(exported(trace, 'lackey').bytes, 'lackey')).lines).toEqual([
    'by 0',
    'read 5 0 1',
    'mremap 0 0 0 4 8 16 24',
    'mremap 0 0 0 16 24 16 32',
  ]);
  for (const { bytes, name } of samplesOf('lackey')) {
    const importer = IMPORTERS.find((known) => known.name === 'lackey')!;
    const first = await imported(inputOf(bytes), { importer, maxRejected: 1 });
    const again = await read(exported(openBytes(first.trace), 'lackey').bytes, 'lackey');
    expect({ name, lines: again.lines }).toEqual({ name, lines: first.lines });
  }
});

describe('champsim', () => {
  const word = fc.oneof(fc.nat(6), fc.constantFrom(0x1ffe, 0x10_0000, 2 ** 36)).map((vpn) => vpn + 1);
  const instruction = fc.record({
    ip: word,
    loads: fc.array(word, { maxLength: 4 }),
    stores: fc.array(word, { maxLength: 2 }),
  });
  const place = (view: DataView, at: number, vpn: number): void => view.setBigUint64(at, BigInt(vpn) << 12n, true);

  test('any instructions come back record by record', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(instruction, { minLength: 1, maxLength: 60 }), async (instructions) => {
        const bytes = Buffer.concat(
          instructions.map(({ ip, loads, stores }) => {
            const record = Buffer.alloc(64);
            const view = new DataView(record.buffer, record.byteOffset, 64);
            place(view, 0, ip);
            for (const [i, vpn] of stores.entries()) place(view, 16 + i * 8, vpn);
            for (const [i, vpn] of loads.entries()) place(view, 32 + i * 8, vpn);
            return record;
          }),
        );
        const first = await read(bytes, 'champsim');
        const { bytes: out, left } = exported(openBytes(first.trace), 'champsim');
        expect(left).toEqual([]);
        expect(out.length).toBe(bytes.length);
        expect((await read(out, 'champsim')).lines).toEqual(first.lines);
      }),
      { seed: 1234, numRuns: 70 },
    );
  });

  test('says what it had no place for, and keeps every access', async () => {
    const trace = written((out) => {
      const cpu = out.agent('cpu0', 'cpu', out.space('mm', 'mm'));
      for (let i = 0; i < 9; i++) out.touch(cpu, 1, 100 + i, 0);
      out.touch(cpu, 0, 200, 1);
      out.event(cpu, 'munmap', [0, 100, 109]);
      out.touch(cpu, 2, 0, 0);
    });
    const { bytes, left } = exported(trace, 'champsim');
    expect(left).toEqual([
      '3 x instruction added, to hold data accesses that no instruction had room for',
      '1 x mark of a second half, which is an access of its own',
      '1 x munmap',
      '1 x data access to page 0, where ChampSim has register numbers',
    ]);
    const { fetches, datas } = (await read(bytes, 'champsim')).meta.counts;
    expect({ fetches, datas }).toEqual({ fetches: 5, datas: 9 });
  });
});

test('csv: accesses of several CPUs come back, and those of devices by IOVA', async () => {
  const cpus = written((out) => {
    const space = out.space('mm', 'mm');
    const agents = ['cpu 0', 'a,"b'].map((name) => out.agent(name, 'cpu', space));
    for (let i = 0; i < 40; i++) for (const agent of agents) out.touch(agent, (i >> 1) % 3, 7 + (i >> 2), 0);
  });
  const again = await read(exported(cpus, 'csv').bytes, 'csv');
  const first = await read(exported(cpus, 'text').bytes, 'text');
  expect(again.meta.agents.map(({ name }) => name)).toEqual(['cpu 0', 'a b']);
  expect(again.lines).toEqual(first.lines);
  const dma = written((out) => {
    const space = out.space('d', 'domain');
    const [cpu, device] = [out.agent('cpu0', 'cpu', space), out.agent('dev0', 'device', space)];
    out.event(cpu, 'map', [space, 0, 4, 77, 3, 0xff0, 0]);
    out.event(device, 'dma', [0, 2, 0, 1, 0]);
    out.event(device, 'dmaRaw', [space, 9, 0, 0]);
  });
  const { bytes, left } = exported(dma, 'csv');
  expect(bytes.toString()).toBe('agent,op,page\ndev0,write,4082\ndev0,read,9\n');
  expect(left).toEqual(['1 x map']);
});

test('a format that cannot hold a trace at all says so', () => {
  const two = written((out) => {
    const space = out.space('mm', 'mm');
    for (const name of ['cpu0', 'cpu1']) out.touch(out.agent(name, 'cpu', space), 1, 5, 0);
  });
  const dma = written((out) => {
    const space = out.space('d', 'domain');
    out.event(out.agent('cpu0', 'cpu', space), 'map', [space, 0, 4, 77, 3, 0xff0, 0]);
  });
  expect(() => exported(two, 'lackey')).toThrow('the trace has 2 agents, and lackey one');
  expect(() => exported(two, 'champsim')).toThrow('the trace has 2 CPUs, and a ChampSim trace one');
  expect(() => exported(dma, 'lackey')).toThrow('lackey has no place for DMA');
  expect(() => exported(dma, 'champsim')).toThrow('no access by a CPU');
  expect(() => exported(dma, 'csv')).toThrow('the trace has no access');
});
