import type { CostKey, Costs } from '../model/cost.ts';
import type { RunResult } from '../model/result.ts';
import type { ComparisonView } from './compare.ts';
import { consumerSentences, deviceSentences } from './consumers.ts';
import { count } from './grid.ts';
import { uncertaintySentences } from './uncertainty.ts';

/** Groups of causes, in the words of the report. */
export const GROUPS: readonly (readonly [word: string, causes: readonly string[]])[] = [
  ['queue', ['submit', 'wait', 'queue_wait', 'defer', 'activate', 'notifier']],
  ['hypervisor', ['exit']],
  ['waiters', ['lock_wait', 'frame_wait']],
  ['allocator', ['iova', 'flush_queue']],
  ['refills', ['l2', 'walk', 'translation', 'device_walk', 'page_request', 'fault']],
];

/** Invalidations whose price is assumed, by the counter that says how often it was paid. */
const PAID: readonly (readonly [key: CostKey, name: string, times: (run: RunResult) => number])[] = [
  ['device_tlb.inv', 'device-TLB invalidation', (run) => run.cost.invalidations.device_tlb!],
  ['amd.wait', 'AMD completion wait', (run) => run.cost.invalidations.wait!],
  ['qi.wait', 'queued-invalidation wait', (run) => run.cost.invalidations.wait!],
  ['amd.submit', 'AMD command submission', (run) => run.cost.invalidations.wait!],
  ['qi.submit', 'queued-invalidation submission', (run) => run.cost.invalidations.wait!],
  ['device.page_request', 'I/O page request', (run) => run.cost.page_requests],
  ['fault.minor', 'minor fault', (run) => run.cost.faults],
];

/** Causes of the invalidation queue: their prices are the ones in doubt. */
const QUEUE = ['submit', 'wait'];

/** The words under the table: what the numbers say, and how far they can be trusted. */
export function compareSentences(view: ComparisonView): string[] {
  const machines = [...new Set(view.results.map((run) => run.machine))];
  const unlike = view.results.filter(({ policy, machine }) => view.same[`${policy} on ${machine}`] === undefined);
  const lines = machines.flatMap((machine) => comparison(unlike.filter((run) => run.machine === machine)));
  for (const machine of machines) {
    const runs = view.results.filter((run) => run.machine === machine);
    lines.push(...deferral(runs), ...pageRequests(runs), ...queueErrors(runs));
  }
  for (const machine of view.machines) {
    const broken = view.results.some((run) => run.machine === machine.name && run.safety.verdict === 'unsafe');
    if (!broken || machine.driver.rangeCover === 'aligned') continue;
    lines.push(
      `${machine.name.padEnd(10)} its driver does not align ranges, so IOTLB entries survive every policy; without that:`,
    );
    lines.push('           --set machine.driver.range_cover=aligned');
  }
  lines.push(...consumerSentences(view.results), ...deviceSentences(view.results));
  lines.push(...verdicts(view.results), ...trust(view.results, view.costs));
  if (view.uncertainty) lines.push(...uncertaintySentences(view.uncertainty));
  lines.push(...repeat(view));
  return lines;
}

/** Of the first policy: what became of page requests, where they have a queue. */
function pageRequests([run]: readonly RunResult[]): string[] {
  if (run?.cost.pri === undefined) return [];
  const { groups, overflows, dropped, auto_answered } = run.cost.pri;
  const full = `the queue was full ${count(overflows)} times: ${count(dropped)} dropped, ${count(auto_answered)} groups answered by the IOMMU`;
  const lost = overflows + auto_answered > 0 ? `; ${full}` : '';
  return [
    `${run.machine.padEnd(10)} ${run.policy}: ${count(run.cost.page_requests)} page requests in ${count(groups)} groups${lost}`,
  ];
}

/** Of the first policy under which anything went wrong in the queue: what. */
function queueErrors(runs: readonly RunResult[]): string[] {
  const run = runs.find(({ cost }) => cost.invalidations.refused !== undefined);
  if (run === undefined) return [];
  const { refused = 0, aborted = 0, anew = 0, events = 0, strange = 0 } = run.cost.invalidations;
  const what = Object.entries({
    'commands refused': refused,
    'waits aborted': aborted,
    'submissions made anew': anew,
    'events logged': events,
    'answers to nothing': strange,
  }).filter(([, times]) => times > 0);
  const list = what.map(([name, times]) => `${count(times)} ${name}`).join(', ');
  return [`${run.machine.padEnd(10)} ${run.policy}, the queue: ${list}`];
}

/** The pair that the project exists to compare, or the first two policies of a machine. */
function comparison(runs: readonly RunResult[]): string[] {
  const [base, second] = runs;
  const other = runs.find((run) => run.policy === 'range-end') ?? second;
  if (base === undefined || other === undefined || other === base) return [];
  const added = base.cost.added_per_page_ns;
  const name = base.machine.padEnd(10);
  if (added <= 0) return [`${name} ${base.policy} adds nothing to the ideal run, so there is nothing to save`];
  const change = ((added - other.cost.added_per_page_ns) / added) * 100;
  const word = change >= 0 ? 'less' : 'more';
  const parts = addedByGroup(other, base).map(({ group, ns }) => `${group} ${points(ns / base.cost.overhead_ns)}`);
  return [
    `${name} ${other.policy} adds ${Math.abs(change).toFixed(0)} % ${word} than ${base.policy}`,
    `           saved of what ${base.policy} adds: ${parts.join(', ')}`,
  ];
}

/** A share of the baseline's added cost; below 0 it is not saved but paid. */
function points(share: number): string {
  return `${Math.round(share * 100) || 0} %`;
}

/** What `more` adds beyond `less`, in nanoseconds, in the groups of causes that such a run has. */
export function addedByGroup(less: RunResult, more: RunResult): { readonly group: string; readonly ns: number }[] {
  const [there, added] = [more.cost.added_by_cause, less.cost.added_by_cause];
  return GROUPS.filter(([, causes]) => causes.some((cause) => there[cause] !== undefined)).map(([group, causes]) => ({
    group,
    ns: causes.reduce((sum, cause) => sum + (there[cause] ?? 0) - (added[cause] ?? 0), 0),
  }));
}

function deferral(runs: readonly RunResult[]): string[] {
  const most = runs.reduce(
    (best, run) => (run.cost.invalidations.deferred! > best.cost.invalidations.deferred! ? run : best),
    runs[0]!,
  );
  const deferred = most.cost.invalidations.deferred!;
  if (deferred === 0) return [];
  const all = count(most.cost.invalidations.secondary!);
  return [
    `${most.machine.padEnd(10)} ${count(deferred)} of ${all} invalidations deferred (${most.policy}): the first of each idle period`,
  ];
}

/** What each verdict of a run means. */
export const MEANING = {
  safe: 'no stale entry outlived its page here; `used` is before an invalidation ended, as always',
  exposed: 'a device could have used a page no longer its own, and did not in this order of events',
  unsafe: 'a device used a page, or a permission, that was no longer its own',
} as const;

function verdicts(runs: readonly RunResult[]): string[] {
  const lines: string[] = [];
  for (const verdict of ['safe', 'exposed', 'unsafe'] as const) {
    const which = runs.filter((run) => run.safety.verdict === verdict);
    if (which.length === 0) continue;
    lines.push(`${verdict.padEnd(10)} ${MEANING[verdict]}`);
    if (verdict !== 'unsafe') continue;
    for (const run of which) {
      const broken = Object.entries(run.safety.violations).filter(([name, n]) => n > 0 && !name.includes('_'));
      const { first } = run.safety;
      const where = first ? `; first: page ${first.page}, record ${count(first.use_record)}` : '';
      lines.push(
        `           ${run.machine} ${run.policy}: ${broken.map(([name, n]) => `${name} ${count(n)} times`).join(', ')}${where}`,
      );
    }
  }
  lines.push('           one order of events; another order may show more');
  return lines;
}

function trust(runs: readonly RunResult[], costs: Costs): string[] {
  const assumed = new Set(runs.flatMap((run) => run.cost.assumed_costs));
  const dearest = PAID.filter(([key]) => assumed.has(key))
    .map(([key, name, times]) => ({
      key,
      name,
      sum: runs.reduce((sum, run) => sum + times(run) * costs[key].default, 0),
    }))
    .filter(({ sum }) => sum > 0)
    .sort((a, b) => b.sum - a.sum)
    .slice(0, 2);
  // A run that costs less than the ideal one has no shares to speak of.
  const dear = runs.filter((run) => run.cost.overhead_ns > 0);
  const share = dear.reduce(
    (sum, run) => sum + QUEUE.reduce((part, cause) => part + run.cost.added_by_cause[cause]!, 0),
    0,
  );
  const whole = dear.reduce((sum, run) => sum + run.cost.overhead_ns, 0);
  const lines = [`trust      ${assumed.size} of ${Object.keys(costs).length} costs were never measured in public`];
  if (whole > 0) {
    const part = Math.round((share / whole) * 100);
    lines.push(`           the queue's rest on few measurements, and make ${part} % of \`added\``);
  }
  if (dearest.length > 0) {
    const named = dearest.map(
      ({ key, name }) => `${name} ${costs[key].default} ns (${costs[key].low}..${costs[key].high})`,
    );
    lines.push(`           the largest: ${named.join(',\n                        ')}`);
  }
  return lines;
}

function repeat({ again, results, version, model, uncertainty }: ComparisonView): string[] {
  const example = results.find((run) => run.policy === 'range-end') ?? results[0]!;
  const draws = uncertainty ? ` --uncertainty ${uncertainty.draws}` : '';
  return [`again      ${again}${draws}   (${version}, model ${model})`, `one row    ${example.repro}`];
}
