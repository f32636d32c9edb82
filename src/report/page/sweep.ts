import { exposureOf, frontOf } from '../../model/front.ts';
import type { AxisValue, GatheredRow, GatheredSweep } from '../../model/sweep.ts';
import { areas, type Column } from './areas.ts';
import { type CurvePoint, curves } from './curves.ts';
import { html, type Markup } from './markup.ts';
import { duration, whole } from './number.ts';
import { ABOUT, type Dot, exposureText, plots } from './scatter.ts';
import { longTable, type Row, table } from './table.ts';

/** Runs whose rows stand in the page as they are; of more, a script makes them from a sixth of the bytes. */
const MOST_ROWS = 300;

/** A sweep: what to choose from, and where one policy becomes cheaper than another. `id` begins the ids of its parts. */
export function sweepPart(id: string, { name, model, rows }: GatheredSweep): Markup {
  const axes = axesOf(rows);
  const varying = [...axes].filter(([, values]) => values.length > 1).map(([axis]) => axis);
  const firsts = new Map<string, GatheredRow>();
  for (const row of rows) if (!firsts.has(row.hash)) firsts.set(row.hash, row);
  const runs = [...firsts.values()];
  const runAt = new Map(runs.map(({ hash }, i) => [hash, i]));
  const settings = varying.filter((axis) => !['trace', 'machine', 'policy'].includes(axis));
  const kept = frontOf(runs, (run) => ({
    group: run.trace,
    cost: run['cost.added_per_page_ns'],
    exposure: exposed(run),
  }));
  return html`<section id="${id}" aria-labelledby="${id}-title" data-filtered="">
<h2 id="${id}-title"><bdi>${name}</bdi></h2>
<dl class="facts"><dt>runs</dt><dd>${whole(runs.length)} for ${whole(rows.length)} combinations, model ${model}</dd>
${[...axes].map(([axis, values]) => html`<dt>${axis}</dt><dd>${listOf(values)}</dd>\n`)}</dl>
${frontPart(`${id}-front`, runs, runAt, kept, settings)}
${curvePart(id, rows, axes, varying, runAt)}
<h3>How to get this again</h3>
<details><summary>The command of each numbered run</summary><pre tabindex="0" aria-label="Commands that give this again"><code>${kept.map(({ repro }) => `${repro}\n`)}</code></pre></details>
</section>`;
}

/** Axes with their values: the keys of a row up to `policy`. */
function axesOf(rows: readonly GatheredRow[]): Map<string, AxisValue[]> {
  const keys = Object.keys(rows[0]!);
  const axes = keys.slice(0, keys.indexOf('policy') + 1);
  return new Map(
    axes.map((axis) => [axis, [...new Set(rows.flatMap((row) => (Object.hasOwn(row, axis) ? [row[axis]!] : [])))]]),
  );
}

function listOf(values: readonly AxisValue[]): string {
  const shown = values.slice(0, 12).map(String).join(', ');
  return values.length > 12 ? `${shown} and ${values.length - 12} more` : shown;
}

function frontPart(
  id: string,
  runs: readonly GatheredRow[],
  runAt: ReadonlyMap<string, number>,
  kept: readonly GatheredRow[],
  settings: readonly string[],
): Markup {
  const places = new Map(kept.map((run, i) => [run.hash, i + 1]));
  const notes = notesOf(kept);
  const dots = runs.map((run, index): Dot => {
    const place = places.get(run.hash);
    const said = [run.policy, run.machine, ...settings.map((axis) => String(run[axis]))].join(', ');
    return {
      label: { index, machine: run.trace, policy: said },
      added: run['cost.added_per_page_ns'],
      exposed: exposed(run),
      verdict: run['safety.verdict'],
      note: place === undefined ? '' : (notes.get(place) ?? ''),
    };
  });
  const columns = [
    { title: 'machine', kind: 'name' as const },
    { title: 'policy', kind: 'name' as const },
    { title: 'verdict', kind: 'verdict' as const },
    { title: 'trace', kind: 'name' as const },
    ...settings.map((axis) => ({ title: brief(axis, settings) })),
    { title: 'added per page', kind: 'number' as const },
    { title: 'exposed in all', kind: 'number' as const },
    { title: 'number', kind: 'number' as const },
  ];
  const rowOf = (run: GatheredRow): Row => {
    const place = places.get(run.hash);
    const [cost, exposure, verdict] = [run['cost.added_per_page_ns'], exposed(run), run['safety.verdict']];
    return {
      run: runAt.get(run.hash)!,
      cells: [
        run.machine,
        run.policy,
        verdict,
        run.trace,
        ...settings.map((axis) => {
          const value = run[axis]!;
          return typeof value === 'number' ? { text: String(value), value } : String(value);
        }),
        { text: duration(cost), value: cost },
        { text: exposureText(exposure), value: Math.min(exposure, Number.MAX_VALUE) },
        place === undefined ? { text: '-', value: 0 } : { text: String(place), value: place },
      ],
    };
  };
  const title = 'Cost against exposure: what to choose from';
  return html`${plots(dots, {
    id,
    title,
    about: `${ABOUT} The numbered runs on the line are those that no other of their trace beats in both.`,
    front: kept.map(({ hash }) => dots[runAt.get(hash)!]!),
    table: html`<div class="summary">${
      runs.length <= MOST_ROWS
        ? table(title, columns, runs.map(rowOf))
        : longTable(
            title,
            columns,
            runs.map((run) => rowOf(run).cells),
            `${whole(runs.length)} rows, which a script makes; without scripts: what iommulator sweep gather wrote has all numbers.`,
          )
    }</div>`,
  })}
${table('Runs that no other of their trace beats in cost and in exposure, the cheapest first', columns, kept.map(rowOf))}`;
}

/** Words of the front by the place of the first run that they are of: runs that cost and expose the same share one. */
function notesOf(kept: readonly GatheredRow[]): Map<number, string> {
  const said = kept.map((run) =>
    [run.trace, duration(run['cost.added_per_page_ns']), exposureText(exposed(run))].join(),
  );
  const notes = new Map<number, string>();
  for (const [i, text] of said.entries()) {
    const first = said.indexOf(text) + 1;
    notes.set(first, first === i + 1 ? String(first) : `${first}-${i + 1}`);
  }
  return notes;
}

function exposed(run: GatheredRow): number {
  const [count, sum] = [run['safety.exposed_ns.count'], run['safety.exposed_ns.sum']];
  return exposureOf(run['safety.verdict'], { count, sum });
}

/**
 * Over the setting with the most values, numbers before names: where which policy is the cheapest, if there is a second
 * setting, and curves of cost; a plot for each combination of the others.
 */
function curvePart(
  id: string,
  rows: readonly GatheredRow[],
  axes: ReadonlyMap<string, readonly AxisValue[]>,
  varying: readonly string[],
  runAt: ReadonlyMap<string, number>,
): Markup {
  const numeric = (axis: string): boolean => axes.get(axis)!.every((value) => typeof value === 'number');
  const [axis, second] = varying
    .filter((one) => !['trace', 'machine', 'policy', 'seed'].includes(one))
    .sort((a, b) => Number(numeric(b)) - Number(numeric(a)) || axes.get(b)!.length - axes.get(a)!.length);
  if (axis === undefined) return html``;
  const inOrder = (one: string): AxisValue[] =>
    numeric(one) ? [...axes.get(one)!].sort((a, b) => Number(a) - Number(b)) : [...axes.get(one)!];
  const values = inOrder(axis);
  const others = varying.filter((one) => one !== axis && one !== 'policy');
  const titleOf = (row: GatheredRow, parts: readonly string[]): string =>
    parts.map((one) => `${isFixed(one) ? '' : `${brief(one, varying)} `}${row[one]}`).join(', ') || row.trace;
  const place = ({ at }: CurvePoint): number => values.indexOf(at);
  const columns = [...grouped(rows, (row) => titleOf(row, others))].map(([title, mine]): Column => {
    const curves = [...grouped(mine, ({ policy }) => policy)].map(([name, runs]) => ({
      name,
      points: runs
        .map((row) => ({
          at: row[axis]!,
          cost: row['cost.added_per_page_ns'],
          safe: row['safety.verdict'] === 'safe',
          run: runAt.get(row.hash)!,
        }))
        .sort((a, b) => place(a) - place(b)),
    }));
    const group = titleOf(
      mine[0]!,
      others.filter((one) => one !== second),
    );
    return { title, group, across: second === undefined ? '' : mine[0]![second]!, curves };
  });
  const shared = { axis: brief(axis, varying), values, policies: axes.get('policy')!.map(String) };
  const map =
    second === undefined || shared.policies.length < 2
      ? ''
      : areas({ id: `${id}-areas`, ...shared, second: brief(second, varying), seconds: inOrder(second), columns });
  return html`${map}${curves({ id: `${id}-curves`, ...shared, panels: columns })}`;
}

/** The last word of an axis, `queue_size` of `policy.dma.queue_size`, where no other axis ends in the same. */
function brief(axis: string, axes: readonly string[]): string {
  const last = axis.slice(axis.lastIndexOf('.') + 1);
  return axes.some((other) => other !== axis && other.endsWith(last)) ? axis : last;
}

function isFixed(axis: string): boolean {
  return axis === 'trace' || axis === 'machine';
}

/** Rows by what they have in common, in their order. */
function grouped(rows: readonly GatheredRow[], common: (row: GatheredRow) => string): Map<string, GatheredRow[]> {
  const groups = new Map<string, GatheredRow[]>();
  for (const row of rows) {
    const group = groups.get(common(row));
    if (group === undefined) groups.set(common(row), [row]);
    else group.push(row);
  }
  return groups;
}
