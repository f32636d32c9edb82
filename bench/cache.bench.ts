import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TlbEngine } from '../src/engine/tlb.ts';
import type { TlbConfig } from '../src/model/tlb.ts';
import { decoded, host, measure, ns, ROOT, shipped, show } from './harness.ts';
import { compileNative, runNative, writeNative } from './native/native.ts';

const REPEATS = 9;
const CONFIG: TlbConfig = {
  l1d: { sets: 16, ways: 4, replacement: 'lru' },
  l1i: { sets: 16, ways: 4, replacement: 'lru' },
  l2: { sets: 128, ways: 12, replacement: 'lru' },
  seed: 1,
  pageShift: 12,
  dataOnly: false,
  straddle: 'both',
  invalidate: 'none',
};

/** The loop behind `tlb`, on chunks that are decoded already, beside the native loop in the same minute. */
console.log(`cache: tlb on decoded chunks, ${host()}`);
const { trace } = shipped('sqlite');
const chunks = decoded(trace);
const module = new WebAssembly.Module(readFileSync(join(ROOT, 'build/release.wasm')));
const folder = mkdtempSync(join(tmpdir(), 'iommulator-bench-'));
try {
  const native = compileNative(folder);
  if (!native) console.log('no C++ compiler found: no ratios');
  for (const dataOnly of [false, true]) {
    const config = { ...CONFIG, dataOnly };
    const { fetches, datas } = trace.meta.counts;
    const accesses = dataOnly ? datas : fetches + datas;
    let engine = new TlbEngine(module, config, trace.meta);
    const ours = await measure('tlb', accesses, REPEATS, () => {
      engine = new TlbEngine(module, config, trace.meta);
      return () => {
        for (const chunk of chunks) engine.feed(chunk);
      };
    });
    const name = `sqlite, ${dataOnly ? 'data only' : 'fetches and data'}`;
    show(name, ns(ours.least, 'access'), `median ${ours.median.toFixed(3)}`);
    if (!native) continue;

    const file = join(folder, 'records');
    writeNative(trace, file, dataOnly);
    const { l1d, l1i, l2 } = engine.result();
    for (const mode of ['split', 'unified'] as const) {
      const theirs = runNative(native, mode, file, REPEATS);
      // The same question has the same answer: only then the times can be compared.
      const same = theirs.misses === l1d.misses + l1i.misses && theirs.l2Misses === l2.misses;
      if (mode === 'split' && !same) throw new Error(`native counts differ: ${JSON.stringify(theirs)}`);
      const ratio = `${(theirs.ns / ours.least).toFixed(2)} of its speed`;
      show(`  native, ${mode} first level`, ns(theirs.ns, 'access'), ratio);
    }
    rmSync(file);
  }
} finally {
  rmSync(folder, { recursive: true });
}
