/** A history in the formats of other tools, and findings as JUnit XML. */
import type { Finding } from '../model/gates.ts';
import { figureOf, type HistoryRecord, type HostRecord, medianOf, type RunRecord } from '../model/history.ts';
import { renderJson } from './json.ts';

/** Formats that figures are exported in: github-action-benchmark by direction, Bencher, Go benchmark text. */
export const EXPORTS = ['github-smaller', 'github-bigger', 'bencher', 'go'] as const;

/** The figures of records in one of them. */
export function exportText(
  as: (typeof EXPORTS)[number],
  records: readonly HistoryRecord[],
  figures: readonly string[],
): string {
  if (as === 'go') return goText(records, figures);
  if (as === 'bencher') return renderJson(bencherJson(records, figures));
  return renderJson(githubJson(records, figures, as === 'github-bigger' ? 'larger' : 'smaller'));
}

/** The name that a record is exported by: `sqlite/amd-v2/range-end`. */
function nameOf(record: HistoryRecord): string {
  if (record.kind === 'host') return record.name;
  const { trace, machine, policy, seed, options } = record;
  const words = [trace.file.replace(/\.trace$/, ''), machine, policy, ...(seed === 1 ? [] : [`seed=${seed}`])];
  return [...words, ...(options === '' ? [] : [options])].join('/');
}

/** Unit of a figure by its key. */
function unitOf(figure: string): string {
  return figure.includes('_ns') ? 'ns' : figure.endsWith('per_page') ? '1/page' : 'count';
}

const runsOf = (records: readonly HistoryRecord[]): RunRecord[] => records.filter((one) => one.kind === 'run');
const hostsOf = (records: readonly HistoryRecord[]): HostRecord[] => records.filter((one) => one.kind === 'host');

/**
 * Entries of github-action-benchmark's customSmallerIsBetter and customBiggerIsBetter; a file is of one direction.
 * Source: benchmark-action/github-action-benchmark, README and src/extract.ts.
 */
export function githubJson(
  records: readonly HistoryRecord[],
  figures: readonly string[],
  better: HostRecord['better'],
) {
  const runs = better === 'larger' ? [] : runsOf(records);
  const simulated = runs.flatMap((run) =>
    figures.map((figure) => ({
      name: `${nameOf(run)} ${figure}`,
      unit: unitOf(figure),
      value: figureOf(run, figure),
      extra: `model=${run.model}\nseed=${run.seed}\ntrace=sha256:${run.trace.sha256}\nverdict=${run.verdict}`,
    })),
  );
  const measured = hostsOf(records).flatMap(({ name, unit, samples, host, better: way }) => {
    if (way !== better) return [];
    const half = (Math.max(...samples) - Math.min(...samples)) / 2;
    const extra = `samples=${samples.length}\nhost=${host}`;
    return [{ name, unit, value: medianOf(samples), range: `± ${Number(half.toPrecision(3))}`, extra }];
  });
  return [...simulated, ...measured];
}

/** Bencher Metric Format: benchmark, measure, value. Source: bencher.dev, bmf.json; a measure is a slug. */
export function bencherJson(records: readonly HistoryRecord[], figures: readonly string[]) {
  const slug = (text: string): string =>
    text
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-|-$/g, '');
  const runs = runsOf(records).map((run) => {
    const measures = figures.map((figure) => [slug(figure), { value: figureOf(run, figure) }] as const);
    return [nameOf(run), Object.fromEntries(measures)] as const;
  });
  const hosts = hostsOf(records).map(({ name, unit, samples }) => {
    const ends = { lower_value: Math.min(...samples), upper_value: Math.max(...samples) };
    return [name, { [slug(unit)]: { value: medianOf(samples), ...ends } }] as const;
  });
  return Object.fromEntries([...runs, ...hosts]);
}

/**
 * Go's benchmark text, as benchstat reads it: a line a run with all its figures, a line a sample of host times.
 * Source: golang.org/design/14313-benchmark-format; `Unit` lines: golang.org/x/perf/benchfmt.
 */
export function goText(records: readonly HistoryRecord[], figures: readonly string[]): string {
  const word = (text: string): string => text.replace(/[^\w.=/+-]+/g, '_');
  const runs = runsOf(records);
  const hosts = hostsOf(records);
  const ways = { smaller: 'lower', larger: 'higher' } as const;
  const head = [
    ...records.map(({ commit }) => `commit: ${commit}`),
    ...records.map(({ tool }) => `tool: iommulator ${tool}`),
    ...runs.map(({ model }) => `model: ${model}`),
    ...(runs.length === 0 ? [] : figures.map((figure) => `Unit ${word(figure)} better=lower assume=exact`)),
    ...hosts.map(({ unit, better }) => `Unit ${word(unit)} better=${ways[better]}`),
  ];
  const simulated = runs.map((run) => {
    const trace = run.trace.file.replace(/\.trace$/, '');
    const rest = `${run.seed === 1 ? '' : `/seed=${run.seed}`}${run.options === '' ? '' : `/options=${run.options}`}`;
    const name = word(`trace=${trace}/machine=${run.machine}/policy=${run.policy}${rest}`);
    return `BenchmarkRun/${name}\t1\t${figures.map((figure) => `${figureOf(run, figure)} ${word(figure)}`).join('\t')}`;
  });
  const measured = hosts.flatMap(({ name, unit, samples }) =>
    samples.map((sample) => `BenchmarkHost/${word(name)}\t1\t${sample} ${word(unit)}`),
  );
  return `${[...new Set(head), '', ...simulated, ...measured].join('\n')}\n`;
}

/**
 * Findings as JUnit XML, a test case a rule: what fails is a failure, what cannot be judged is skipped. Source:
 * github.com/testmoapp/junitxml; on the outermost element the schema of Jenkins (xunit-plugin, junit-10.xsd) has no
 * attribute `skipped`.
 */
export function junitXml(findings: readonly Finding[], properties: Readonly<Record<string, string>>): string {
  const of = (value: boolean | null): number => findings.filter(({ holds }) => holds === value).length;
  const totals = `tests="${findings.length}" failures="${of(false)}" errors="0"`;
  const cases = findings.flatMap(({ subject, rule, holds, message }) => {
    const open = `    <testcase classname="${xml(subject)}" name="${rule}" time="0"`;
    if (holds === true) return [`${open}/>`];
    const text = xml(message);
    const failure = `<failure message="${text}" type="${rule}">${text}</failure>`;
    return [`${open}>`, `      ${holds === null ? `<skipped message="${text}"/>` : failure}`, '    </testcase>'];
  });
  const given = Object.entries(properties).map(
    ([name, value]) => `      <property name="${xml(name)}" value="${xml(value)}"/>`,
  );
  return `${[
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${totals} time="0">`,
    `  <testsuite name="iommulator track check" ${totals} skipped="${of(null)}" time="0">`,
    ...['    <properties>', ...given, '    </properties>'],
    ...cases,
    ...['  </testsuite>', '</testsuites>'],
  ].join('\n')}\n`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
};

/** Text inside an element or an attribute; characters that XML cannot hold are replaced. */
function xml(text: string): string {
  return text.replace(/[&<>"\n]/g, (char) => ENTITIES[char]!).replace(/\p{Cc}|\p{Cs}|[\ufffe\uffff]/gu, '\ufffd');
}
