import { UsageError } from '../model/errors.ts';
import { MAX_SCHEDULE_ENTRIES } from '../model/limits.ts';
import { quote } from '../model/near.ts';

/** A schedule as text: `ENTRIES:agent*times,agent,...`, entries being those of each TLB. */
export interface Schedule {
  readonly entries: number;
  readonly agents: readonly string[];
}

/** Steps of one schedule at most. */
const MAX_STEPS = 1000;

/** The text of a schedule. */
export function scheduleText({ entries, agents }: Schedule): string {
  const runs: { agent: string; times: number }[] = [];
  for (const agent of agents) {
    const last = runs.at(-1);
    if (last?.agent === agent) last.times++;
    else runs.push({ agent, times: 1 });
  }
  const words = runs.map(({ agent, times }) => (times === 1 ? agent : `${agent}*${times}`));
  return `${entries}:${words.join(',')}`;
}

/** The schedule of a text. */
export function parseSchedule(text: string): Schedule {
  const match = /^(\d{1,2}):(.+)$/.exec(text);
  const entries = Number(match?.[1]);
  if (match === null || entries < 1 || entries > MAX_SCHEDULE_ENTRIES)
    throw new UsageError(`--replay is ${quote(text)}, expected ENTRIES:AGENT*TIMES,AGENT,.. as explore prints it`);
  const agents: string[] = [];
  for (const word of match[2]!.split(',')) {
    const parts = /^([a-z]+\d?)(?:\*(\d{1,4}))?$/.exec(word);
    if (parts === null) throw new UsageError(`--replay: ${quote(word)}, expected an agent, or AGENT*TIMES`);
    for (let i = 0; i < Number(parts[2] ?? 1); i++) agents.push(parts[1]!);
    if (agents.length > MAX_STEPS) throw new UsageError(`--replay: more than ${MAX_STEPS} steps`);
  }
  return { entries, agents };
}
