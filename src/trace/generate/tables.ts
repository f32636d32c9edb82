import { Process } from './program.ts';
import type { Workload } from './workload.ts';

/** Programs without locality: what a TLB is worst at. */

/** Instructions for each access of a loop. */
const LOOP = 4;
const INIT = 'The table is written once from end to end before the loop.';

export const gups: Workload = {
  name: 'gups',
  summary: 'updates of random places of a table',
  stands: 'RandomAccess of the HPC Challenge benchmark',
  sizes: {
    pages: { means: 'pages of the table', is: 8192 },
    ops: { means: 'updates', is: 1_000_000 },
  },
  assumes: [INIT, 'Places are drawn from a generator of this program, not from the polynomial of the benchmark.'],
  write(out, { pages, ops }, random) {
    const program = new Process(out);
    const table = program.map(pages);
    for (let i = 0; i < pages; i++) program.write(table + i, 8);
    for (let op = 0; op < ops; op++) {
      program.run(LOOP);
      program.write(table + random.below(pages));
    }
  },
};

export const pointerChase: Workload = {
  name: 'pointer-chase',
  summary: 'one cycle through all pages in random order, each load the address of the next',
  stands: 'lat_mem_rd -t of lmbench, and the pointer chasing of graph codes',
  sizes: {
    pages: { means: 'pages of the cycle', is: 8192 },
    ops: { means: 'loads', is: 1_000_000 },
  },
  assumes: ['A page holds one element.', INIT],
  write(out, { pages, ops }, random) {
    const program = new Process(out);
    const first = program.map(pages);
    const next = cycle(pages, (bound) => random.below(bound));
    for (let i = 0; i < pages; i++) program.write(first + i);
    for (let op = 0, at = 0; op < ops; op++) {
      program.run(LOOP);
      program.read(first + at);
      at = next[at]!;
    }
  },
};

/** Of each of `length` elements the one behind it, on one cycle through all of them (Sattolo 1986). */
function cycle(length: number, below: (bound: number) => number): Uint32Array {
  const next = Uint32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const other = below(i);
    const kept = next[i]!;
    next[i] = next[other]!;
    next[other] = kept;
  }
  return next;
}
