import { basename } from 'node:path';
import { champsim } from '../src/trace/export/champsim.ts';
import type { Exporter } from '../src/trace/export/exporter.ts';
import { LeftOut } from '../src/trace/export/exporter.ts';
import { lackey } from '../src/trace/export/lackey.ts';
import { importTrace } from '../src/trace/import/index.ts';
import { type Input, openInput } from '../src/trace/input.ts';
import { host, measuredOf, RECORDING, report } from './harness.ts';
import { shipped } from './traces.ts';

/** Bytes of a recording that is made here. */
const MOST = 128 << 20;
const REPEATS = 5;

/** The beginning of sqlite in a foreign format, in memory: the accesses of a program in the order that it made them. */
function made(exporter: Exporter): Input {
  const parts: Buffer[] = [];
  let bytes = 0;
  for (const part of exporter.write(shipped('sqlite').trace, new LeftOut())) {
    parts.push(Buffer.from(part));
    bytes += part.length;
    if (bytes > MOST) break;
  }
  const whole = Buffer.concat(parts);
  return {
    file: exporter.name,
    async *blocks() {
      for (let at = 0; at < whole.length; at += 1 << 20) yield whole.subarray(at, at + (1 << 20));
    },
  };
}

/** From the bytes of a recording to those of a trace, compression of the trace included, and of the recording if it has one. */
async function measureImport(name: string, input: Input): Promise<void> {
  // tinybench would count the time between two awaits of an asynchronous task as well; the import is the only work here.
  const samples: number[] = [];
  let [lines, written] = [0, 0];
  for (let i = 0; i < REPEATS; i++) {
    written = 0;
    const sink = {
      write: (bytes: Uint8Array) => {
        written += bytes.length;
      },
    };
    const start = process.cpuUsage();
    const { tally } = await importTrace(input, sink, { strict: false, interleave: false });
    const { user, system } = process.cpuUsage(start);
    lines = tally.lines;
    samples.push(((user + system) * 1000) / lines);
  }
  const measured = measuredOf(samples);
  report(
    name,
    'line',
    measured,
    `${(1000 / measured.least).toFixed(1)} M lines/s`,
    `${(written / lines).toFixed(3)} B/line`,
  );
}

console.log(`import, ${host()}`);
if (RECORDING === undefined) {
  await measureImport('import, lackey text', made(lackey));
  await measureImport('import, ChampSim', made(champsim));
} else await measureImport(`import, ${basename(RECORDING)}`, openInput(RECORDING));
