import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../../../testing/cli.ts';
import { engineModule } from '../../../testing/wasm.ts';
import { nestedReferences } from '../../engine/nested.ts';
import { loadWalk } from './translation.ts';
import { Value } from './value.ts';

interface Vector {
  readonly id: string;
  readonly note: string;
  readonly kind: string;
  readonly expect: Readonly<Record<string, unknown>>;
}
const text = readFileSync(join(ROOT, 'traces/outside/iommu-vectors.json'), 'utf8');
const { walks: all } = JSON.parse(text) as { readonly walks: readonly Vector[] };
/** VT-d fault reason 4: the context is good, and no table is read. */
const BEYOND_WIDTH = 4;
const module = engineModule('checked');

describe('the same walks once more (hardware.md 1.6)', () => {
  const walks = all.filter(({ kind }) => kind !== 'counts');
  const readsOf = ({ expect: { reads } }: Vector): bigint[] => (reads as string[]).map(BigInt);

  test.each(walks.filter(({ expect: { status } }) => status === 'ok'))(
    '$id with walk caches: the leaf alone',
    (vector) => {
      const ask = loadWalk(module, new Value(vector, 't'), { tlb: 0, walk: 8, context: 8 });
      const cold = ask();
      expect(cold.reads).toEqual(readsOf(vector));
      const { address, size, grants, reads, writes } = ask();
      expect({ address, size, grants, writes }).toEqual({ ...pick(cold), writes: [] });
      // Without tables the structures were all there was, and they are cached.
      expect(reads).toEqual(cold.size === 0 ? [] : cold.reads.slice(-1));
    },
  );

  test.each(walks.filter(({ expect: { status } }) => status === 'ok'))('$id with a filled TLB: nothing', (vector) => {
    const ask = loadWalk(module, new Value(vector, 't'), { tlb: 8, walk: 8, context: 8 });
    const cold = ask();
    const { address, size, reads, writes } = ask();
    expect({ address, size, reads, writes }).toEqual({ address: cold.address, size: cold.size, reads: [], writes: [] });
  });

  test.each(walks.filter(({ expect: { status } }) => status === 'fault'))('$id: a fault is not cached', (vector) => {
    const ask = loadWalk(module, new Value(vector, 't'), { tlb: 8, walk: 8, context: 8 });
    const cold = ask();
    const warm = ask();
    expect({ ...warm, reads: [] }).toEqual({ ...cold, reads: [] });
    // What was read before the word that refuses, and is good, may be cached; that word is read again.
    expect(warm.reads).toEqual(cold.reads.slice(cold.reads.length - warm.reads.length));
    expect(warm.reads.length > 0).toBe(vector.expect.reason !== BEYOND_WIDTH);
  });

  const pick = ({ address, size, grants }: { address: bigint; size: number; grants: object }) => ({
    address,
    size,
    grants,
  });
});

// Guest and host levels, levels of their leaves, references: (g+1)(h+1)-1 of the levels read.
const NESTED: [number, number, number, number, number][] = [
  [4, 4, 1, 1, 24],
  [4, 4, 2, 1, 19],
  [4, 4, 2, 2, 15],
  [5, 5, 1, 1, 35],
  [4, 3, 1, 1, 19],
  [4, 4, 3, 3, 8],
];
test.each(NESTED)(
  'nested walk, %i over %i levels, leaves at %i and %i: %i references',
  (guest, host, leaf, below, count) => {
    const shape = { guestLevels: guest, hostLevels: host, guestLeaf: leaf, hostLeaf: below };
    expect(nestedReferences(module, shape)).toBe(count);
  },
);
