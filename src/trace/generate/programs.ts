import { DATA, Process, TEXT } from './program.ts';
import type { Workload } from './workload.ts';

/** Programs that change translations for reasons of their own. */

export const jit: Workload = {
  name: 'jit-mprotect',
  summary: 'functions are compiled into pages that are made writable, written, and made executable again',
  stands: 'a JIT compiler that never has pages writable and executable: JavaScriptCore, SpiderMonkey since Firefox 46',
  sizes: {
    pages: { means: 'pages of the code cache', is: 1024, least: 8 },
    ops: { means: 'functions compiled', is: 8000 },
  },
  assumes: [
    'A function has one to four pages; one in four replaces an older one; between two compilations a few functions run.',
    'The compiler works in 256 pages of its own.',
  ],
  write(out, { pages, ops }, random) {
    const program = new Process(out);
    const cache = program.map(pages, { prot: TEXT });
    const heap = program.map(COMPILER_PAGES);
    let end = 0;
    for (let op = 0; op < ops; op++) {
      const size = random.between(1, 4);
      const replaces = end > size && random.chance(0.25);
      if (end + size > pages) end = 0;
      const at = replaces ? random.below(end - size) : end;
      if (!replaces) end += size;
      program.run(60);
      for (let i = 0; i < 12; i++) program.write(heap + random.below(COMPILER_PAGES), 4);
      program.protect(cache + at, size, DATA);
      for (let i = 0; i < size; i++) program.write(cache + at + i, 32);
      program.protect(cache + at, size, TEXT);
      for (let i = 0; i < 6; i++) {
        // What was compiled last runs most.
        program.execute(cache + ((at + random.around(4)) % pages), 20);
        program.read(heap + random.below(COMPILER_PAGES), 4);
      }
    }
  },
};
/** Pages of a compiler's own (assumed). */
const COMPILER_PAGES = 256;

export const cowStorm: Workload = {
  name: 'cow-storm',
  summary: 'pages of a private file mapping are read, then written: each first write copies a page',
  stands: 'a microVM restored from a snapshot: Firecracker maps the memory file MAP_PRIVATE',
  sizes: {
    pages: { means: 'pages of the mapping', is: 2048, least: 2 },
    ops: { means: 'writes', is: 20_000 },
  },
  assumes: [
    'Two pages are read for each that is written; when as many writes were made as there are pages, the next VM is restored.',
  ],
  write(out, { pages, ops }, random) {
    const program = new Process(out);
    for (let done = 0; done < ops; ) {
      const first = program.map(pages, { file: true });
      for (let i = 0; i < pages && done < ops; i++, done++) {
        program.run(20);
        const page = first + random.below(pages);
        program.read(first + random.below(pages), 2);
        program.read(page, 4);
        program.write(page, 2);
      }
      program.unmap(first, pages);
    }
  },
};

export const accelerator: Workload = {
  name: 'sva-accelerator',
  summary: 'bursts of jobs in fresh buffers, which are unmapped when they are done; the CPU alone between bursts',
  stands: 'compression on an accelerator with shared virtual addresses: UADK on HiSilicon ZIP, QPL on Intel IAA',
  sizes: {
    pages: { means: 'pages of the program itself', is: 1024 },
    depth: { means: 'jobs of a burst, on the average', is: 32 },
    ops: { means: 'jobs', is: 4000 },
  },
  assumes: [
    'A job has a source of 16 pages and a destination of 8, mapped for it alone.',
    'The device is the one that compare adds: its accesses, and its idle phases, come from --device.',
  ],
  compare: '--device follow,every=16,active=200us,idle=2ms',
  write(out, { pages, depth, ops }, random) {
    const program = new Process(out);
    const own = program.map(pages);
    for (let done = 0; done < ops; ) {
      const burst = 1 + random.around(depth - 1);
      for (let job = 0; job < burst && done < ops; job++, done++) {
        program.run(40);
        const source = program.map(SOURCE_PAGES);
        const target = program.map(TARGET_PAGES);
        for (let i = 0; i < SOURCE_PAGES; i++) program.write(source + i, 16);
        program.run(20, 1);
        for (let i = 0; i < TARGET_PAGES; i++) program.write(target + i, 8);
        for (let i = 0; i < TARGET_PAGES; i++) program.read(target + i, 8);
        program.unmap(source, SOURCE_PAGES);
        program.unmap(target, TARGET_PAGES);
      }
      const alone = random.around(400);
      for (let i = 0; i < alone; i++) {
        program.run(20, 2);
        program.write(own + random.below(pages), 4);
      }
    }
  },
};
const SOURCE_PAGES = 16;
const TARGET_PAGES = 8;
