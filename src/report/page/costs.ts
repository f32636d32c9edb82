import type { ComparisonResult } from '../../model/result.ts';
import type { Label } from './bars.ts';
import { html, type Markup } from './markup.ts';
import { duration, whole } from './number.ts';
import { ranges } from './ranges.ts';
import { table } from './table.ts';

/** Every cost with the range it may lie in, those first that nobody has measured and that a run paid. */
export function costTable(id: string, { costs, runs }: ComparisonResult): Markup {
  const assumed = new Set(runs.flatMap(({ cost }) => cost.assumed_costs));
  const rows = Object.entries(costs).sort(([a], [b]) => Number(assumed.has(b)) - Number(assumed.has(a)));
  const title = 'Costs, and the ranges they may lie in';
  return html`<h3 id="${id}-costs">What the numbers rest on</h3>
<p>${assumed.size} of ${rows.length} costs were never measured in public and were paid here.</p>
<details><summary>${title}</summary>${table(
    title,
    [
      { title: 'cost', kind: 'name' },
      { title: 'taken', kind: 'number' },
      { title: 'at least', kind: 'number' },
      { title: 'at most', kind: 'number' },
      { title: 'known' },
      { title: 'assumed, and paid here' },
    ],
    rows.map(([key, { default: taken, low, high, confidence }]) => ({
      cells: [
        key,
        ...[taken, low, high].map((ns) => ({ text: duration(ns), value: ns })),
        confidence,
        assumed.has(key) ? 'yes' : '-',
      ],
    })),
  )}</details>`;
}

/** The comparison under draws of all costs, if the result has it. */
export function uncertaintyPart(id: string, { uncertainty }: ComparisonResult, labels: readonly Label[]): Markup {
  if (uncertainty === undefined) return html``;
  const { draws, records, records_of_trace: all, rankings, intervals } = uncertainty;
  const labelOf = (machine: string, policy: string): Label | undefined =>
    labels.find((label) => label.machine === machine && label.policy === policy);
  const rows = intervals.flatMap(({ key, machine, policy, p5, p50, p95 }) => {
    const label = labelOf(machine, policy);
    return key === 'added_per_page_ns' && label ? [{ label, values: [p5, p50, p95], count: draws }] : [];
  });
  const part = records < all ? ` Each replayed the first ${whole(records)} of ${whole(all)} records.` : '';
  return html`${ranges({
    id: `${id}-draws`,
    title: `Added per page in ${whole(draws)} draws of all costs`,
    about: `Costs drawn from their ranges, the same for every policy.${part} Logarithmic axis: what is not above 0 stands at its left end.`,
    points: ['5 % of draws below', 'half below', '95 % below'],
    counted: null,
    rows,
  })}
<details><summary>In how many draws each ranking stands</summary>${table(
    'In how many draws each ranking stands',
    [
      { title: 'machine', kind: 'name' },
      { title: 'adds less', kind: 'name' },
      { title: 'adds more', kind: 'name' },
      { title: 'draws', kind: 'number' },
      { title: 'the same in', kind: 'number' },
    ],
    rankings.map(({ machine, lower, higher, holds, ties }) => ({
      cells: [
        machine,
        lower,
        higher,
        { text: `${whole(holds)} of ${whole(draws)}`, value: holds },
        { text: whole(ties), value: ties },
      ],
    })),
  )}</details>`;
}
