import { ADVICE } from '../../model/trace.ts';
import { Process } from './program.ts';
import type { Workload } from './workload.ts';

/** Programs that give memory back to the kernel all the time. */

/** Writes to a page that is filled: one a cache line would be 64. */
const FILL = 16;
const NOTHING_ELSE = 'The program has one thread, and touches nothing but its blocks and two pages of code.';

/** Pages of a run that an allocator gives back at once (assumed: 64 KiB, as a span of small objects). */
const RUN_PAGES = 16;

export const munmapStorm: Workload = {
  name: 'munmap-storm',
  summary: 'large blocks are allocated, filled, read in part and unmapped',
  stands: 'malloc and free above M_MMAP_THRESHOLD of glibc, 128 KiB: each block is an mmap and a munmap (mallopt(3))',
  sizes: {
    pages: { means: 'pages mapped at a time', is: 2048, least: 128 },
    ops: { means: 'blocks', is: 4000 },
  },
  assumes: ['Blocks have 33 to 64 pages; half of their pages are read back; any of them may go next.', NOTHING_ELSE],
  write(out, { pages, ops }, random) {
    const program = new Process(out);
    const blocks: { readonly first: number; readonly size: number }[] = [];
    let mapped = 0;
    for (let op = 0; op < ops; op++) {
      const size = random.between(33, 64);
      while (mapped + size > pages && blocks.length > 0) {
        const block = blocks.splice(random.below(blocks.length), 1)[0]!;
        program.unmap(block.first, block.size);
        mapped -= block.size;
      }
      program.run(40);
      const first = program.map(size);
      blocks.push({ first, size });
      mapped += size;
      for (let i = 0; i < size; i++) program.write(first + i, FILL);
      program.run(40, 1);
      for (let i = 0; i < size; i += 2) program.read(blocks[random.below(blocks.length)]!.first + (i % 33), 4);
    }
  },
};

/** An allocator of runs: some in use, the others given back with `advice`, and taken again without a system call. */
function purging(advice: number): Workload['write'] {
  return (out, { pages, ops }, random) => {
    const program = new Process(out);
    const heap = program.map(pages);
    const runs = Math.floor(pages / RUN_PAGES);
    const used = new Uint8Array(runs);
    for (let op = 0; op < ops; op++) {
      const run = random.below(runs);
      const first = heap + run * RUN_PAGES;
      program.run(30);
      if (used[run] === 0) for (let i = 0; i < RUN_PAGES; i++) program.write(first + i, FILL);
      else {
        for (let i = 0; i < RUN_PAGES; i += 4) program.read(first + i, 2);
        program.advise(first, RUN_PAGES, advice);
      }
      used[run]! ^= 1;
    }
  };
}

const purgingSizes = {
  pages: { means: 'pages of the heap', is: 4096, least: RUN_PAGES },
  ops: { means: 'runs taken or given back', is: 20_000 },
} as const;
const RUNS = `Runs have ${RUN_PAGES} pages; half of the heap is in use; what was given back is taken again in any order.`;

export const madvFree: Workload = {
  name: 'madv-free',
  summary: 'an allocator gives runs back with MADV_FREE: reclaim may take them until they are written again',
  stands: "jemalloc's muzzy pages, and the scavenger of Go 1.12 to 1.15",
  sizes: purgingSizes,
  assumes: [RUNS, NOTHING_ELSE],
  write: purging(ADVICE.free),
};

export const madvDontneed: Workload = {
  name: 'madv-dontneed',
  summary: 'an allocator gives runs back with MADV_DONTNEED: their pages are gone at once',
  stands: 'the scavenger of Go since 1.16, tcmalloc, and free of a large top of a glibc arena',
  sizes: purgingSizes,
  assumes: [RUNS, NOTHING_ELSE],
  write: purging(ADVICE.dontneed),
};

/** Pages that one leaf page table maps: those of two CPUs never share a page-table lock. */
const TABLE_PAGES = 512;

export const tlbFlush: Workload = {
  name: 'tlb-flush',
  summary: 'CPUs write pages of their own and discard them with MADV_DONTNEED, each at once again; others only run',
  stands:
    'tlb_flush1 and tlb_flush2 of will-it-scale, and the microbenchmark of N. Amit, "Flush remote and local TLBs"',
  sizes: {
    cpus: { means: 'CPUs that discard', is: 2 },
    busy: { means: 'CPUs that only run', is: 0 },
    pages: { means: 'pages of each CPU, discarded in one call', is: 1 },
    ops: { means: 'calls of all CPUs together', is: 4000 },
  },
  assumes: [
    'Each page is written once between two calls; the CPUs share no page table of the lowest level.',
    'CPUs that only run go on until the others are done.',
  ],
  compare: '--memory none',
  write(out, { cpus, busy, pages, ops }, random) {
    const program = new Process(out, cpus + busy);
    const apart = Math.ceil(pages / TABLE_PAGES) * TABLE_PAGES;
    const heap = Math.ceil(program.map((cpus + 1) * apart) / TABLE_PAGES) * TABLE_PAGES;
    for (let op = 0; op < ops; op++) {
      const cpu = op % cpus;
      const first = heap + cpu * apart;
      program.on(cpu);
      program.run(10 + random.below(10));
      for (let i = 0; i < pages; i++) program.write(first + i);
      program.advise(first, pages, ADVICE.dontneed);
      for (let other = 0; other < busy; other++) {
        program.on(cpus + other);
        program.run((BUSY * pages) / cpus);
      }
    }
  },
};
/** Instructions in more time than a page takes to be discarded and written again. */
const BUSY = 30_000;
