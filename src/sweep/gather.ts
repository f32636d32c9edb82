/** All results of a sweep in one file, for other tools. */
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { MODEL } from '../model/result.ts';
import type { AxisValue } from '../model/sweep.ts';
import { openOutput } from '../trace/output.ts';
import { metricsOf, type SweepRow } from './table.ts';

/** One object per run: its axes, its metrics, the command that repeats it, its hash, and the model it was made with. */
export function flatRow({ cell, hash, run }: SweepRow): Record<string, AxisValue> {
  return { ...cell, ...Object.fromEntries(metricsOf(run)), repro: run.repro, hash, model: MODEL };
}

/** Lines of JSON, one per run. */
export function* ndjson(rows: readonly SweepRow[]): Generator<string> {
  for (const row of rows) yield `${JSON.stringify(flatRow(row))}\n`;
}

/** A Parquet file with one row per run; axes, numbers and verdicts are columns. It appears whole or not at all. */
export function writeParquet(rows: readonly SweepRow[], path: string): void {
  const flat = rows.map(flatRow);
  const names = [...new Set(flat.flatMap((row) => Object.keys(row)))];
  const writer = new ByteWriter();
  parquetWrite({
    writer,
    columnData: names.map((name) => {
      const values = flat.map((row) => row[name] ?? null);
      const numbers = values.every((value) => value === null || typeof value === 'number');
      return numbers
        ? { name, data: values as (number | null)[], type: 'DOUBLE' as const }
        : { name, data: values.map((value) => (value === null ? null : String(value))), type: 'STRING' as const };
    }),
  });
  const file = openOutput(path);
  try {
    file.write(new Uint8Array(writer.getBuffer()));
    file.commit();
  } finally {
    file.discard();
  }
}
