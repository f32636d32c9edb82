import { scaleLinear, scalePoint } from 'd3-scale';
import { line } from 'd3-shape';
import { commitsOf, type HistoryRecord, MAIN_FIGURES, type Series, seriesOf } from '../../model/history.ts';
import { html, type Markup } from './markup.ts';
import { short, whole } from './number.ts';
import { figure, fixed, shorten, WIDTH, word } from './svg.ts';
import { table } from './table.ts';

/** Rows that are drawn; the table has all. */
const MOST_ROWS = 60;
const LEFT = 370;
const RIGHT = 90;
const ROW = 30;

/** The main figures of a history over its commits. `id` begins the ids of its parts. */
export function historyPart(id: string, records: readonly HistoryRecord[]): Markup {
  const commits = commitsOf(records);
  const all = seriesOf(records, MAIN_FIGURES);
  const changed = all.filter(({ points }) => points.some(({ value }) => value !== points[0]!.value));
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">History</h2>
<p>${whole(records.length)} records of ${whole(commits.length)} commits, ${commits[0]!.slice(0, 12)} to ${commits.at(-1)!.slice(0, 12)}. ${whole(changed.length)} of ${whole(all.length)} figures changed.</p>
${chart(`${id}-figures`, changed, all, commits)}
</section>`;
}

/** A line for each figure that changed; it is broken where the model changed, since its numbers cannot be compared. */
function chart(id: string, changed: readonly Series[], all: readonly Series[], commits: readonly string[]): Markup {
  const x = scalePoint(commits, [LEFT, WIDTH - RIGHT]);
  const rows = changed.slice(0, MOST_ROWS);
  const title = 'Figures over commits';
  const content = rows.map(({ subject, figure, points }, i) => {
    const top = i * ROW;
    const values = points.map(({ value }) => value);
    const y = scaleLinear([Math.min(...values), Math.max(...values)], [top + ROW - 6, top + 6]);
    const path = line<Series['points'][number]>(
      ({ commit }) => x(commit) ?? LEFT,
      ({ value }) => y(value),
    ).digits(1);
    const models = [...new Set(points.map(({ model }) => model))];
    const drawn = models.map((model) => {
      const mine = points.filter((point) => point.model === model);
      const [first] = mine;
      const note =
        model === models[0] ? '' : word((x(first!.commit) ?? LEFT) - 7, top + 10, `model ${model}`, 'end', 'tick');
      return html`<path class="curve l0" d="${path(mine) ?? ''}"/>${note}`;
    });
    const marks = points.map(
      ({ commit, value, model }) =>
        html`<g class="mark"><title>${subject}, ${figure} at ${commit.slice(0, 12)}: ${short(value)}${model === null ? '' : `, model ${model}`}</title><circle class="s0" cx="${fixed(x(commit) ?? LEFT)}" cy="${fixed(y(value))}" r="3.5"/></g>`,
    );
    return html`${word(0, top + 13, shorten(subject, LEFT - 12))}${word(0, top + 26, figure, 'start', 'tick')}${drawn}${marks}${word(WIDTH, top + 19, short(values.at(-1)!), 'end', 'value')}\n`;
  });
  const left = changed.length - rows.length;
  const numbers = table(
    title,
    [
      { title: 'subject', kind: 'name' },
      { title: 'figure', kind: 'name' },
      { title: 'verdict' },
      ...['commits', 'first', 'last'].map((name) => ({ title: name, kind: 'number' as const })),
      { title: 'models' },
    ],
    all.map(({ subject, figure, verdict, points }) => ({
      cells: [
        subject,
        figure,
        verdict ?? '-',
        ...[points.length, points[0]!.value, points.at(-1)!.value].map((value) => ({ text: short(value), value })),
        [...new Set(points.map(({ model }) => model ?? '-'))].join(', '),
      ],
    })),
  );
  if (rows.length === 0) return html`<details><summary>Numbers of: ${title}</summary>${numbers}</details>`;
  return figure({
    id,
    title,
    about: `One line for each figure that changed, the first commit on the left, each with a scale of its own; on the right its last value. A line ends where the model changed.${left === 0 ? '' : ` ${left} more are left out; the table has them.`}`,
    height: rows.length * ROW + 4,
    content,
    table: numbers,
  });
}
