import type { TlbConfig, TlbResult } from '../model/tlb.ts';
import { unitOf } from '../model/tlb.ts';
import { ADVICE, MAP_FLAG, type TraceEvent } from '../model/trace.ts';
import { PAGE_SHIFT } from '../model/units.ts';
import { ReferenceCache } from './cache.ts';

/** One access, unmerged: as a program makes it. */
export interface Access {
  readonly fetch: boolean;
  readonly space: number;
  readonly vpn: number;
  /** Second half of an access that crosses a 4 KiB boundary. */
  readonly straddle: boolean;
}

interface Entry {
  readonly space: number;
  readonly unit: number;
}

/** Pure TLB statistics the slow way: access by access, as CLI.md's rules read. */
export function referenceTlb(config: TlbConfig, program: Iterable<Access | TraceEvent>): TlbResult {
  const same = (a: Entry, b: Entry): boolean => a.space === b.space && a.unit === b.unit;
  const l1i = new ReferenceCache(config.l1i, config.seed + 1, same);
  const l1d = new ReferenceCache(config.l1d, config.seed + 2, same);
  const l2 = config.l2.sets === 0 ? undefined : new ReferenceCache(config.l2, config.seed + 3, same);
  const counts = () => ({ accesses: 0, misses: 0, invalidated: 0 });
  const result = { l1d: counts(), l1i: counts(), l2: counts() };
  const touched = new Set<string>();

  for (const step of program) {
    if ('op' in step) {
      const range = invalidated(step, config);
      if (!range) continue;
      const gone = ({ space, unit }: Entry): boolean =>
        space === range.space && unit >= range.first && unit <= range.last;
      result.l1i.invalidated += l1i.remove(gone).length;
      result.l1d.invalidated += l1d.remove(gone).length;
      result.l2.invalidated += l2?.remove(gone).length ?? 0;
      continue;
    }
    if (config.dataOnly && step.fetch) continue;
    const unit = unitOf(step.vpn, config.pageShift);
    const crosses = unit !== unitOf(step.vpn - 1, config.pageShift);
    if (step.straddle && (config.straddle === 'one' || !crosses)) continue;
    const entry = { space: step.space, unit };
    touched.add(`${step.space}:${unit}`);
    const [first, level] = step.fetch ? [l1i, result.l1i] : [l1d, result.l1d];
    level.accesses++;
    if (first.lookup(unit, entry)) continue;
    level.misses++;
    if (l2) {
      result.l2.accesses++;
      if (!l2.lookup(unit, entry)) {
        result.l2.misses++;
        l2.fill(unit, entry);
      }
    }
    first.fill(unit, entry);
  }
  return { ...result, pages: touched.size };
}

function invalidated(event: TraceEvent, config: TlbConfig): { space: number; first: number; last: number } | undefined {
  const [space, first, end, third, fourth] = event.fields;
  const counts = {
    munmap: true,
    mremap: true,
    mprotect: config.invalidate === 'all',
    madvise: third === ADVICE.dontneed,
    mmap: ((fourth ?? 0) & MAP_FLAG.fixed) !== 0,
  } as Record<string, boolean>;
  if (config.invalidate === 'none' || !counts[event.op]) return undefined;
  const scale = 2 ** (config.pageShift - PAGE_SHIFT);
  return { space: space!, first: Math.floor(first! / scale), last: Math.ceil(end! / scale) - 1 };
}
