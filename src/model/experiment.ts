/** What somebody measured and published, as a set-up of the model with the outcomes that it ought to have. */
import type { Check } from './check.ts';
import { UsageError } from './errors.ts';
import { nearText } from './near.ts';

/** What is run: a part of it in the shared set-up, the rest in a case. */
export interface ExperimentSetup {
  readonly trace?: string;
  /** Name and sizes of a workload. */
  readonly workload?: Readonly<Record<string, string | number>>;
  readonly seed?: number;
  readonly machine?: string;
  readonly policy?: string;
  readonly memory?: string;
  readonly device?: string;
  readonly packed?: boolean;
  /** ns by key. */
  readonly costs?: Readonly<Record<string, number>>;
  readonly set?: Readonly<Record<string, string | number | boolean>>;
}

/** One published outcome: (sum of quantities / per) x times + plus, of a case, or of it over another case. */
export interface Outcome {
  readonly what: string;
  readonly kind: Check['kind'];
  readonly case?: string;
  readonly over?: string;
  readonly sum?: readonly string[];
  readonly per?: string;
  readonly times?: number;
  readonly plus?: number;
  readonly expected: number;
  readonly unit?: string;
  readonly within?: number;
  readonly percent?: number;
  readonly factor?: number;
  readonly at_least?: boolean;
  readonly why?: string;
}

/** An experiment as its file has it. */
export interface Experiment {
  readonly name: string;
  readonly title: string;
  readonly source: string;
  readonly setup?: ExperimentSetup;
  readonly fits?: readonly string[];
  readonly cases?: Readonly<Record<string, ExperimentSetup>>;
  readonly checks: readonly Outcome[];
}

/** One outcome beside what the model says. */
export interface TableCheck {
  readonly name: string;
  readonly kind: Check['kind'];
  readonly expected: number;
  /** With the costs of the experiment; null of what is not modelled. */
  readonly got: number | null;
  /** With the default costs; null of what is not modelled, and where the experiment has none of its own. */
  readonly with_default_costs: number | null;
  readonly unit: string;
  /** In words. */
  readonly tolerance: string;
  readonly holds: boolean;
  readonly why?: string;
}

/** What became of an experiment. */
export interface TableResult {
  readonly experiment: string;
  readonly title: string;
  readonly source: string;
  readonly checks: readonly TableCheck[];
  readonly held: number;
  readonly failed: number;
}

/** Refuses what a schema cannot: cases that are not there, and what was fitted counted as predicted. */
export function checkExperiment({ cases = {}, checks, fits = [] }: Experiment, place: string): void {
  const names = Object.keys(cases);
  for (const [i, check] of checks.entries()) {
    const at = `${place}: checks.${i} (${check.what})`;
    if (check.kind === 'not-modelled') {
      if (check.why === undefined)
        throw new UsageError(`${at}: why is missing, expected the reason it is not modelled`);
      continue;
    }
    if (check.sum === undefined || check.case === undefined)
      throw new UsageError(`${at}: expected a case, and a sum of quantities`);
    for (const name of [check.case, ...(check.over === undefined ? [] : [check.over])]) {
      if (!names.includes(name))
        throw new UsageError(`${at}: no case "${name}"${nearText(name, names)}; cases are ${names.join(', ')}`);
    }
    const bounds = [check.within, check.percent, check.factor, check.at_least].filter((bound) => bound !== undefined);
    if (bounds.length !== 1)
      throw new UsageError(`${at}: has ${bounds.length} tolerances, expected one of within, percent, factor, at_least`);
  }
  const fitted = checks.some(({ kind }) => kind === 'fitted');
  if (fitted !== fits.length > 0)
    throw new UsageError(
      `${place}: ${fitted ? 'has fitted checks, expected the costs that were fitted under fits' : 'fits costs, expected the checks that they were fitted to'}`,
    );
}

/** Whether a value is what was published, within the tolerance of the outcome. */
export function isWithin({ expected, within, percent, factor, at_least }: Outcome, got: number): boolean {
  if (within !== undefined) return Math.abs(got - expected) <= within;
  if (percent !== undefined) return Math.abs(got - expected) <= (Math.abs(expected) * percent) / 100;
  if (factor !== undefined) return got > 0 && Math.max(got / expected, expected / got) <= factor;
  return at_least === true && got >= expected;
}

/** A tolerance in words. */
export function toleranceText({ within, percent, factor, at_least }: Outcome): string {
  if (within !== undefined) return `${within}`;
  if (percent !== undefined) return `${percent} %`;
  if (factor !== undefined) return `x ${factor}`;
  return at_least ? 'at least' : '-';
}
