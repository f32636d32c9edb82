import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  ALL_EVENTS,
  contentOf,
  openBytes,
  PROVENANCE,
  type Program,
  programs,
  writeProgram,
} from '../../testing/program.ts';
import { MAX_VPN } from '../model/limits.ts';
import { type Outcome, RUN_OPS, type TraceEvent } from '../model/trace.ts';
import { MAX_FIELD } from './format.ts';
import { codec } from './input.ts';
import { eachLine } from './lines.ts';
import { TextReader, textOf } from './text.ts';
import { TraceWriter } from './writer.ts';

const EDGES = [0, 1, 511, 512, 1023, 0x12345, MAX_VPN - 1, MAX_VPN];
const field = fc.oneof(
  fc.nat(100),
  fc.constantFrom(0, 1, MAX_FIELD - 1, MAX_FIELD),
  fc.integer({ min: 0, max: MAX_FIELD }),
);
const anything = programs({
  agents: 3,
  vpn: fc.oneof(fc.nat(5), fc.constantFrom(...EDGES)),
  events: ALL_EVENTS,
  field: () => field,
  steps: 300,
});

/** A record as the rules of a run say it should be, without a `switch`. */
type Expected =
  | { agent: number; vpn: number; space: number; op: string; straddle: boolean; counts: [number, number] }
  | { agent: number; event: TraceEvent };

/** The rules of access runs, straight from traces/FORMAT.md: slow, and without chunks or full counters. */
function expectedOf(program: Program): { records: Expected[]; outcomes: (Outcome & { record: number })[] } {
  const records: Expected[] = [];
  const outcomes: Outcome[] = [];
  const open = program.agents.map(() => ({ fetch: '', data: '', last: undefined as [number, number] | undefined }));
  let switches = 0;
  let by = -1;
  for (const step of program.steps) {
    if ('outcome' in step) {
      const { outcome: kind, line, values } = step;
      outcomes.push({ kind, record: records.length + switches - 1, line, values });
    } else if ('event' in step) {
      if (records.length === 0) by = step.agent;
      open[step.agent] = { fetch: '', data: '', last: undefined };
      records.push({
        agent: step.agent,
        event: { op: step.event, agent: step.agent, gap: step.gap, fields: step.fields },
      });
    } else {
      const { agent, access, vpn, straddle } = step;
      const runs = open[agent]!;
      const column = access === 'fetch' ? 0 : 1;
      const kind = access === 'fetch' ? 'fetch' : 'data';
      const goesOn = runs[kind] === `read ${vpn}` ? access !== 'write' : runs[kind] === `write ${vpn}`;
      if (goesOn && !straddle && !program.interleaved && runs.last) {
        runs.last[column]++;
        continue;
      }
      if (records.length > 0 && by !== agent) switches++;
      by = agent;
      runs.last = column === 0 ? [1, 0] : [0, 1];
      runs[kind] = straddle ? '' : `${access === 'write' ? 'write' : 'read'} ${vpn}`;
      records.push({ agent, vpn, space: program.agents[agent]!, op: access, straddle, counts: runs.last });
    }
  }
  return { records, outcomes };
}

describe('binary form', () => {
  test('a reader gives back what the writer was told, by the rules of runs', () => {
    const reached = { merged: 0, switches: 0, straddles: 0, events: 0, outcomes: 0, interleaved: 0 };
    fc.assert(
      fc.property(anything, (program) => {
        const content = contentOf(openBytes(writeProgram(program)));
        const expected = expectedOf(program);
        const all = content.records;
        const shown = all.flatMap((record): Expected[] => {
          if ('event' in record)
            return record.event.op === 'switch' ? [] : [{ agent: record.agent, event: record.event }];
          const { op, straddle, fetches, datas } = record.run;
          return [{ agent: record.agent, ...record.page, op, straddle, counts: [fetches, datas] }];
        });
        expect(shown).toEqual(expected.records);
        expect(content.outcomes).toEqual(expected.outcomes);
        expect(content.meta).toMatchObject(PROVENANCE);
        reached.switches += all.length - shown.length;
        reached.outcomes += content.outcomes.length;
        reached.interleaved += program.interleaved ? 1 : 0;
        reached.straddles += content.meta.counts.straddledFetches + content.meta.counts.straddledDatas;
        reached.events += content.meta.counts.events;
        const runs = all.filter((record) => 'run' in record).length;
        reached.merged += content.meta.counts.fetches + content.meta.counts.datas - runs;
      }),
      { seed: 1, numRuns: 300 },
    );
    for (const [what, times] of Object.entries(reached)) expect(times, what).toBeGreaterThan(50);
  });

  test('counts of the meta chunk are those of the records', () => {
    fc.assert(
      fc.property(anything, (program) => {
        const { meta, records } = contentOf(openBytes(writeProgram(program)));
        const pages = new Set(
          records.flatMap((record) => ('run' in record ? [`${record.page.space} ${record.page.vpn}`] : [])),
        );
        const tables = new Set(
          [...pages].map((page) => page.replace(/\d+$/, (vpn) => `${Math.floor(Number(vpn) / 512)}`)),
        );
        const events = records.flatMap((record) => ('event' in record ? [record.event.op] : []));
        const times = (...ops: string[]) => events.filter((op) => ops.includes(op)).length;
        expect(meta.counts).toMatchObject({
          records: records.length,
          events: events.length,
          pages: pages.size,
          tables: tables.size,
        });
        expect(meta.counts).toMatchObject({ maps: times('map'), unmaps: times('unmap'), dma: times('dma', 'dmaRaw') });
      }),
      { seed: 2, numRuns: 100 },
    );
  });
});

/** Exports bytes, and imports the text again. */
async function throughText(bytes: Uint8Array): Promise<{ text: string; bytes: Uint8Array }> {
  const text = [...textOf(openBytes(bytes))].join('');
  return { text, bytes: await fromText(text) };
}

async function fromText(text: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const writer = new TraceWriter({ write: (part) => parts.push(part.slice()) }, codec);
  const reader = new TextReader('t', writer);
  const whole = Buffer.from(text);
  // Blocks that cut lines and characters.
  const blocks = async function* () {
    for (let at = 0; at < whole.length; at += 1009) yield whole.subarray(at, at + 1009);
  };
  await eachLine({ file: 't', blocks }, (line) => reader.read(line));
  writer.finish(reader.finish());
  return Buffer.concat(parts);
}

test('text form: export and import give the same bytes', async () => {
  await fc.assert(
    fc.asyncProperty(anything, async (program) => {
      const bytes = writeProgram(program);
      const again = await throughText(bytes);
      expect(Buffer.compare(again.bytes, bytes)).toBe(0);
    }),
    { seed: 3, numRuns: 200 },
  );
});

describe('large traces', () => {
  /** Two agents in turn, pages that change at every access, so that every access is a record. */
  function* busy(accesses: number): Generator<Program['steps'][number]> {
    for (let i = 0; i < accesses; i++) {
      const access = RUN_OPS[i % 3]!;
      yield { access, agent: Math.floor(i / 1000) % 2, vpn: (i * 7919) % 3001, straddle: i % 997 === 0 };
      if (i % 5000 === 4999) yield { event: 'munmap', agent: i % 2, fields: [0, i, i + 3], gap: i };
      if (i % 7000 === 0) yield { outcome: 'hit', line: i, values: [i, 7] };
    }
  }

  test.each([65_533, 65_534, 65_535, 65_536, 65_537, 65_538, 200_000])(
    '%i records cross chunk borders whole',
    async (n) => {
      const program = { interleaved: false, spaces: 2, agents: [0, 1], steps: [...busy(n)] };
      const bytes = writeProgram(program);
      const trace = openBytes(bytes);
      const chunks = [...trace.chunks()];
      expect(chunks.every((chunk) => chunk.records <= 65_536)).toBe(true);
      expect(chunks.length).toBe(Math.ceil(trace.meta.counts.records / 65_536) || 1);
      const { records } = contentOf(trace);
      const accesses = records.flatMap((record) =>
        'run' in record ? [[record.agent, record.run.op, record.page.vpn, record.run.straddle]] : [],
      );
      const told = program.steps.flatMap((step) =>
        'access' in step ? [[step.agent, step.access, step.vpn, step.straddle]] : [],
      );
      expect(accesses).toEqual(told);
      expect(Buffer.compare((await throughText(bytes)).bytes, bytes)).toBe(0);
    },
  );

  test('a run beyond 65,535 accesses is continued by a record of the same page', async () => {
    const steps: Program['steps'][number][] = [];
    for (let i = 0; i < 140_000; i++)
      steps.push({ access: i % 2 === 0 ? 'fetch' : 'read', agent: 0, vpn: i % 2, straddle: false });
    const bytes = writeProgram({ interleaved: false, spaces: 1, agents: [0], steps });
    const trace = openBytes(bytes);
    expect(trace.meta.counts).toMatchObject({ fetches: 70_000, datas: 70_000, records: 3 });
    const { records } = contentOf(trace);
    expect(records.map((record) => 'run' in record && [record.run.fetches, record.run.datas])).toEqual([
      [1, 0],
      [65_535, 65_535],
      [4464, 4465],
    ]);
    expect(Buffer.compare((await throughText(bytes)).bytes, bytes)).toBe(0);
  });

  test('more outcomes than one chunk holds come back in order', () => {
    const steps: Program['steps'][number][] = [];
    for (let i = 0; i < 70_000; i++) steps.push({ outcome: 'hit', line: i, values: [i] });
    const { outcomes } = contentOf(openBytes(writeProgram({ interleaved: false, spaces: 1, agents: [0], steps })));
    expect(outcomes.map((outcome) => outcome.line)).toEqual(Array.from({ length: 70_000 }, (_, i) => i));
  });
});

const HEAD = `iommulator trace text 1
source {"format":"test","file":"a"}
tally {"lines":1,"accepted":1,"rejected":0,"ignored":0,"rules":{}}
inferred []
interleaved false
space "mm" mm
agent "cpu0" cpu 0
by 0`;

// What stands behind HEAD, and the error.
const BAD_TEXT: [string, string][] = [
  ['red 1 0 1', 't:9: read "red 1 0 1", expected a line of a trace text'],
  ['re+ad 1 0 1', 't:9: read "re+ad 1 0 1", expected a line of a trace text'],
  ['', 't:9: read "", expected a line of a trace text'],
  ['read 1 0', 't:9: read "read 1 0", expected OP VPN FETCHES DATAS, counts of 1..65535'],
  ['read 1 0 1 1', 't:9: read "read 1 0 1 1", expected OP VPN FETCHES DATAS, counts of 1..65535'],
  ['read 1 0 65536', 't:9: read "read 1 0 65536", expected OP VPN FETCHES DATAS, counts of 1..65535'],
  ['read 1 1 0', 't:9: read "read 1 1 0", expected OP VPN FETCHES DATAS, counts of 1..65535'],
  ['read 1 3 1', 't:9: read "read 1 3 1": run of page 0: continues a fetch run that is not open'],
  ['read+ 1 0 2', 't:9: read "read+ 1 0 2": run of page 0: has 2 accesses'],
  ['read 0x1 0 1', 't:9: read "read 0x1 0 1", expected OP VPN FETCHES DATAS, counts of 1..65535'],
  ['read 200000000000 0 1', 't:9: read "read 200000000000 0 1": page 35184372088832: is outside 0..2^45-1'],
  ['by 1', 't:9: read "by 1", expected agent of 0..0'],
  ['munmap 0 0 0 1', 't:9: read "munmap 0 0 0 1", expected munmap AGENT GAP space first end'],
  ['munmap 0 0 1 1 2', 't:9: read "munmap 0 0 1 1 2", expected space of 0..0'],
  ['munmap 0 0 0 1 -2', 't:9: read "munmap 0 0 0 1 -2", expected whole numbers behind the first word'],
  ['switch 0 0', 't:9: read "switch 0 0", expected switch AGENT GAP '],
  ['dma 0 0 0 0 0 0 0', 't:9: read "dma 0 0 0 0 0 0 0": event dma: names instance 0 of 0'],
  ['= seen 1', 't:9: read "= seen 1", expected = OUTCOME LINE VALUE...'],
  ['= hit 9007199254740991', 't:9: read "= hit 9007199254740991", expected line of 0..4503599627370495'],
  ['source 5', 't:9: source is not {"format": NAME, "file": NAME}'],
  ['tally {"lines":1}', 't:9: tally has no rules'],
  ['inferred [1]', 't:9: inferred is not a short list of sentences'],
  ['inferred [', 't:9: read "inferred [", expected JSON behind the first word'],
  ['interleaved 1', 't:9: read "interleaved 1", expected a line of a trace text'],
  ['space mm mm', 't:9: read "space mm mm", expected a line of a trace text'],
  ['agent "a" cpu 1', 't:9: read "agent \\"a\\" cpu 1", expected space of 0..0'],
  ['x'.repeat(70_000), 't:9: is longer than 65536 characters'],
];

for (const [line, message] of BAD_TEXT) {
  test(`text line "${line.slice(0, 40)}" is refused`, async () => {
    await expect(fromText(`${HEAD}\n${line}\n`)).rejects.toMatchObject({ name: 'TraceError', message });
  });
}

test('a text without its head, or of another version, is refused', async () => {
  await expect(fromText('iommulator trace text 2\n')).rejects.toThrow('t:1: read "iommulator trace text 2", expected');
  await expect(fromText('iommulator trace text 1\n')).rejects.toThrow('t: lacks its source, tally or inferred line');
});

test('lines end in LF or CRLF, the last may be open', async () => {
  const lines = `${HEAD}\nread 1 0 1`;
  const bytes = await fromText(`${lines}\n`);
  expect(await fromText(lines)).toEqual(bytes);
  expect(await fromText(`${lines}\n`.replaceAll('\n', '\r\n'))).toEqual(bytes);
});
