import { exposureOf } from '../../model/front.ts';
import { type ComparisonResult, pagesOf, type RunResult } from '../../model/result.ts';
import { count } from '../grid.ts';
import { GROUPS, MEANING } from '../sentences.ts';
import { bars, type Label } from './bars.ts';
import { costTable, uncertaintyPart } from './costs.ts';
import { html, type Markup } from './markup.ts';
import { duration, short, whole } from './number.ts';
import { ranges } from './ranges.ts';
import { scatter } from './scatter.ts';
import { table } from './table.ts';

/** Parts of what a policy adds: those of the first screen, and what they leave out. */
const PARTS: readonly (readonly [name: string, causes: readonly string[]])[] = [
  ...GROUPS,
  ['CPU flushes', ['cpu_flush', 'ipi', 'interrupted']],
];
const REST = 'other steps';

/** Commands that go to the secondary MMU; the other counters stand in the table below. */
const COMMANDS = ['iotlb_page', 'iotlb_range', 'iotlb_pasid', 'iotlb_domain', 'iotlb_global', 'device_tlb', 'wait'];

/** One comparison: `id` begins the ids of all its parts. */
export function comparisonPart(id: string, result: ComparisonResult): Markup {
  const { trace, runs, skipped } = result;
  const labels = runs.map(({ machine, policy }, index): Label => ({ index, machine, policy }));
  return html`<section id="${id}" aria-labelledby="${id}-title" data-filtered="">
<h2 id="${id}-title"><bdi>${trace.file}</bdi></h2>
${facts(result)}
${runs.length === 0 ? html`<p>No run: every pair was left out.</p>` : charts(id, result, labels)}
${skipped.length === 0 ? '' : html`<h3>Left out</h3><ul>${skipped.map(({ policy, machine, why }) => html`<li><bdi>${policy}</bdi> on <bdi>${machine}</bdi>: ${why}</li>`)}</ul>`}
<h3>How to get this again</h3>
<p>With iommulator ${result.tool.version}, model ${result.model}, and the trace whose SHA-256 is <code>${trace.sha256}</code>:</p>
<pre tabindex="0" aria-label="Commands that give this again"><code>${result.again}
${runs.map(({ repro }) => `${repro}\n`)}</code></pre>
${costTable(id, result)}
</section>`;
}

function facts({ trace, runs }: ComparisonResult): Markup {
  const agents = trace.agents === 1 ? '1 agent' : `${whole(trace.agents)} agents`;
  const what =
    trace.maps > 0
      ? [
          [trace.dma, 'device accesses'],
          [trace.maps, 'mappings'],
          [trace.unmaps, 'unmaps'],
        ]
      : [
          [trace.accesses, 'accesses'],
          [trace.mm_ops, 'address-space changes'],
        ];
  const counts = (what as [number, string][]).map(([number, name]) => `${whole(number)} ${name}`).join(', ');
  const rows: [string, string][] = [['recorded', `${counts}, by ${agents}`]];
  rows.push(...trace.added.map((text): [string, string] => ['added', text]));
  if (trace.rejected > 0) rows.push(['rejected', `${whole(trace.rejected)} lines of the recording`]);
  const verdicts = (['safe', 'exposed', 'unsafe'] as const).filter((verdict) =>
    runs.some(({ safety }) => safety.verdict === verdict),
  );
  return html`<dl class="facts">${rows.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>\n`)}
${verdicts.map((verdict) => html`<dt class="${verdict}">${verdict}</dt><dd>${MEANING[verdict]}</dd>\n`)}</dl>
${trace.inferred.length === 0 ? '' : html`<details><summary>What the importer had to assume</summary><ul>${trace.inferred.map((text) => html`<li>${text}</li>`)}</ul></details>`}`;
}

function charts(id: string, result: ComparisonResult, labels: readonly Label[]): Markup {
  const { runs } = result;
  const rowsOf = <T>(row: (run: RunResult) => T) => runs.map((run, i) => ({ label: labels[i]!, ...row(run) }));
  return html`${summary(runs, labels)}
${bars({
  id: `${id}-cost`,
  title: 'What the added time is made of',
  about:
    'Work beyond the ideal run, per page that lost its translation. What lies left of 0 is less than in the ideal run.',
  unit: 'us per page',
  parts: [...PARTS.map(([name]) => name), REST],
  rows: rowsOf(addedParts),
  text: short,
})}
${scatter(
  `${id}-scatter`,
  rowsOf(({ cost, safety }) => ({
    added: cost.added_per_page_ns,
    exposed: exposureOf(safety.verdict, safety.exposed_ns),
    verdict: safety.verdict,
  })),
)}
${ranges({
  id: `${id}-hold`,
  title: 'How long a page-table lock was held',
  about: 'Half of all times were at most p50, 99 of 100 at most p99. Logarithmic axis.',
  points: ['p50', 'p99', 'max'],
  counted: 'times held',
  rows: rowsOf(({ cost: { lock_hold_ns: held } }) => ({ values: [held.p50, held.p99, held.max], count: held.count })),
})}
${ranges({
  id: `${id}-window`,
  title: 'How long a page had a stale entry',
  about: 'From the change of the page-table entry until the last old copy was gone. Logarithmic axis.',
  points: ['p50', 'p99', 'max'],
  counted: 'windows',
  rows: rowsOf(({ safety: { window_ns: open } }) => ({ values: [open.p50, open.p99, open.max], count: open.count })),
})}
${bars({
  id: `${id}-commands`,
  title: 'Invalidations by kind',
  about: 'Commands to the secondary MMU: of the IOTLB by granularity, of device TLBs, and waits for completion.',
  unit: 'commands',
  parts: COMMANDS,
  rows: rowsOf(({ cost }) => {
    const values = COMMANDS.map((kind) => cost.invalidations[kind] ?? 0);
    return { values, total: values.reduce((sum, value) => sum + value, 0) };
  }),
  text: whole,
})}
${details(runs, labels)}
${uncertaintyPart(id, result, labels)}`;
}

function addedParts({ cost }: RunResult): { values: number[]; total: number } {
  const perPage = (ns: number): number => (pagesOf(cost) === 0 ? 0 : ns / pagesOf(cost) / 1000);
  const causes = Object.entries(cost.added_by_cause);
  const parts = PARTS.map(([, names]) =>
    causes.reduce((sum, [cause, ns]) => sum + (names.includes(cause) ? ns : 0), 0),
  );
  const total = causes.reduce((sum, [, ns]) => sum + ns, 0);
  const rest = total - parts.reduce((sum, ns) => sum + ns, 0);
  return { values: [...parts, Math.abs(rest) < 1e-3 ? 0 : rest].map(perPage), total: perPage(total) };
}

function summary(runs: readonly RunResult[], labels: readonly Label[]): Markup {
  const number = (title: string) => ({ title, kind: 'number' as const });
  return html`<div class="summary">${table(
    'Cost and safety of each policy. The first policy of a machine is its baseline.',
    [
      { title: 'machine', kind: 'name' },
      { title: 'policy', kind: 'name' },
      { title: 'verdict' },
      number('added per page'),
      number('all work, x baseline'),
      number('invalidations per page'),
      number('lock held p99'),
      number('others waited'),
      number('stale entries used'),
      number('open p99'),
      { title: 'broken' },
    ],
    runs.map(({ machine, policy, cost, safety }, i) => ({
      run: labels[i]!.index,
      cells: [
        machine,
        policy,
        { text: html`<span class="${safety.verdict}">${safety.verdict}</span>` },
        time(cost.added_per_page_ns),
        { text: cost.vs_baseline.toFixed(3), value: cost.vs_baseline },
        { text: cost.invalidations_per_page.toFixed(2), value: cost.invalidations_per_page },
        time(cost.lock_hold_ns.p99),
        time(cost.lock_wait_ns),
        { text: whole(safety.stale_uses), value: safety.stale_uses },
        time(safety.window_ns.p99),
        broken(safety),
      ],
    })),
  )}</div>
${firstBroken(runs)}`;
}

function time(ns: number): { text: string; value: number } {
  return { text: duration(ns), value: ns };
}

function broken({ violations }: RunResult['safety']): string {
  const which = Object.entries(violations).filter(([name, n]) => n > 0 && !name.includes('_'));
  return which.length === 0 ? '-' : which.map(([name, n]) => `${name} ${count(n)} x`).join(', ');
}

/** Where each unsafe run went wrong first. */
function firstBroken(runs: readonly RunResult[]): Markup {
  const lines = runs.flatMap(({ machine, policy, safety: { first } }) =>
    first === null
      ? []
      : [
          html`<li><bdi>${policy}</bdi> on <bdi>${machine}</bdi>: ${first.property}, page ${first.page}, changed at ${duration(first.change_at_ns)}, used by <bdi>${first.agent}</bdi> at ${duration(first.at_ns)}, record ${whole(first.use_record)}</li>`,
        ],
  );
  return lines.length === 0
    ? html``
    : html`<details><summary>The first use that broke a property, run by run</summary><ul>${lines}</ul></details>`;
}

/** Every counter of a kind, and every cause, as numbers only. */
function details(runs: readonly RunResult[], labels: readonly Label[]): Markup {
  const wide = (
    title: string,
    values: (run: RunResult) => Readonly<Record<string, number>>,
    text: (n: number) => string,
  ) => {
    const names = [...new Set(runs.flatMap((run) => Object.keys(values(run))))];
    const columns = [
      { title: 'machine', kind: 'name' as const },
      { title: 'policy', kind: 'name' as const },
      ...names.map((name) => ({ title: name, kind: 'number' as const })),
    ];
    const rows = runs.map((run, i) => ({
      run: labels[i]!.index,
      cells: [
        run.machine,
        run.policy,
        ...names.map((name) => {
          const value = values(run)[name];
          return value === undefined ? '-' : { text: text(value), value };
        }),
      ],
    }));
    return html`<details><summary>${title}</summary>${table(title, columns, rows)}</details>`;
  };
  return html`${wide('Every counter of invalidations', ({ cost }) => cost.invalidations, whole)}
${wide('Added time by cause, whole run', ({ cost }) => cost.added_by_cause, duration)}
${wide(
  'Added time by kernel path, whole run',
  ({ cost }) => Object.fromEntries(Object.entries(cost.paths).map(([path, { added_ns }]) => [path, added_ns])),
  duration,
)}`;
}
