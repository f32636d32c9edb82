/** What `track` holds against what: results and host times in files, and the commits of a history. */
import { existsSync } from 'node:fs';
import { readResult } from '../catalog/results.ts';
import { UsageError } from '../model/errors.ts';
import { priorOf } from '../model/gates.ts';
import { commitsOf, type HistoryRecord, recordsOf } from '../model/history.ts';
import { readHistory, readHostTimes } from './history.ts';

/** What is judged, and what it is held against. */
export interface TrackRequest {
  /** Path of the history. */
  readonly history: string;
  /** Files of compare or run, in JSON. */
  readonly results: readonly string[];
  /** Files of host times. */
  readonly host: readonly string[];
  /** A commit of the history, or another history; the last commit of each trace if not given. */
  readonly against?: string | undefined;
  /** Version of this tool. */
  readonly tool: string;
  /** Told what was found beside records: a torn last line. */
  readonly onNote?: (note: string) => void;
}

/** Two sides of a check. */
export interface Sides {
  readonly before: readonly HistoryRecord[];
  readonly now: readonly HistoryRecord[];
}

type Made = Pick<TrackRequest, 'results' | 'host' | 'tool'>;

/** Records of results and of host times, of one commit. */
export function makeRecords({ results, host, tool }: Made, commit: string): HistoryRecord[] {
  const runs = results.flatMap((path) => {
    const { kind, result } = readResult(path);
    if (kind !== 'comparison')
      throw new UsageError(
        `${path}: is ${kind === 'sweep' ? 'a sweep' : 'an exploration'}, expected a result of compare or run`,
      );
    return recordsOf(result, commit);
  });
  const times = host.flatMap(readHostTimes);
  return [...runs, ...times.map((one) => ({ ...one, format: 1, kind: 'host', commit, tool }) as const)];
}

/** The records of a history, at least one. */
export function openHistory(path: string, onNote: TrackRequest['onNote']): readonly HistoryRecord[] {
  if (!existsSync(path)) throw new UsageError(`${path}: no such file; \`track record\` makes it`);
  const { records, torn } = readHistory(path);
  if (torn > 0) onNote?.(`${path}: its last line is torn, ${torn} bytes are left out`);
  if (records.length === 0) throw new UsageError(`${path}: holds no record`);
  return records;
}

/** The results that are given, or else those of the last commit of the history. */
export function judgedOf(request: TrackRequest): readonly HistoryRecord[] {
  if (request.results.length > 0 || request.host.length > 0) return makeRecords(request, 'now');
  const records = openHistory(request.history, request.onNote);
  const last = commitsOf(records).at(-1);
  return records.filter(({ commit }) => commit === last);
}

/** Both sides of a check. */
export function sidesOf(request: TrackRequest): Sides {
  const { history, against, onNote } = request;
  const now = judgedOf(request);
  if (against !== undefined && existsSync(against)) return { before: openHistory(against, onNote), now };
  const records = openHistory(history, onNote);
  const others = records.filter(({ commit }) => commit !== now[0]?.commit);
  const before = against === undefined ? priorOf(others, now) : ofCommit(records, against);
  if (before.length === 0) throw new UsageError(`${history}: nothing was recorded that this can be held against`);
  return { before, now };
}

function ofCommit(records: readonly HistoryRecord[], against: string): HistoryRecord[] {
  const commits = commitsOf(records);
  const exact = commits.filter((commit) => commit === against);
  const [wanted, ...more] = exact.length > 0 ? exact : commits.filter((commit) => commit.startsWith(against));
  const last = `; the last ones are ${commits.slice(-3).join(', ')}`;
  if (wanted === undefined) throw new UsageError(`${against}: no such file, and no commit of the history${last}`);
  if (more.length > 0) throw new UsageError(`${against}: is the beginning of several commits${last}`);
  return records.filter(({ commit }) => commit === wanted);
}
