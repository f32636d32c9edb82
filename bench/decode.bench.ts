import { decoded, host, measure, ns, shipped, show } from './harness.ts';

/** From the bytes of a trace file to checked columns: decompression, checksum, every check of the reader. */
console.log(`decode, ${host()}`);
const { bytes, trace } = shipped('sqlite');
const { fetches, datas, records } = trace.meta.counts;
const accesses = fetches + datas;
const { least, median } = await measure('decode', accesses, 7, () => () => {
  for (const _ of trace.chunks());
});
const raw = decoded(trace).reduce((sum, chunk) => sum + chunk.raw, 0);
show('sqlite', ns(least, 'access'), `median ${median.toFixed(3)}`, ns((least * accesses) / records, 'record'));
show(
  '',
  `${((raw / (least * accesses)) * 1000).toFixed(0)} MB/s of columns`,
  `${(bytes.length / accesses).toFixed(3)} B/access`,
);
