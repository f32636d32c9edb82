import { MAX_VPN } from '../../model/limits.ts';
import { Process } from './program.ts';
import type { Random } from './random.ts';
import type { Workload } from './workload.ts';

/** Programs whose pages the kernel shares, merges, moves, watches or cleans while they run. */

/** A server: requests read and write objects of a page, most of them of the hotter fifth. */
const SERVER = 'A request reads two pages and writes one of the program, four in five of them of the hottest fifth.';

const REQUESTS = { means: 'requests', is: 20_000 } as const;

function request(program: Process, heap: number, pages: number, random: Random): void {
  const page = (): number => heap + random.below(random.chance(0.8) ? Math.ceil(pages / 5) : pages);
  program.run(30);
  program.read(page(), 4);
  program.read(page(), 4);
  program.write(page(), 4);
}

/** A server whose heap the kernel looks at `times` times, each time with what `act` does. */
function watched(
  times: number,
  act: (program: Process, heap: number, random: Random, pages: number, time: number) => void,
  of: { readonly huge?: boolean } = {},
) {
  const write: Workload['write'] = (out, { pages, ops }, random) => {
    const program = new Process(out);
    const heap = program.map(pages, of);
    for (let i = 0; i < pages; i++) program.write(heap + i, 4);
    const every = Math.max(1, Math.floor(ops / times));
    for (let op = 0; op < ops; op++) {
      if (op % every === 0) act(program, heap, random, pages, op / every);
      request(program, heap, pages, random);
    }
  };
  return write;
}

export const forkSnapshot: Workload = {
  name: 'fork-snapshot',
  summary: 'a server forks a child that saves its memory; until the child is gone, each first write copies a page',
  stands: 'BGSAVE of Redis',
  sizes: { pages: { means: 'pages of the heap', is: 2048, least: 8 }, ops: REQUESTS },
  assumes: [SERVER, 'A child is forked eight times, and gone before the next.'],
  write: watched(16, (program, heap, _random, pages, time) => {
    if (time % 2 === 0) program.kernel('fork', heap, pages);
    else program.reap();
  }),
};

export const ksmMerge: Workload = {
  name: 'ksm-merge',
  summary: 'KSM merges runs of pages that are alike; the next write of each copies it again',
  stands: 'virtual machines under ksmd, 100 pages a wake-up (pages_to_scan)',
  sizes: { pages: { means: 'pages of the guests', is: 2048, least: 128 }, ops: REQUESTS },
  assumes: [SERVER, 'KSM looks 200 times, each time at 100 pages in a row, and all of them are alike.'],
  write: watched(200, (program, heap, random, pages) => {
    program.kernel('merge', heap + random.below(pages - 99), 100);
  }),
};

export const numaMigration: Workload = {
  name: 'numa-migration',
  summary: 'pages are moved to another node while they are in use',
  stands: 'automatic NUMA balancing, and compaction: migrate_pages, at most 512 pages a scan (assumed)',
  sizes: { pages: { means: 'pages of the program', is: 2048, least: 64 }, ops: REQUESTS },
  assumes: [SERVER, 'Pages are moved 200 times, 1 to 64 of them in a row.'],
  write: watched(200, (program, heap, random, pages) => {
    const moved = random.between(1, Math.min(64, pages));
    program.kernel('migrate', heap + random.below(pages - moved + 1), moved);
  }),
};

export const numaBalancing: Workload = {
  name: 'numa-balancing',
  summary: 'pages become PROT_NONE, a stretch at a time, to see who uses them; some of them are moved then',
  stands: 'task_numa_work: change_prot_numa of a stretch of the address space, hinting faults, migrate_misplaced_page',
  sizes: { pages: { means: 'pages of the program', is: 2048, least: 64 }, ops: REQUESTS },
  assumes: [
    SERVER,
    'A stretch is an eighth of the program, in order; after each, 1 to 16 pages in a row of it are moved.',
  ],
  write: watched(200, (program, heap, random, pages, time) => {
    const stretch = Math.ceil(pages / 8);
    const first = heap + ((time * stretch) % (pages - stretch + 1));
    program.kernel('numaHint', first, stretch);
    const moved = random.between(1, Math.min(16, stretch));
    program.kernel('migrate', first + random.below(stretch - moved + 1), moved);
  }),
};

export const hugeBalancing: Workload = {
  name: 'numa-thp',
  summary: 'huge pages become PROT_NONE, and the fault on one copies it to the node of who uses it',
  stands: 'task_numa_work: change_huge_pmd; do_huge_pmd_numa_page, migrate_misplaced_transhuge_page',
  sizes: { pages: { means: 'pages of the program', is: 2048, least: 64 }, ops: REQUESTS },
  assumes: [
    SERVER,
    'A block of 512 pages, or the rest of the heap, becomes PROT_NONE 100 times, any of them; every second time it is on the wrong node.',
  ],
  write: watched(
    100,
    (program, heap, random, pages, time) => {
      const first = heap + 512 * random.below(Math.ceil(pages / 512));
      const block = Math.min(512, heap + pages - first);
      program.kernel('numaHint', first, block);
      if (time % 2 === 0) program.kernel('numaMigrate', first, block);
    },
    { huge: true },
  ),
};

export const hugePages: Workload = {
  name: 'thp-churn',
  summary: 'khugepaged makes huge pages of small ones, and they are split again',
  stands:
    'transparent huge pages of a long-lived server: collapse by khugepaged, split when a part is unmapped or swapped',
  sizes: { pages: { means: 'pages of the heap', is: 4096, least: 64 }, ops: REQUESTS },
  assumes: [
    SERVER,
    'A block of 512 pages, or the rest of the heap, is collapsed or split 100 times, any of them; a huge page is 512 small ones in the model.',
  ],
  write: watched(100, (program, heap, random, pages, time) => {
    const first = heap + 512 * random.below(Math.ceil(pages / 512));
    program.kernel(time % 3 === 2 ? 'split' : 'collapse', first, Math.min(512, heap + pages - first));
  }),
};

export const dirtyTracking: Workload = {
  name: 'dirty-tracking',
  summary: 'all pages are write-protected again and again, to see which are written',
  stands: 'incremental checkpoints with CRIU: /proc/PID/clear_refs, then the soft-dirty bits of pagemap',
  sizes: { pages: { means: 'pages of the heap', is: 2048, least: 8 }, ops: REQUESTS },
  assumes: [SERVER, 'Tracking begins anew 20 times.'],
  write: watched(20, (program) => program.kernel('clearRefs', 0, MAX_VPN + 1)),
};

export const sharedWriteback: Workload = {
  name: 'shared-writeback',
  summary: 'a shared file mapping is written to; its dirty pages are write-protected and written back',
  stands: 'a memory-mapped database (LMDB with MDB_WRITEMAP) under the flusher threads',
  sizes: { pages: { means: 'pages of the file', is: 2048, least: 8 }, ops: REQUESTS },
  assumes: [SERVER, 'Dirty pages are written back 20 times, the whole file at a time.'],
  write(out, { pages, ops }, random) {
    const program = new Process(out);
    const file = program.map(pages, { file: true, shared: true });
    const every = Math.max(1, Math.floor(ops / 20));
    for (let op = 0; op < ops; op++) {
      if (op % every === every - 1) program.kernel('writeback', file, pages);
      request(program, file, pages, random);
    }
  },
};
