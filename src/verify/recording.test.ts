import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { openBytes } from '../../testing/program.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import { OrderEngine } from '../engine/order.ts';
import type { RecordingResult } from '../model/check.ts';
import type { OrderMachine } from '../model/order.ts';
import type { Outcome } from '../model/trace.ts';
import { importTrace } from '../trace/import/index.ts';
import type { Trace } from '../trace/reader.ts';
import { recordsOf } from '../trace/records.ts';
import { ORDER_MACHINES } from './machines.ts';
import { type RecordingOptions, verifyRecording } from './recording.ts';

const TRACES = new URL('../../traces/', import.meta.url);
const module = engineModule('release');

/** Four of the recordings are shipped; the others serve tests. */
const FOLDERS = ['', 'outside/recordings/'].map((folder) => new URL(folder, TRACES));
const files = FOLDERS.flatMap((folder) => readdirSync(folder).map((file) => new URL(file, folder)));
const recording = (name: string): Trace =>
  openBytes(readFileSync(files.find((file) => file.pathname.endsWith(`/${name}.trace`))!));
const sample = (name: string): string => readFileSync(new URL(`samples/qemu/${name}.txt`, TRACES), 'latin1');
const verify = (trace: Trace, options: RecordingOptions = {}): Promise<RecordingResult> =>
  verifyRecording(trace, 't', module, options);

/** A foreign recording, imported. */
async function imported(text: string): Promise<Trace> {
  const parts: Uint8Array[] = [];
  const input = {
    file: 't',
    async *blocks() {
      yield new TextEncoder().encode(text);
    },
  };
  await importTrace(input, { write: (bytes) => parts.push(bytes.slice()) }, { strict: false, interleave: false });
  return openBytes(Buffer.concat(parts));
}

/** `hit`, the first word of each kind of check, and what was recorded. */
const counts = ({ checks }: RecordingResult): Record<string, number> =>
  Object.fromEntries(checks.map(({ name, expected }) => [name, expected]));

interface Row {
  readonly name: string;
  readonly numbers: Readonly<Record<string, number>>;
}

/** Rows of traces/outside/recordings.tsv. */
function outsideRows(): Row[] {
  const text = readFileSync(new URL('outside/recordings.tsv', TRACES), 'utf8');
  const [head, ...rows] = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  const columns = head!.split('\t');
  return rows.map((row) => {
    const cells = row.split('\t');
    return {
      name: cells[0]!,
      numbers: Object.fromEntries(columns.slice(1).map((key, i) => [key, Number(cells[i + 1])])),
    };
  });
}

describe('recordings of real kernels hold', () => {
  const rows = outsideRows();

  test('all 18 are here', () => {
    for (const { name } of rows) expect(() => recording(name), name).not.toThrow();
    expect(rows).toHaveLength(18);
  });

  test.each(rows)('$name: every translation, every command', async ({ name, numbers }) => {
    const trace = recording(name);
    const result = await verify(trace);
    expect(result.mismatches).toEqual([]);
    expect(result.checks.filter(({ holds }) => !holds)).toEqual([]);
    expect(result.failed).toBe(0);
    const got = counts(result);
    expect(trace.meta.tally.rejected).toBe(0);
    expect(trace.meta.counts.maps).toBe(numbers.maps);
    expect(trace.meta.counts.unmaps).toBe(numbers.unmaps);
    expect(got['translations that hit']).toBe(numbers.hit);
    expect(got['translations that missed']).toBe(numbers.miss);
    expect(got['translations denied'] ?? 0).toBe(numbers.denied);
    expect(got['flushes of a full queue'] ?? 0).toBe(numbers.full);
    // The guest's probe of the timer misses a few, and stops before power-off.
    expect(got['flushes by the timer'] ?? 0).toBeGreaterThanOrEqual(numbers.timer!);
    expect(got['IOVAs freed behind their invalidation']).toBe(numbers.unmaps);
    if (name.startsWith('amd')) {
      // Boot also invalidates every device's entry and interrupts.
      const boot = got['commands before the first map (boot)']!;
      expect(got['invalidation commands']! + boot).toBeGreaterThanOrEqual(numbers.pages! + numbers.wait!);
      return;
    }
    const { pages, domain, device, wait, resets } = numbers as Record<string, number>;
    const contexts = 1 + (result.inferred[0]!.includes('maps are not') ? 0 : domain!);
    expect(got['invalidation commands']).toBe(pages! + domain! + device! + wait! + 1 + contexts);
    expect(got['waits completed']).toBe(wait);
    expect(got['full resets of the IOTLB'] ?? 0).toBe(resets);
    if (numbers.timer! > 0) expect(got['flushes by the timer']! + (got['flushes of a full queue'] ?? 0)).toBe(domain);
  });

  test.each(rows.filter(({ numbers }) => numbers.late! > 0))(
    '$name: accesses after an unmap are anchored',
    ({ name, numbers }) => {
      const trace = recording(name);
      const faults = new Set(
        [...trace.outcomes()].flat().flatMap(({ kind, record: at }) => (kind === 'fault' ? [at] : [])),
      );
      let late = 0;
      let record = 0;
      for (const chunk of trace.chunks()) {
        for (const entry of recordsOf(chunk, [])) {
          const served = !faults.has(record);
          if ('event' in entry && entry.event.op === 'dma' && entry.event.fields[4]! > 0 && served) late++;
          record++;
        }
      }
      expect(late).toBe(numbers.late);
    },
  );

  test.each([255, 257])('with %d slots in the flush queue, full flushes would stand elsewhere', (queue) => {
    const trace = recording('vtd-net-rx-lazy-icount');
    const flushes = (machine: OrderMachine): number[] => {
      const engine = new OrderEngine(module, machine, 'recorded', trace.meta);
      const rows = [...trace.chunks()].flatMap((chunk) => engine.feed(chunk));
      return rows.flatMap(({ cause, record, values }) => (cause === 'queue-full' && values[0] === 2 ? [record] : []));
    };
    const [vtd] = ORDER_MACHINES as [OrderMachine];
    expect(flushes(vtd)).toHaveLength(42);
    expect(flushes({ ...vtd, queue })).not.toEqual(flushes(vtd));
  });
});

describe('the engine never sees outcomes', () => {
  /** The same records with outcomes that say something else, or nothing. */
  const withOutcomes = (trace: Trace, outcomes: () => Generator<Outcome[]>): Trace => ({ ...trace, outcomes });

  test.each(BUILDS)('what it predicts is the same without them, %s build', (build) => {
    for (const name of ['vtd-edu-stale-strict', 'vtd-net-rx-lazy-icount', 'amd-edu-stale-lazy']) {
      const trace = recording(name);
      const machine = ORDER_MACHINES[name.startsWith('amd') ? 1 : 0]!;
      const replay = (given: Trace): string => {
        const engine = new OrderEngine(engineModule(build), machine, 'recorded', given.meta);
        return JSON.stringify([...given.chunks()].map((chunk) => engine.feed(chunk)));
      };
      const bare = withOutcomes(trace, function* () {});
      expect(replay(bare)).toBe(replay(trace));
      expect(replay(trace).length).toBeGreaterThan(10_000);
    }
  });

  test('a recording without outcomes is refused', async () => {
    const trace = recording('vtd-edu-stale-strict');
    await expect(verify(withOutcomes(trace, function* () {}))).rejects.toThrow('holds no recorded outcomes');
  });
});

/** A changed copy of the list of lines, and the line that a reader should look at. */
type Change = (lines: string[], at: number) => number;

const flip = (text: string, pattern: RegExp, bit: bigint): string =>
  text.replace(pattern, (_, name, hex) => `${name} 0x${(BigInt(`0x${hex}`) ^ (1n << bit)).toString(16)}`);
const isStep = (line: string): boolean => /^K (un)?map/.test(line);

const CHANGES: Record<string, Change> = {
  'another address': (lines, at) => {
    lines[at] = flip(lines[at]!, /(high) 0x(\w+)/, 13n);
    return at;
  },
  'another domain': (lines, at) => {
    lines[at] = flip(lines[at]!, /(low|domain) 0x(\w+)/, lines[at]!.includes('domain 0x') ? 1n : 17n);
    return at;
  },
  dropped: (lines, at) => {
    lines.splice(at, 1);
    return at;
  },
  doubled: (lines, at) => {
    lines.splice(at, 0, lines[at]!);
    return at;
  },
  'moved before the unmap': (lines, at) => {
    let to = at;
    while (!isStep(lines[to - 1]!)) to--;
    lines.splice(to - 1, 0, ...lines.splice(at, 1));
    return to - 1;
  },
  'moved behind what follows': (lines, at) => {
    let to = at + 1;
    while (!isStep(lines[to]!) && !lines[to]!.startsWith('K iova_free')) to++;
    lines.splice(to, 0, ...lines.splice(at, 1));
    return to;
  },
};

/** Lines of commands that are not the last thing in a recording. */
function commandLines(lines: readonly string[]): number[] {
  // Before the IOMMU translates, a descriptor may be all that names a domain.
  const first = lines.findIndex((line) => /dmar_enable enable 1|^K map.*prot=0x[67] /.test(line));
  const all = lines.flatMap((line, i) => {
    const command = /vtd_inv_desc invalidate desc type (?!wait)|amdvi_pages_inval/.test(line);
    return command && i > first + 1 && lines.slice(i).some((later) => later.startsWith('K map')) ? [i] : [];
  });
  return all;
}

describe('one changed command in a recording is found, and its line named', () => {
  const kinds = [
    'vtd-strict',
    'vtd-lazy',
    'vtd-icount',
    'vtd-caching',
    'vtd-ats-strict',
    'vtd-6.12',
    'amd-strict',
    'amd-lazy',
  ];

  test.each(kinds)('%s holds as it is', async (name) => {
    const result = await verify(await imported(sample(name)));
    expect(result.mismatches).toEqual([]);
    expect(result.held).toBeGreaterThan(3);
  });

  test.each(kinds.flatMap((name) => Object.keys(CHANGES).map((change) => [name, change] as const)))(
    '%s: %s',
    async (name, change) => {
      const lines = sample(name).split('\n');
      const candidates = commandLines(lines);
      expect(candidates.length).toBeGreaterThan(3);
      for (const at of [candidates[1]!, candidates[candidates.length >> 1]!, candidates.at(-1)!]) {
        // QEMU does not print the address of AMD's commands.
        if (change === 'another address' && name.startsWith('amd')) continue;
        const changed = [...lines];
        const where = CHANGES[change]!(changed, at) + 1;
        const { failed, mismatches } = await verify(await imported(changed.join('\n')));
        expect(failed).toBeGreaterThan(0);
        const nearest = Math.min(...mismatches.map(({ line }) => Math.abs(line - where)));
        expect(nearest, `line ${where}: ${JSON.stringify(mismatches[0])}`).toBeLessThanOrEqual(8);
      }
    },
  );

  test('one invalidation in a hundred that never happened', async () => {
    const lines = sample('vtd-strict').split('\n');
    const commands = commandLines(lines);
    const gone = new Set(commands.filter((_, i) => i % 100 === 7));
    const { failed, mismatches } = await verify(await imported(lines.filter((_, i) => !gone.has(i)).join('\n')));
    expect(failed).toBeGreaterThan(0);
    expect(mismatches[0]!.recorded).toBe('nothing');
    expect(mismatches[0]!.predicted).toMatch(/^command 0x00000000000[34]00f2 .* \(strict\) at record \d+$/);
  });
});

describe('one changed outcome in a trace is found, and its line named', () => {
  const trace = recording('vtd-edu-stale-strict');
  const outcomes = [...trace.outcomes()].flat();
  const given = (list: readonly Outcome[]): Trace => ({
    ...trace,
    *outcomes() {
      yield [...list];
    },
  });
  const pick = (kind: Outcome['kind']): number =>
    outcomes.findIndex((o, i) => o.kind === kind && i > outcomes.length / 2);
  const KINDS = ['hit', 'fill', 'fault', 'descriptor', 'wait', 'iovaFree'] as const;

  test.each(KINDS)('%s: changed, dropped, doubled, moved to another record', async (kind) => {
    const at = pick(kind);
    const { line, values, record } = outcomes[at]!;
    const lists: [string, Outcome[]][] = [
      [
        'changed',
        outcomes.with(at, {
          ...outcomes[at]!,
          values: values.map((value, i) => (i === values.length - 1 ? value + 1 : value)),
        }),
      ],
      ['dropped', outcomes.toSpliced(at, 1)],
      ['doubled', outcomes.toSpliced(at, 0, outcomes[at]!)],
      [
        'moved',
        outcomes.toSpliced(at, 1).toSpliced(at - 40, 0, { ...outcomes[at]!, record: outcomes[at - 40]!.record }),
      ],
    ];
    for (const [what, list] of lists) {
      if (what === 'changed' && kind === 'wait') continue;
      const { failed, mismatches } = await verify(given(list));
      expect(failed, what).toBeGreaterThan(0);
      const near = mismatches.some((mismatch) => Math.abs(mismatch.line - line) <= 60 || what === 'moved');
      expect(near, `${what} ${record}: ${JSON.stringify(mismatches.slice(0, 3))}`).toBe(true);
    }
  });
});

describe('options', () => {
  test('a policy other than the recorded one does not hold', async () => {
    expect((await verify(recording('vtd-edu-stale-lazy'), { policy: 'strict' })).failed).toBeGreaterThan(0);
    expect((await verify(recording('vtd-edu-stale-strict'), { policy: 'lazy' })).failed).toBeGreaterThan(0);
    expect((await verify(recording('vtd-edu-stale-strict'), { policy: 'strict' })).failed).toBe(0);
  });

  test('nor does another machine', async () => {
    expect((await verify(recording('vtd-edu-stale-strict'), { machine: 'qemu-amdvi' })).failed).toBeGreaterThan(0);
    await expect(verify(recording('vtd-edu-stale-strict'), { machine: 'intel-vtd' })).rejects.toThrow(
      'no machine intel-vtd',
    );
  });

  test('a trace without a recorded IOMMU is refused', async () => {
    const trace = openBytes(readFileSync(new URL('sqlite.trace', TRACES)));
    await expect(verify(trace)).rejects.toThrow('does not say which IOMMU was recorded');
  });
});
