/** Whether records of now are as good as those of before, rule by rule. */
import { UsageError } from './errors.ts';
import {
  figureOf,
  type HistoryRecord,
  type HostRecord,
  latestOf,
  medianOf,
  type RunRecord,
  subjectOf,
} from './history.ts';
import { quote } from './near.ts';
import { VERDICTS } from './result.ts';
import { parseWhole } from './run.ts';

/**
 * `model`: both are of one model. `equal`: simulated numbers are the same, but for what is allowed. `verdict`: no verdict
 * got worse. `gone`: what was recorded before is there. `host`: the median of host times.
 */
export const RULES = ['model', 'equal', 'verdict', 'gone', 'host'] as const;
export type Rule = (typeof RULES)[number];

/** What one rule says of one subject. `holds` is null where it could not be judged; `message` says why, or what is wrong. */
export interface Finding {
  readonly subject: string;
  readonly rule: Rule;
  readonly holds: boolean | null;
  readonly message: string;
}

/** A figure, or all that begin with what stands before `*`, and by which share it may change. */
export interface Allowance {
  readonly key: string;
  readonly share: number;
}

/** How much may change. */
export interface Limits {
  readonly allow: readonly Allowance[];
  /** Share by which the median of host times may be worse. */
  readonly host: number;
  /** Samples of each side below which host times are not judged. */
  readonly samples: number;
}

/** The share that `1%` names. `option` stands in the message. */
function parseShare(text: string, option: string): number {
  const match = /^(\d{1,6}(?:\.\d{1,9})?)%$/.exec(text);
  if (match === null) throw new UsageError(`${option} is ${quote(text)}, expected a percentage such as 1%`);
  return Number(match[1]) / 100;
}

/** The limits that option texts set. */
export function parseLimits(given: { allow?: string; threshold: string; samples: string }): Limits {
  const allow = (given.allow?.split(',') ?? []).map((text): Allowance => {
    const [key = '', share = ''] = text.split('=');
    return { key, share: parseShare(share, `--allow ${key}`) };
  });
  const samples = parseWhole(given.samples, '--samples', 1, 1e6);
  return { allow, host: parseShare(given.threshold, '--threshold'), samples };
}

/** Limits if nothing else is asked for. */
export const DEFAULT_LIMITS: Limits = { allow: [], host: 0.1, samples: 10 };

/** Figures that are named in one message. */
const SHOWN = 3;

/** Holds the last records of `now` against the last ones of `before`. */
export function judgeHistory(
  before: readonly HistoryRecord[],
  now: readonly HistoryRecord[],
  limits: Limits,
): Finding[] {
  const current = latestOf(now);
  const subjects = new Set(now.map(subjectOf));
  const looked = new Set(now.map(scopeOf));
  return [...latestOf(before)].flatMap(([key, old]) => {
    const record = current.get(key);
    const subject = subjectOf(old);
    if (record === undefined) {
      if (!looked.has(scopeOf(old))) return [];
      const message = subjects.has(subject) ? 'the trace has other bytes' : 'was recorded, and is not there';
      return [{ subject, rule: 'gone', holds: false, message }];
    }
    if (old.kind === 'host' || record.kind === 'host')
      return [{ subject, rule: 'host', ...judgeHost(old as HostRecord, record as HostRecord, limits) }];
    return judgeRun(old, record, limits).map((finding) => ({ subject, ...finding }));
  });
}

/** Of each trace in `now`, and of host times, the records of the last commit that has any. */
export function priorOf(records: readonly HistoryRecord[], now: readonly HistoryRecord[]): HistoryRecord[] {
  const wanted = new Set(now.map(scopeOf));
  const last = new Map(records.map((record) => [scopeOf(record), record.commit]));
  return records.filter((record) => wanted.has(scopeOf(record)) && last.get(scopeOf(record)) === record.commit);
}

/** What has to be there as a whole: all pairs of a trace, all host times. */
function scopeOf(record: HistoryRecord): string {
  return record.kind === 'host' ? 'host' : record.trace.file;
}

function judgeRun(old: RunRecord, record: RunRecord, { allow }: Limits): Omit<Finding, 'subject'>[] {
  if (old.model !== record.model) {
    const message = `model ${old.model} became ${record.model}: numbers of different models are not compared; record anew`;
    return [{ rule: 'model', holds: false, message }];
  }
  const worse = VERDICTS.indexOf(record.verdict) > VERDICTS.indexOf(old.verdict);
  return [
    { rule: 'verdict', holds: !worse, message: worse ? `was ${old.verdict} and is ${record.verdict}` : record.verdict },
    { rule: 'equal', ...judgeFigures(old, record, allow) },
  ];
}

function judgeFigures(old: RunRecord, record: RunRecord, allow: readonly Allowance[]) {
  const keys = [...new Set([...Object.keys(old.figures), ...Object.keys(record.figures)])];
  const wrong = keys.filter((key) => {
    const [was, is] = [figureOf(old, key), figureOf(record, key)];
    return Math.abs(is - was) > allowedOf(key, allow) * Math.abs(was);
  });
  if (wrong.length === 0) return { holds: true, message: `${keys.length} figures` };
  const more = wrong.length > SHOWN ? ` and ${wrong.length - SHOWN} more` : '';
  // What a reader looks for first stands first in the result.
  const shown = wrong.slice(0, SHOWN).map((key) => changeText(key, figureOf(old, key), figureOf(record, key)));
  const prices = Object.keys({ ...old.costs, ...record.costs }).filter((key) => old.costs[key] !== record.costs[key]);
  const priced = prices
    .slice(0, SHOWN)
    .map((key) => `${key} ${old.costs[key] ?? 'none'} -> ${record.costs[key] ?? 'none'} ns`);
  const cause = priced.length === 0 ? '' : `; prices changed: ${priced.join(', ')}`;
  return { holds: false, message: `${shown.join(', ')}${more}${cause}` };
}

/** The share by which a figure may change: the last allowance that names it. */
function allowedOf(key: string, allow: readonly Allowance[]): number {
  const names = ({ key: named }: Allowance): boolean =>
    named.endsWith('*') ? key.startsWith(named.slice(0, -1)) : key === named;
  return allow.findLast(names)?.share ?? 0;
}

function judgeHost(old: HostRecord, record: HostRecord, { host, samples }: Limits) {
  if (old.host !== record.host) return { holds: null, message: `measured on ${old.host}, and now on ${record.host}` };
  const least = Math.min(old.samples.length, record.samples.length);
  if (least < samples) return { holds: null, message: `${least} samples, expected at least ${samples}` };
  const [was, is] = [medianOf(old.samples), medianOf(record.samples)];
  const worse = record.better === 'smaller' ? is > was * (1 + host) : is < was * (1 - host);
  const change = changeText('median', was, is, ` ${record.unit}`);
  return { holds: !worse, message: worse ? `${change}, allowed are ${percent(host)}` : change };
}

function changeText(key: string, was: number, is: number, unit = ''): string {
  const share = was === 0 ? '' : ` (${is < was ? '-' : '+'}${percent(Math.abs(is - was) / Math.abs(was))})`;
  return `${key} ${was} -> ${is}${unit}${share}`;
}

function percent(share: number): string {
  const value = share * 100;
  return `${value >= 10 ? value.toFixed(0) : value >= 0.01 ? Number(value.toFixed(2)) : value.toPrecision(2)} %`;
}
