import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { imported, inputOf } from '../../testing/imports.ts';
import { openBytes } from '../../testing/program.ts';
import { engineModule } from '../../testing/wasm.ts';
import { runPass } from '../jobs/pass.ts';
import type { TraceProfile } from '../model/profile.ts';
import type { TlbConfig, TlbResult } from '../model/tlb.ts';
import { inspectText, profileJson } from '../report/inspect.ts';
import { generateTrace, workloadNamed } from './generate/index.ts';
import { parseSizes } from './generate/workload.ts';
import { profiling } from './profile.ts';
import type { Trace } from './reader.ts';
import { ReuseDistances } from './reuse.ts';

/** In one go. */
function profileOf(trace: Trace) {
  const work = profiling(trace);
  for (let step = work.next(); ; step = work.next()) if (step.done) return step.value;
}

/** Distances by looking through a list. */
function slowly(pages: readonly number[]): number[] {
  const newestFirst: number[] = [];
  return pages.map((page) => {
    const at = newestFirst.indexOf(page);
    if (at >= 0) newestFirst.splice(at, 1);
    newestFirst.unshift(page);
    return at;
  });
}

describe('reuse distances', () => {
  const stream = fc
    .tuple(fc.constantFrom(2, 20, 60, 400), fc.integer({ min: 1, max: 900 }))
    .chain(([pages, length]) => {
      return fc.array(fc.nat(pages), { minLength: length, maxLength: length });
    });

  test('are those of a list', () => {
    fc.assert(
      fc.property(stream, (pages) => {
        const quick = new ReuseDistances();
        expect(pages.map((page) => quick.touch(page))).toEqual(slowly(pages));
      }),
      { seed: 3, numRuns: 100 },
    );
  });

  test('are, too, where the tree was numbered anew', () => {
    const pages = Array.from({ length: 15_000 }, (_, i) => (i * 37 + (i >> 4)) % 300);
    const quick = new ReuseDistances();
    expect(pages.map((page) => quick.touch(page))).toEqual(slowly(pages));
  });
});

async function profiled(lines: readonly string[]): Promise<{ profile: TraceProfile; trace: Trace }> {
  const head = [
    'iommulator trace text 1',
    'source {"format":"test","file":"t"}',
    'tally {"lines":0,"accepted":0,"rejected":0,"ignored":0,"rules":{}}',
    'inferred []',
    'interleaved false',
  ];
  const { trace } = await imported(inputOf(Buffer.from([...head, ...lines, ''].join('\n'))));
  const opened = openBytes(trace);
  return { profile: profileOf(opened), trace: opened };
}

test('changes and lifetimes of an address space', async () => {
  const { profile } = await profiled([
    'space "mm" mm',
    'agent "cpu0" cpu 0',
    'mmap 0 0 0 1024 1028 3 0',
    'by 0',
    'write 400 0 3',
    'fetch 200 5 0',
    'mprotect 0 0 0 1024 1025 1',
    'munmap 0 0 0 1024 1026',
    'read 403 0 2',
    'munmap 0 0 0 1024 1030',
    'brk 0 0 0 20 18',
    'fork 0 0 0 1024 1030',
    'reap 0 0 0',
  ]);
  expect(profile.changes).toEqual([
    { event: 'munmap', count: 2, pages: 8 },
    { event: 'mmap', count: 1, pages: 4 },
    { event: 'mprotect', count: 1, pages: 1 },
    { event: 'brk, shrinking', count: 1, pages: 2 },
    { event: 'fork', count: 1, pages: 6 },
    { event: 'reap', count: 1, pages: 0 },
  ]);
  // The first munmap ends a half after 8 accesses, the second the rest after 10.
  expect(profileJson(profile).lifetimes).toEqual([
    { of: 'mmap', unit: 'accesses', ended: 2, open: 0, spans: [{ least: 8, most: 15, mappings: 2 }] },
  ]);
  // Two pages of the block at 0x400, one of that at 0x200.
  expect(profileJson(profile).huge_page_use).toEqual([
    { least: 1, most: 1, pages: 1 },
    { least: 2, most: 3, pages: 2 },
  ]);
  expect(profile.reuse).toEqual([
    { of: 'data', accesses: 5, first: 2, distances: [3] },
    { of: 'fetch', accesses: 5, first: 1, distances: [4] },
  ]);
});

test('mappings, their time and their uses; an access behind the unmap is none', async () => {
  const { profile } = await profiled([
    'space "d" domain',
    'agent "cpu0" cpu 0',
    'agent "dev0" device 0',
    'map 0 0 0 0 2 7 3 100 0',
    'map 0 0 0 1 1 9 3 102 0',
    'dma 1 0 0 0 0 1 0',
    'dma 1 0 0 1 0 1 0',
    'dma 1 0 0 0 0 1 0',
    'unmap 0 5000000 0 0 1 3',
    'dma 1 0 0 0 0 1 2001',
  ]);
  expect(profile.mappingPages).toEqual([0, 1, 1]);
  expect(profile.reuse).toEqual([{ of: 'device', accesses: 3, first: 2, distances: [0, 1] }]);
  expect(profileJson(profile).lifetimes).toEqual([
    { of: 'map', unit: 'ns', ended: 1, open: 1, spans: [{ least: 4096, most: 8191, mappings: 1 }] },
    { of: 'map', unit: 'device accesses', ended: 1, open: 1, spans: [{ least: 2, most: 3, mappings: 1 }] },
  ]);
});

describe('of a workload', () => {
  const parts: Uint8Array[] = [];
  const workload = workloadNamed('jit-mprotect');
  const sizes = parseSizes(workload, { ops: '400', pages: '512' });
  generateTrace(workload, sizes, 1, { write: (bytes) => parts.push(bytes.slice()) });
  const trace = openBytes(Buffer.concat(parts));
  const profile = profileOf(trace);

  test('far accesses are the misses of an LRU TLB of one set', () => {
    for (const ways of [16, 64, 512]) {
      const level = { sets: 1, ways, replacement: 'lru' } as const;
      const levels = { l1d: level, l1i: level, l2: level };
      const rest = { seed: 1, pageShift: 12, dataOnly: false, straddle: 'both', invalidate: 'none' } as const;
      const job = { kind: 'tlb' as const, config: { ...levels, ...rest } as TlbConfig };
      const { l1d, l1i } = runPass(trace, [job], engineModule('checked'), () => false)[0] as TlbResult;
      const far = profile.reuse.map(({ first, distances }) => {
        return distances.reduce((sum, n, i) => (2 ** (i - 1) >= ways ? sum + n : sum), first);
      });
      expect({ ways, far }).toEqual({ ways, far: [l1d.misses, l1i.misses] });
    }
  });

  test('the page is at most 80 columns wide', () => {
    const label = { file: `${'long '.repeat(12)}name.trace`, sha256: 'ab'.repeat(32) };
    const text = inspectText(label, trace.meta, profile);
    expect(text).toContain('changes');
    for (const line of text.split('\n')) expect(line.length, line).toBeLessThanOrEqual(80);
  });
});
