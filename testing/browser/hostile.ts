import type { ExplorationResult } from '../../src/model/exploration.ts';
import type { ComparisonResult } from '../../src/model/result.ts';

/** Names that break out of HTML where it is put together carelessly; each would set `window.broken`. */
export const HOSTILE: readonly string[] = [
  '<img src=x onerror="window.broken=1">',
  '"><script>window.broken=1</script>',
  "' onpointermove='window.broken=1' x='",
  '</script><script>window.broken=1</script>',
  '</style><style>*{display:none}</style>',
  '</title><svg onload="window.broken=1">',
  'javascript:window.broken=1',
  '&lt;b&gt; \u202edesrever\u202c \u0000 \u001b[31m',
  '__proto__',
];

/** The same comparison, in which every text that comes from a trace, a policy or a machine is hostile. */
export function hostileComparison(result: ComparisonResult): ComparisonResult {
  const name = (i: number): string => HOSTILE[i % HOSTILE.length]!;
  const renamed = <T>(table: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(table).map(([key, value], i) => [i === 0 ? name(i) : key, value]));
  return {
    ...result,
    tool: { ...result.tool, version: name(0) },
    trace: { ...result.trace, file: name(3), added: HOSTILE, inferred: HOSTILE },
    again: name(1),
    costs: renamed(result.costs),
    skipped: HOSTILE.map((text) => ({ policy: text, machine: text, why: text })),
    runs: result.runs.map((run, i) => ({
      ...run,
      policy: name(i),
      machine: name(Math.floor(i / 3)),
      repro: name(i),
      cost: {
        ...run.cost,
        assumed_costs: HOSTILE,
        invalidations: renamed(run.cost.invalidations),
        paths: renamed(run.cost.paths),
      },
      safety: {
        ...run.safety,
        first: { property: name(1), page: name(2), change_at_ns: 1, use_record: 1, agent: name(0), at_ns: 1 },
      },
    })),
  };
}

/** The same exploration with such texts. */
export function hostileExploration(result: ExplorationResult): ExplorationResult {
  return {
    ...result,
    races: result.races.map((one, i) => ({
      ...one,
      race: HOSTILE[i % 4]!,
      about: HOSTILE.join(' '),
      policy: HOSTILE[i % HOSTILE.length]!,
      machine: HOSTILE[(i + 1) % HOSTILE.length]!,
      settings: [HOSTILE[2]!],
      property: one.property === null ? null : HOSTILE[0]!,
      schedule: HOSTILE[1]!,
      steps: one.steps.map((step, j) => ({
        agent: HOSTILE[j % 3]!,
        action: HOSTILE[j % HOSTILE.length]!,
        stale: Object.fromEntries(Object.values(step.stale).map((mark, k) => [HOSTILE[k]!, mark])),
      })),
    })),
  };
}
