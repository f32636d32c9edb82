import { HAZARDS } from '../model/hazard.ts';
import type { Grid } from './grid.ts';

/** One line of a catalog; prices have a range besides, paths what is known of the page. */
interface Row {
  readonly name: string;
  readonly family: string;
  readonly title: string;
  readonly source: string;
  readonly default?: number;
  readonly low?: number;
  readonly high?: number;
  readonly confidence?: string;
  readonly locks?: string;
  readonly last?: string;
  readonly newPage?: string;
}

/** What there is of one kind. */
export function catalogGrid(rows: readonly Row[]): Grid {
  if (rows[0]?.default !== undefined) {
    return {
      columns: ['cost', 'ns', 'low', 'high', 'confidence', 'what', 'source'],
      rows: rows.map((row) => [
        row.name,
        String(row.default),
        String(row.low),
        String(row.high),
        row.confidence!,
        row.title,
        row.source,
      ]),
    };
  }
  if (rows[0]?.last !== undefined) {
    return {
      columns: ['path', 'what', 'last reference', 'can another thread install a different page?', 'locks', 'kernel'],
      rows: rows.map((row) => [row.name, row.title, row.last!, row.newPage!, row.locks!, row.source]),
    };
  }
  return {
    columns: ['name', 'family', 'what', 'source'],
    rows: rows.map((row) => [row.name, row.family, row.title, row.source]),
  };
}

/** What one path did under one policy. */
interface Count {
  readonly path: string;
  readonly policy: string;
  readonly pages: number;
  readonly invalidations: number;
  readonly whole: boolean;
}

/** Invalidations per page, path by policy. A star: of the whole address space; behind a slash: once for so many pages. */
export function countsGrid(counts: readonly Count[]): Grid {
  const policies = [...new Set(counts.map(({ policy }) => policy))];
  const paths = [...new Set(counts.map(({ path }) => path))];
  return {
    columns: ['path', ...policies],
    rows: paths.map((path) => [path, ...counts.filter((count) => count.path === path).map(countText)]),
  };
}

function countText({ pages, invalidations, whole }: Count): string {
  const least = gcd(pages, invalidations);
  const per = pages === least ? '' : `/${pages / least}`;
  return `${invalidations / least}${whole ? '*' : ''}${per}`;
}
function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The faults that a machine can be given. */
export function hazardGrid(): Grid {
  return {
    columns: ['hazard', 'what', 'breaks', 'ancestor'],
    rows: Object.entries(HAZARDS).map(([name, { what, breaks, ancestor }]) => [name, what, breaks, ancestor]),
  };
}
