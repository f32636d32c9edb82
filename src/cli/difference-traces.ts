import { ringTrace, tracesFor } from '../jobs/difference.ts';
import type { LocatedTrace } from '../jobs/locate.ts';
import { parseNames, parseWhole } from '../model/run.ts';
import { MAX_RING } from '../trace/generate/ring.ts';
import { findTrace } from './trace-argument.ts';

/** `--working-set`. */
export const WORKING_SET = {
  type: 'string',
  requiresArg: true,
  describe: 'N,...: traces of a made-up device that keeps using N pages, beside buffers mapped for one use each',
} as const;

/** Which traces are compared, as yargs gives it. */
export interface TracesArgs {
  traces?: string[];
  workingSet?: string;
}

/** Opens, one after the other: what is made up, what is named, or the shipped traces that a policy is for. */
export async function tracesOf({ traces = [], workingSet }: TracesArgs, policy: string, quiet: boolean) {
  const words = parseNames(workingSet, '--working-set') ?? [];
  const sizes = words.map((text) => parseWhole(text, '--working-set', 1, MAX_RING));
  const names = traces.length + sizes.length > 0 ? traces : await tracesFor(policy);
  const made = sizes.map((pages) => (): Promise<LocatedTrace> => ringTrace(pages));
  return [...made, ...names.map((name) => (): Promise<LocatedTrace> => findTrace(name, quiet))];
}
