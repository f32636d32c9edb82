import { decoded, host, measure, ns, report, show } from './harness.ts';
import { shipped } from './traces.ts';

/** From the bytes of a trace file to checked columns: decompression, checksum, every check of the reader. */
console.log(`decode, ${host()}`);
const { bytes, trace } = shipped('sqlite');
const { fetches, datas, records } = trace.meta.counts;
const accesses = fetches + datas;
const measured = await measure('decode', accesses, 7, () => () => {
  for (const _ of trace.chunks());
});
const raw = decoded(trace).reduce((sum, chunk) => sum + chunk.raw, 0);
const { least } = measured;
report('decode, sqlite', 'access', measured, ns((least * accesses) / records, 'record'));
show(
  '',
  `${((raw / (least * accesses)) * 1000).toFixed(0)} MB/s of columns`,
  `${(bytes.length / accesses).toFixed(3)} B/access`,
);
