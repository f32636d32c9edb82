import { pagesOf, type RunCost, type RunResult } from '../model/result.ts';
import { count, type Grid, renderGrid } from './grid.ts';
import { addedByGroup } from './sentences.ts';

/** A policy's run less another's, on one trace and machine. */
interface Row {
  readonly trace: string;
  readonly machine: string;
  readonly at: Readonly<Record<'default' | 'low' | 'high', { readonly first: RunResult; readonly second: RunResult }>>;
}

/** What the reports of a difference are made from. */
export interface DifferenceView {
  readonly rows: readonly Row[];
  readonly policies: readonly [first: string, second: string];
  readonly model: number;
  readonly version: string;
}

/** The difference at one price: first less second. Per page: of those that each run unmapped, or else changed. */
function less({ first, second }: { readonly first: RunResult; readonly second: RunResult }) {
  const [a, b] = [first.cost, second.cost];
  const perPage = (value: (cost: RunCost) => number): number => value(a) / pagesOf(a) - value(b) / pagesOf(b);
  return {
    pages_unmapped: [a.pages_unmapped, b.pages_unmapped],
    invalidations: a.invalidations.secondary! - b.invalidations.secondary!,
    invalidations_per_page: perPage((cost) => cost.invalidations.secondary!),
    lock_hold_ns_per_page: perPage((cost) => cost.lock_hold_ns.sum),
    work_ns_per_page: perPage((cost) => cost.work_ns),
    work_share: a.work_ns / b.work_ns - 1,
  };
}

/** The result JSON of `difference`. */
export function differenceJson({ rows, policies: [first, second], model, version }: DifferenceView) {
  return {
    format: 1,
    model,
    tool: { name: 'iommulator', version },
    first,
    second,
    rows: rows.map(({ trace, machine, at }) => ({
      trace,
      machine,
      default: less(at.default),
      low: less(at.low),
      high: less(at.high),
    })),
  };
}

/** One line per trace and machine. */
export function differenceGrid({ rows }: DifferenceView): Grid {
  return {
    columns: [
      'trace',
      'machine',
      'pages',
      'inval.',
      'inval./page',
      'held ns/page',
      'work ns/page',
      'work %',
      'low %',
      'high %',
    ],
    rows: rows.map(({ trace, machine, at }) => {
      const usual = less(at.default);
      return [
        trace,
        machine,
        count(pagesOf(at.default.second.cost)),
        count(usual.invalidations),
        usual.invalidations_per_page.toFixed(3),
        usual.lock_hold_ns_per_page.toFixed(0),
        usual.work_ns_per_page.toFixed(0),
        ...[at.default, at.low, at.high].map((pair) => (less(pair).work_share * 100).toFixed(1)),
      ];
    }),
  };
}

/** The table, and what it means. */
export function differenceText(view: DifferenceView): string {
  const [first, second] = view.policies;
  const causes = view.rows.map(({ trace, machine, at: { default: pair } }) => {
    const parts = addedByGroup(pair.second, pair.first).map(({ group, ns }) => {
      return [group, ((ns / pair.second.cost.work_ns) * 100).toFixed(1)] as const;
    });
    const groups = parts.filter(([, share]) => Number(share) !== 0).map(([group, share]) => `${group} ${share} %`);
    return `${trace} on ${machine}: ${groups.join(', ')}`;
  });
  return [
    `${first} less ${second}, per page that lost its translation; % of the work of ${second}\n`,
    renderGrid(differenceGrid(view), 'table'),
    'low, high  the same with every price of an invalidation at that end of its range (list costs)\n',
    'by cause\n',
    ...causes.map((line) => `           ${line}\n`),
  ].join('');
}
