import { loadCosts, loadPolicy } from '../catalog/catalog.ts';
import { INVALIDATION_COSTS } from '../model/cost.ts';
import { familiesOf } from '../model/policy.ts';
import type { RunResult } from '../model/result.ts';
import { NO_TALLY } from '../model/trace.ts';
import { writeRing } from '../trace/generate/ring.ts';
import { codec } from '../trace/input.ts';
import { openOutput } from '../trace/output.ts';
import { TraceWriter } from '../trace/writer.ts';
import { compareTrace } from './compare.ts';
import { isRecording } from './compare-dma.ts';
import { type LocatedTrace, locateTrace, shippedTraces, temporaryTrace } from './locate.ts';
import type { CompareRequest } from './plan.ts';
import type { PoolOptions } from './pool.ts';

/** Which end of its range the price of an invalidation is taken from. */
export const PRICES = ['default', 'low', 'high'] as const;
export type Price = (typeof PRICES)[number];

/** Two policies on one trace and one machine, each at three prices. */
export interface Difference {
  /** Base name of the trace. */
  readonly trace: string;
  readonly machine: string;
  readonly at: Readonly<Record<Price, { readonly first: RunResult; readonly second: RunResult }>>;
}

/**
 * Runs two policies on one trace, on every machine: at the usual prices, with all INVALIDATION_COSTS at the low end of
 * their ranges, and at the high end. What the request itself sets stays set.
 */
export async function differencesOf(
  trace: LocatedTrace,
  policies: readonly [first: string, second: string],
  request: CompareRequest,
  options: PoolOptions,
): Promise<Difference[]> {
  const costs = loadCosts(request.costs);
  const runs: RunResult[][] = [];
  for (const price of PRICES) {
    const ends = price === 'default' ? [] : INVALIDATION_COSTS.map((key) => `cost.${key}=${costs[key][price]}`);
    const settings = [...ends, ...(request.settings ?? [])];
    const onProgress = (done: number): void => options.onProgress?.((runs.length + done) / PRICES.length);
    const { results } = await compareTrace(trace, { ...request, policies, settings }, { ...options, onProgress });
    runs.push([...results]);
  }
  const machines = runs[0]!.filter((_, i) => i % policies.length === 0).map(({ machine }) => machine);
  return machines.map((machine, i) => {
    const pair = (run: readonly RunResult[]) => ({ first: run[2 * i]!, second: run[2 * i + 1]! });
    return {
      trace: trace.name.replace(/\.trace$/, ''),
      machine,
      at: { default: pair(runs[0]!), low: pair(runs[1]!), high: pair(runs[2]!) },
    };
  });
}

/** The trace of a device that keeps using so many pages; see writeRing. */
export function ringTrace(pages: number): Promise<LocatedTrace> {
  return temporaryTrace(`${pages} pages`, (path) => {
    const output = openOutput(path);
    try {
      const writer = new TraceWriter(output, codec);
      writeRing(writer, pages);
      const meta = writer.finish({ source: { format: 'ring', file: `${pages} pages` }, tally: NO_TALLY, inferred: [] });
      output.commit();
      return meta;
    } finally {
      output.discard();
    }
  });
}

/** Names of the shipped traces that policies of the family of `policy` are for. */
export async function tracesFor(policy: string): Promise<string[]> {
  const recordings = !familiesOf(loadPolicy(policy)).includes('mm');
  const fitting: string[] = [];
  for (const name of shippedTraces()) {
    const trace = await locateTrace(name);
    if (isRecording(trace.meta) === recordings) fitting.push(name);
  }
  return fitting;
}
