/** Something that was said about invalidations, and the explorations that tell whether it stands. */
import type { Exploration } from './exploration.ts';

/** Explorations, and what they say if the statement is right: `holds`, or the property that breaks. */
export interface Trial {
  readonly races: readonly string[];
  readonly policies: readonly string[];
  readonly machines: readonly string[];
  /** Changes of the machine, as `--set` takes them. */
  readonly set?: readonly string[];
  readonly implies: string;
}

/** One statement. */
export interface Statement {
  readonly says: string;
  readonly who: string;
  /** None: the model has nothing that it could be tried on; `note` says what is missing. */
  readonly trials: readonly Trial[];
  /** What the trials leave open. */
  readonly note?: string;
}

/** A trial, done. */
export interface Tried {
  readonly command: string;
  readonly implies: string;
  readonly found: readonly Exploration[];
}

/** A statement and what came of its trials: `stands` if all found what it implies. */
export interface Judged {
  readonly says: string;
  readonly who: string;
  readonly note: string;
  readonly verdict: 'stands' | 'falls';
  readonly trials: readonly Tried[];
}

/** The command that makes the explorations of a trial. */
export function trialCommand({ races, policies, machines, set = [] }: Trial): string {
  const settings = set.map((setting) => ` --set ${setting}`).join('');
  return `iommulator explore ${races.join(' ')} --policies ${policies.join()} --machines ${machines.join()}${settings}`;
}

/** What the trials of a statement say of it. */
export function judge({ says, who, note = '', trials: wanted }: Statement, found: readonly Exploration[][]): Judged {
  const trials = wanted.map((trial, i) => ({
    command: trialCommand(trial),
    implies: trial.implies,
    found: found[i]!,
  }));
  const right = trials.every(({ implies, found }) => found.every((one) => brief(one) === implies));
  return { says, who, note, verdict: right ? 'stands' : 'falls', trials };
}

/** `holds`, `bounded`, or the property that breaks. */
export function brief({ verdict, property }: Exploration): string {
  return verdict === 'broken' ? property! : verdict;
}
