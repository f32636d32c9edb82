import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { type GoldenRow, goldenRows } from '../../testing/outside.ts';
import { BUILDS, engineModule } from '../../testing/wasm.ts';
import type { TlbResult } from '../model/tlb.ts';
import { codec, openRandom } from '../trace/input.ts';
import { openTrace } from '../trace/reader.ts';
import { runPass } from './pass.ts';

const rows = goldenRows();

test('the table has the rows it had', () => {
  expect(rows).toHaveLength(26);
});

/** The numbers of a result by the names that the table has for them. */
function named({ l1d, l1i, l2, pages }: TlbResult): Record<string, number> {
  return {
    pages,
    I_acc: l1i.accesses,
    I_miss: l1i.misses,
    D_acc: l1d.accesses,
    D_miss: l1d.misses,
    D_inv: l1d.invalidated,
    L2_acc: l2.accesses,
    L2_miss: l2.misses,
    L2_inv: l2.invalidated,
  };
}

/** Results of `rows`, all on one trace, in one pass. */
function resultsOf(file: string, rows: readonly GoldenRow[], module: WebAssembly.Module): TlbResult[] {
  const bytes = openRandom(fileURLToPath(new URL(`../../traces/${file}`, import.meta.url)));
  try {
    const trace = openTrace(bytes, codec, file);
    const jobs = rows.map(({ config }) => ({ kind: 'tlb' as const, config }));
    return runPass(trace, jobs, module, () => false) as TlbResult[];
  } finally {
    bytes.close();
  }
}

for (const file of new Set(rows.map((row) => row.trace))) {
  // The checked build is several times slower and differs in assertions only: the smaller trace is enough.
  const builds = file === 'outside/sqlite.trace' ? BUILDS : (['release'] as const);
  describe.each(builds)(`${file}, %s`, (build) => {
    const mine = rows.filter((row) => row.trace === file);
    let results: TlbResult[] = [];
    beforeAll(() => {
      results = resultsOf(file, mine, engineModule(build));
    });

    for (const [i, row] of mine.entries()) {
      test(row.text.replaceAll('\t', ' '), () => {
        const { ops: _, ...expected } = row.expected;
        expect(named(results[i]!)).toMatchObject(expected);
        expect(Object.keys(expected).length).toBeGreaterThan(3);
      });
    }
  });
}
