import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TlbEngine } from '../src/engine/tlb.ts';
import type { TlbConfig } from '../src/model/tlb.ts';
import { decoded, host, measure, ns, ROOT, rates, report, show } from './harness.ts';
import { Native } from './native/native.ts';
import { generated, shipped } from './traces.ts';

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
const module = new WebAssembly.Module(readFileSync(join(ROOT, 'build/release.wasm')));
const native = Native.compile();
try {
  for (const [name, trace, kinds] of [
    ['sqlite', shipped('sqlite').trace, [false, true]],
    ['redis', shipped('outside/redis').trace, [false, true]],
    ['gups', generated('gups', { ops: '4000000' }).trace, [true]],
  ] as const) {
    const chunks = decoded(trace);
    for (const dataOnly of kinds) {
      const config = { ...CONFIG, dataOnly };
      const { fetches, datas, records } = trace.meta.counts;
      const accesses = dataOnly ? datas : fetches + datas;
      let engine = new TlbEngine(module, config, trace.meta);
      const ours = await measure('tlb', accesses, REPEATS, () => {
        engine = new TlbEngine(module, config, trace.meta);
        return () => {
          for (const chunk of chunks) engine.feed(chunk);
        };
      });
      const what = `${name}, ${dataOnly ? 'data only' : 'fetches and data'}`;
      report(`tlb, ${what}`, 'access', ours, ...rates(ours, 'accesses', accesses, records));
      if (native === undefined) continue;

      const { l1d, l1i, l2 } = engine.result();
      for (const mode of ['split', 'unified'] as const) {
        const theirs = native.run(trace, mode, dataOnly, REPEATS);
        // The same question has the same answer: only then the times can be compared.
        const same = theirs.misses === l1d.misses + l1i.misses && theirs.l2Misses === l2.misses;
        if (mode === 'split' && !same) throw new Error(`native counts differ: ${JSON.stringify(theirs)}`);
        show(
          `  native, ${mode} first level`,
          ns(theirs.ns, 'access'),
          `${(theirs.ns / ours.least).toFixed(2)} of its speed`,
        );
      }
    }
  }
} finally {
  native?.remove();
}
