import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { Bench } from 'tinybench';
import type { Chunk } from '../src/trace/format.ts';
import { codec } from '../src/trace/input.ts';
import { type ByteSource, openTrace, type Trace } from '../src/trace/reader.ts';

/** The folder of the package: npm runs scripts there. */
export const ROOT = process.cwd();

/** One measured subject. */
export interface Measured {
  /** CPU time per unit in nanoseconds, over the repeats. */
  readonly least: number;
  readonly median: number;
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
  const bench = new Bench({ iterations: repeats, time: 0, warmupIterations: 1, warmupTime: 0 });
  bench.add(name, () => {
    const work = prepare();
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    return { overriddenDuration: (user + system) / 1000 };
  });
  await bench.run();
  const { result } = bench.tasks[0]!;
  if (result.state === 'errored') throw result.error;
  if (result.state !== 'completed') throw new Error(`${name}: ${result.state}`);
  const perUnit = (milliseconds: number): number => (milliseconds * 1e6) / units;
  return { least: perUnit(result.latency.min), median: perUnit(result.latency.p50) };
}

/** A shipped trace, all in memory. */
export function shipped(name: string): { bytes: Uint8Array; trace: Trace } {
  const bytes = readFileSync(join(ROOT, `traces/${name}.trace`));
  const source: ByteSource = { size: bytes.length, read: (at, length) => bytes.subarray(at, at + length) };
  return { bytes, trace: openTrace(source, codec, name) };
}

/** All chunks, decoded. */
export function decoded(trace: Trace): Chunk[] {
  return [...trace.chunks()];
}

/** What the figures were taken on. */
export function host(): string {
  return `node ${process.versions.node}, ${availableParallelism()} x ${cpus()[0]?.model.trim() ?? 'unknown'}`;
}

/** Prints a line: a name, and columns of figures with their units. */
export function show(name: string, ...figures: string[]): void {
  console.log([name.padEnd(34), ...figures.map((figure) => figure.padStart(18))].join(''));
}

/** `1.234 ns/access` */
export function ns(value: number, unit: string): string {
  return `${value.toFixed(3)} ns/${unit}`;
}
