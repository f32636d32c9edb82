/**
 * Costs of an IOMMU from what its kernel measured: the histogram of `dmar_perf_latency` in debugfs (Linux 5.14,
 * drivers/iommu/intel/perf.c), or ftrace's function_graph of `qi_submit_sync`.
 */

import type { Measurement } from '../model/calibration.ts';
import type { Costs } from '../model/cost.ts';
import { TraceError } from '../model/errors.ts';

/** Bounds of the histogram's buckets in ns; the kernel counts an invalidation in the first that it is below. */
const BOUNDS = [0, 100, 1e3, 1e4, 1e5, 1e6, 1e7];
const COLUMNS = ['<0.1us', '0.1us-1us', '1us-10us', '10us-100us', '100us-1ms', '1ms-10ms', '>=10ms'];
const ROWS = ['inv_iotlb', 'inv_devtlb', 'inv_iec', 'svm_prq'];
/** A call of function_graph that calls nothing, or the end of one that does, with the time it took. */
const CALL =
  /^\s*(?:\d+\)\s+)?[+!#*@$]?\s*(\d+\.\d+) us\s*\|\s*(?:qi_submit_sync(?:\s*\[\w+\])?\(\);|\} \/\* qi_submit_sync )/;
const FEWEST = 30;

/** Measurements of `text`. What is subtracted from a whole submission comes from `costs`. */
export function measureRecording(text: string, name: string, costs: Costs): Measurement[] {
  const lines = text.split(/\r?\n/);
  const head = lines.findIndex((line) => COLUMNS.every((column) => line.split(/\s+/).includes(column)));
  if (head >= 0) return histogram(lines, name, costs);
  const times = lines.flatMap((line) => {
    const match = CALL.exec(line);
    return match === null ? [] : [Number(match[1]) * 1000];
  });
  if (times.length === 0) {
    throw new TraceError(
      name,
      'has neither the columns of dmar_perf_latency nor a timed qi_submit_sync of function_graph, expected one of them',
    );
  }
  if (times.length < FEWEST)
    throw new TraceError(name, `has ${times.length} timed calls of qi_submit_sync, expected at least ${FEWEST}`);
  const source = `function_graph of qi_submit_sync, ${times.length} calls`;
  return [whole('submission of an invalidation and its wait', source, times), wait(times, source, costs)];
}

/** Units of one file are added up. */
function histogram(lines: readonly string[], name: string, costs: Costs): Measurement[] {
  const counts = new Map<string, number[]>();
  for (const [i, line] of lines.entries()) {
    const [row, ...cells] = line.trim().split(/\s+/);
    if (row === undefined || !ROWS.includes(row)) continue;
    const numbers = cells.map(Number);
    if (cells.length !== COLUMNS.length + 3 || !cells.every((cell) => /^\d{1,15}$/.test(cell)))
      throw new TraceError(
        `${name}:${i + 1}`,
        `read ${cells.length} columns behind ${row}, expected ten whole numbers`,
      );
    const before = counts.get(row) ?? COLUMNS.map(() => 0);
    counts.set(
      row,
      before.map((count, column) => count + numbers[column]!),
    );
  }
  const times = (row: string): number[] => spreadOut(counts.get(row) ?? []);
  const iotlb = times('inv_iotlb');
  if (iotlb.length === 0)
    throw new TraceError(name, 'counts no inv_iotlb; expected some: echo 1 > dmar_perf_latency switches the count on');
  const devices = times('inv_devtlb');
  const source = 'dmar_perf_latency of this host, spread evenly in its buckets of a power of ten';
  const all = [whole('submission of an IOTLB invalidation and its wait', source, iotlb), wait(iotlb, source, costs)];
  if (devices.length === 0) return all;
  return [
    ...all,
    whole('submission of a device-TLB invalidation and its wait', source, devices),
    {
      what: 'device-TLB invalidation beyond an IOTLB invalidation',
      key: 'device_tlb.inv',
      unit: 'ns',
      values: devices.map((ns, i) => ns - iotlb[Math.floor((i * iotlb.length) / devices.length)]!),
      population: true,
      source,
    },
  ];
}

/** A hundred values at most that lie in the buckets as the counts say, evenly on a logarithmic scale. */
function spreadOut(counts: readonly number[]): number[] {
  const all = counts.reduce((sum, count) => sum + count, 0);
  const wanted = Math.min(100, all);
  return Array.from({ length: wanted }, (_, i) => {
    const rank = ((i + 0.5) / wanted) * all;
    let below = 0;
    const bucket = counts.findIndex((count) => {
      below += count;
      return rank < below;
    });
    const share = (rank - (below - counts[bucket]!)) / counts[bucket]!;
    const low = Math.max(10, BOUNDS[bucket]!);
    return low * ((BOUNDS[bucket + 1] ?? 1e8) / low) ** share;
  });
}

function whole(what: string, source: string, values: number[]): Measurement {
  return { what, unit: 'ns', values, population: true, source, note: 'split between submission and wait below' };
}

/** What is left of a submission with one descriptor: the wait for it. */
function wait(times: readonly number[], source: string, costs: Costs): Measurement {
  const submit = costs['qi.submit'].default + costs['qi.extra'].default;
  return {
    what: `wait of the invalidation queue: the whole less qi.submit and qi.extra, ${submit} ns`,
    key: 'qi.wait',
    unit: 'ns',
    values: times.map((ns) => Math.max(0, ns - submit)),
    population: true,
    source,
  };
}
