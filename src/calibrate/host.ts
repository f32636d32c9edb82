/** What of a host's costs can be measured without privileges: loads, atomics, copies, the reach of its TLBs. */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import { type Measurement, REPEATS } from '../model/calibration.ts';
import { Interrupted } from '../model/errors.ts';
import { chase, lineRing, pageRing, type Ring } from './chase.ts';
import type { HandoffTask } from './handoff.ts';

const SOURCE = 'measured on this host';
const KIB = 1 << 10;
const MIB = 1 << 20;

/** Loads of one repeat: milliseconds, where the clock of CPU time has microseconds. */
const STEPS = 400_000;
/** Sizes that lie inside the second-level cache, inside the last-level cache, and in none. */
const L2_BYTES = 256 * KIB;
const LLC_BYTES = 4 * MIB;
const MEMORY_BYTES = 64 * MIB;
/** More pages than a first-level TLB of x86 has entries, fewer than a second-level one; the data are 16 KiB. */
const L2_TLB_PAGES = 256;
const REACH_PAGES = [16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];
/** A load that misses the first-level TLB takes this much longer at least. */
const REACH_NS = 1;
const ROUNDS = 5000;

/** How a measurement is watched and stopped. */
export interface CalibrationOptions {
  readonly onProgress?: (done: number) => void;
  readonly signal?: AbortSignal;
}

/** Measures this host: some seconds, on an otherwise idle machine. */
export async function measureHost(options: CalibrationOptions = {}): Promise<Measurement[]> {
  const measures: (() => Measurement | Promise<Measurement>)[] = [
    () => latency('load that hits the second-level cache', 'cpu.walk_ref_upper', lineRing(L2_BYTES)),
    () => latency('load that hits the last-level cache', 'cpu.walk_ref_leaf', lineRing(LLC_BYTES)),
    () => latency('load from memory', undefined, lineRing(MEMORY_BYTES)),
    tlbHit,
    reach,
    atomics,
    exchange,
    handover,
    copies,
    zeroes,
  ];
  const done: Measurement[] = [];
  for (const measure of measures) {
    if (options.signal?.aborted) throw new Interrupted('interrupted');
    done.push(await measure());
    options.onProgress?.(done.length / measures.length);
    // Lets signals and the progress line through.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return done;
}

/** Milliseconds of CPU time of this process: what else runs on the host does not count. */
function now(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Values of `measure`, the first of which, before the compiler is done, is left out. */
function repeat(measure: () => number): number[] {
  measure();
  return Array.from({ length: REPEATS }, measure);
}

function latency(what: string, key: Measurement['key'], ring: Ring): Measurement {
  // Once round, so that no page is touched for the first time.
  chase(ring, ring.length, now);
  return {
    what,
    ...(key && { key }),
    unit: 'ns',
    values: repeat(() => chase(ring, STEPS, now)),
    source: `${SOURCE}: a pointer chase`,
  };
}

function tlbHit(): Measurement {
  const far = pageRing(L2_TLB_PAGES);
  const near = lineRing(L2_TLB_PAGES * 64);
  chase(far, STEPS, now);
  return {
    what: 'first-level TLB miss that hits in the second level',
    key: 'cpu.l2_hit',
    unit: 'ns',
    values: repeat(() => chase(far, STEPS, now) - chase(near, STEPS, now)),
    source: `${SOURCE}: a pointer chase over ${L2_TLB_PAGES} pages, less one over as many lines`,
    note: 'not above 0: the host may use large pages',
  };
}

function reach(): Measurement {
  const rings = REACH_PAGES.map(pageRing);
  const base = repeat(() => chase(rings[0]!, STEPS / 4, now)).sort((a, b) => a - b)[0]!;
  const values = repeat(() => {
    const over = rings.findIndex((ring) => chase(ring, STEPS / 4, now) > base + REACH_NS);
    return over < 0 ? REACH_PAGES.at(-1)! : REACH_PAGES[Math.max(0, over - 1)]!;
  });
  return {
    what: `pages within the reach of the first-level TLB (of ${REACH_PAGES[0]}..${REACH_PAGES.at(-1)})`,
    unit: 'pages',
    values,
    source: `${SOURCE}: a pointer chase`,
    note: 'for the geometry of a machine; all of them with large pages',
  };
}

function atomics(): Measurement {
  const word = new Int32Array(new SharedArrayBuffer(64));
  return {
    what: 'compare-and-exchange of a word at hand',
    key: 'ptl.acquire',
    unit: 'ns',
    values: repeat(() =>
      timed(STEPS, (i) => {
        Atomics.compareExchange(word, 0, i & 1, (i + 1) & 1);
      }),
    ),
    source: `${SOURCE}: compare-and-exchange`,
  };
}

function exchange(): Measurement {
  const words = new Int32Array(new SharedArrayBuffer(4 * KIB));
  return {
    what: 'exchange of one word of a page-table page',
    key: 'pte.clear',
    unit: 'ns',
    values: repeat(() =>
      timed(STEPS, (i) => {
        Atomics.exchange(words, (i * LINE) & 1023, i);
      }),
    ),
    source: `${SOURCE}: exchange`,
  };
}

const LINE = 16;

async function handover(): Promise<Measurement> {
  const base = { what: 'word that passes from CPU to CPU', key: 'ptl.handoff', unit: 'ns' } as const;
  const source = `${SOURCE}: two threads that hand a word to each other`;
  if (availableParallelism() < 2) return { ...base, source, values: [], note: 'needs two CPUs' };
  const pool = new Piscina({
    filename: new URL('./handoff.js', import.meta.url).href,
    minThreads: 2,
    maxThreads: 2,
  });
  try {
    const values: number[] = [];
    while (values.length < REPEATS) {
      const shared = new SharedArrayBuffer(4);
      const both = ([0, 1] as const).map((who) => pool.run({ shared, who, rounds: ROUNDS } satisfies HandoffTask));
      const [ns] = (await Promise.all(both)) as (number | null)[];
      if (ns === null || ns === undefined)
        return { ...base, source, values: [], note: 'the threads did not run at the same time: the host is busy' };
      values.push(ns);
    }
    return { ...base, source, values };
  } finally {
    await pool.destroy();
  }
}

function copies(): Measurement {
  const pages = (16 * MIB) / 4096;
  const bytes = new Uint8Array(2 * 16 * MIB);
  return {
    what: 'copy of 4 KiB, of 32 MiB in all',
    key: 'page.copy',
    unit: 'ns',
    values: repeat(() =>
      timed(pages, (i) => {
        const page = ((i * 1009) % pages) * 4096;
        bytes.copyWithin(page + 16 * MIB, page, page + 4096);
      }),
    ),
    source: `${SOURCE}: copies of 4 KiB in 32 MiB`,
  };
}

function zeroes(): Measurement {
  const pages = (16 * MIB) / 4096;
  const bytes = new Uint8Array(16 * MIB);
  return {
    what: 'clearing 4 KiB, of 16 MiB in all',
    key: 'page.zero',
    unit: 'ns',
    values: repeat(() =>
      timed(pages, (i) => {
        const page = ((i * 1009) % pages) * 4096;
        bytes.fill(0, page, page + 4096);
      }),
    ),
    source: `${SOURCE}: 4 KiB at a time in 16 MiB`,
  };
}

/** Nanoseconds of one of `times` calls. */
function timed(times: number, work: (i: number) => void): number {
  const begin = now();
  for (let i = 0; i < times; i++) work(i);
  return ((now() - begin) * 1e6) / times;
}
