import { type Exploration, type ExplorationResult, replayCommand, type StaleMark } from '../../model/exploration.ts';
import { html, type Markup } from './markup.ts';
import { whole } from './number.ts';
import { table } from './table.ts';

/** The verdict of a cell, with a sign that tells it without its colour. */
const SIGNS = { holds: '✓', broken: '✗', bounded: '?' } as const;

/** Signs in the column of a page. */
const STALE: Readonly<Record<StaleMark, readonly [sign: string, words: string]>> = {
  open: ['│', 'stale copies can be used'],
  due: ['!', 'and must not be any more'],
  used: ['✗', 'one was used'],
};

/** The matrix of an exploration, and every counterexample drawn. */
export function explorationPart(id: string, { races, tool, model }: ExplorationResult): Markup {
  const policies = [...new Set(races.map(({ policy }) => policy))];
  const all = races.map((one, i) => ({ one, i }));
  const keys = [...new Set(races.map(({ race, machine }) => JSON.stringify([race, machine])))];
  const rows = keys.map((key) => all.filter(({ one }) => JSON.stringify([one.race, one.machine]) === key));
  const states = races.reduce((sum, one) => sum + one.states, 0);
  const broken = all.filter(({ one }) => one.verdict === 'broken');
  return html`<section id="${id}" aria-labelledby="${id}-title">
<h2 id="${id}-title">Every order of the steps</h2>
<p>${whole(states)} states of ${whole(races.length)} explorations (iommulator ${tool.version}, model ${model}).</p>
<dl class="facts">
<dt class="safe">✓ holds</dt><dd>in every order of the steps, within the bounds of the exploration</dd>
<dt class="unsafe">✗ S2 in N</dt><dd>that property breaks; a shortest schedule that does it has N steps, and is drawn below</dd>
<dt class="exposed">? bounded</dt><dd>there were more states than are kept: nothing is said</dd>
</dl>
${table(
  'Does a property break in any order?',
  [{ title: 'race', kind: 'name' }, { title: 'machine', kind: 'name' }, ...policies.map((title) => ({ title }))],
  rows.map((row) => ({
    cells: [
      row[0]!.one.race,
      row[0]!.one.machine,
      ...policies.map((policy) => {
        const found = row.find(({ one }) => one.policy === policy);
        return found === undefined ? '' : { text: verdict(found.one, `${id}-${found.i}`) };
      }),
    ],
  })),
)}
${broken.map(({ one, i }) => counterexample(`${id}-${i}`, one))}
</section>`;
}

const CLASSES = { holds: 'safe', broken: 'unsafe', bounded: 'exposed' } as const;

function verdict({ verdict, property, steps }: Exploration, id: string): Markup {
  const text = verdict === 'broken' ? `${property} in ${steps.length}` : verdict;
  const word = html`<span class="${CLASSES[verdict]}">${SIGNS[verdict]} ${text}</span>`;
  return verdict === 'broken' ? html`<a href="#${id}">${word}</a>` : word;
}

/** Time down, a column per agent, and one per page that has stale copies meanwhile. */
function counterexample(id: string, one: Exploration): Markup {
  const { race, about, policy, machine, property, steps } = one;
  const agents = [...new Set(steps.map(({ agent }) => agent))];
  const pages = [...new Set(steps.flatMap(({ stale }) => Object.keys(stale)))];
  const name = `${race} under ${policy} on ${machine}`;
  return html`<details id="${id}" class="schedule"><summary><bdi>${name}</bdi>: ${property} breaks in step ${steps.length}</summary>
<p>${about}</p>
<div class="scroll" tabindex="0" role="group" aria-label="Schedule: ${name}"><table>
<caption>${name}: time runs down</caption>
<thead><tr><th scope="col">step</th>${agents.map((agent) => html`<th scope="col"><bdi>${agent}</bdi></th>`)}${pages.map((page) => html`<th scope="col">stale <bdi>${page}</bdi></th>`)}</tr></thead>
<tbody>${steps.map(
    ({ agent, action, stale }, i) =>
      html`<tr><th scope="row">${i + 1}</th>${agents.map((column) => (column === agent ? html`<td class="step">${action}</td>` : html`<td></td>`))}${pages.map((page) => mark(Object.hasOwn(stale, page) ? stale[page] : undefined))}</tr>\n`,
  )}</tbody>
</table></div>
<p class="key">${Object.values(STALE).map(([sign, words]) => html`<span><b>${sign}</b> ${words}</span> `)}</p>
<pre tabindex="0" aria-label="Command that replays it"><code>${replayCommand(one)}</code></pre>
</details>`;
}

function mark(stale: StaleMark | undefined): Markup {
  if (stale === undefined) return html`<td></td>`;
  const [sign, words] = STALE[stale];
  return html`<td class="stale ${stale}"><span aria-hidden="true">${sign}</span><span class="spoken">${words}</span></td>`;
}
