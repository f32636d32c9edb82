import { appendFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { Bench } from 'tinybench';
import type { Chunk } from '../src/trace/format.ts';
import type { Trace } from '../src/trace/reader.ts';

/** The folder of the package: npm runs scripts there. */
export const ROOT = process.cwd();

const { values: OPTIONS } = parseArgs({
  options: {
    native: { type: 'boolean', default: false },
    growth: { type: 'string', default: '10' },
    ndjson: { type: 'string' },
    recording: { type: 'string' },
  },
});
/** Whether the native loop has to be there; otherwise it is where a compiler is. */
export const NATIVE = OPTIONS.native;

/** How many times as long a trace is than the one that it is compared with. */
export const GROWTH = Number(OPTIONS.growth);
if (!Number.isInteger(GROWTH) || GROWTH < 2 || GROWTH > 1000)
  throw new Error(`--growth: read ${OPTIONS.growth}, expected an integer from 2 to 1000`);

/** A recording of one's own, which is imported instead of those that are made. */
export const RECORDING = OPTIONS.recording;

/** One measured subject. */
export interface Measured {
  /** Nanoseconds per unit, over the repeats. */
  readonly least: number;
  readonly median: number;
  readonly samples: readonly number[];
}

/** What repeats of the same took, in nanoseconds per unit. */
export function measuredOf(samples: readonly number[]): Measured {
  const sorted = samples.toSorted((a, b) => a - b);
  return { samples, least: sorted[0]!, median: sorted[Math.floor(sorted.length / 2)]! };
}

/**
 * CPU time of `work`, which does `units` units each time, `repeats` times after one to warm up. `prepare` is not
 * measured. CPU time, not time on the wall: other programs share the machine.
 */
export async function measure(
  name: string,
  units: number,
  repeats: number,
  prepare: () => () => void,
): Promise<Measured> {
  const samples: number[] = [];
  const bench = new Bench({ iterations: repeats, time: 0, warmupIterations: 1, warmupTime: 0 });
  bench.add(name, () => {
    const work = prepare();
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    samples.push(((user + system) * 1000) / units);
    return { overriddenDuration: (user + system) / 1000 };
  });
  await bench.run();
  const { result } = bench.tasks[0]!;
  if (result.state === 'errored') throw result.error;
  if (result.state !== 'completed') throw new Error(`${name}: ${result.state}`);
  // The first was to warm up.
  return measuredOf(samples.slice(-repeats));
}

/** All chunks, decoded. */
export function decoded(trace: Trace): Chunk[] {
  return [...trace.chunks()];
}

/** What the figures were taken on. */
export function host(): string {
  return `node ${process.versions.node}, ${availableParallelism()} x ${cpus()[0]?.model.trim() ?? 'unknown'}`;
}

/** Prints a subject, with further figures, and appends it to the file of `--ndjson`, in the form that `track record --host` reads. */
export function report(name: string, unit: string, measured: Measured, ...figures: string[]): void {
  const { least, median, samples } = measured;
  show(name, ns(least, unit), `median ${figureOf(median)}`, ...figures);
  if (OPTIONS.ndjson === undefined) return;
  const line = { name, unit: `ns/${unit}`, better: 'smaller', host: host(), samples };
  appendFileSync(OPTIONS.ndjson, `${JSON.stringify(line)}\n`);
}

/** Prints a line: a name, and columns of figures with their units. */
export function show(name: string, ...figures: string[]): void {
  console.log([name.padEnd(44), ...figures.map((figure) => `  ${figure}`.padStart(22))].join(''));
}

/** Units a second at the median, and records of the trace, of which there are `records` to so many units. */
export function rates({ median }: Measured, unit: string, units: number, records: number): [string, string] {
  return [`${millions(median)} M ${unit}/s`, `${millions((median * units) / records)} M records/s`];
}

/** Millions a second of what takes so many nanoseconds. */
function millions(each: number): string {
  const figure = 1e3 / each;
  return figure.toFixed(figure < 10 ? 2 : 0);
}

/** `1.234 ns/access` */
export function ns(value: number, unit: string): string {
  return `${figureOf(value)} ns/${unit}`;
}

function figureOf(value: number): string {
  return value.toFixed(value < 100 ? 3 : 0);
}
