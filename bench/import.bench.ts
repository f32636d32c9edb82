import type { TracePage } from '../src/model/trace.ts';
import { importTrace } from '../src/trace/import/index.ts';
import { recordsOf } from '../src/trace/records.ts';
import { host, measuredOf, report } from './harness.ts';
import { shipped } from './traces.ts';

const LINES = 4_000_000;
const REPEATS = 5;

/** A lackey text of `LINES` lines that touches the pages of sqlite in their order. */
function lackeyText(): Buffer {
  const letter = { fetch: 'I  ', read: ' L ', write: ' S ' } as const;
  const parts: string[] = [];
  const pages: TracePage[] = [];
  let lines = 0;
  for (const chunk of shipped('sqlite').trace.chunks()) {
    pages.push(...chunk.pages);
    for (const record of recordsOf(chunk, pages)) {
      if (!('run' in record) || record.run.straddle) continue;
      const address = `${record.page.vpn.toString(16)}${((lines * 8) % 4096).toString(16).padStart(3, '0')}`;
      parts.push(`${letter[record.run.op]}${address.padStart(8, '0')},8\n`);
      if (++lines === LINES) return Buffer.from(parts.join(''));
    }
  }
  return Buffer.from(parts.join(''));
}

/** From lackey text in memory to the bytes of a trace, compression included. */
console.log(`import, ${host()}`);
const text = lackeyText();
const input = {
  file: 'bench.lk',
  async *blocks() {
    for (let at = 0; at < text.length; at += 1 << 20) yield text.subarray(at, at + (1 << 20));
  },
};
// tinybench would count the time between two awaits of an asynchronous task as well; the import is the only work here.
const samples: number[] = [];
let written = 0;
for (let i = 0; i < REPEATS; i++) {
  written = 0;
  const sink = {
    write: (bytes: Uint8Array) => {
      written += bytes.length;
    },
  };
  const start = process.cpuUsage();
  await importTrace(input, sink, { strict: true, interleave: false });
  const { user, system } = process.cpuUsage(start);
  samples.push(((user + system) * 1000) / LINES);
}
const measured = measuredOf(samples);
report(
  'import, lackey text',
  'line',
  measured,
  `${((text.length / LINES / measured.least) * 1000).toFixed(0)} MB/s of text`,
  `${(written / LINES).toFixed(3)} B/line`,
);
