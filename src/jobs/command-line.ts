import { labelOf, type Named } from '../catalog/shelf.ts';
import { shellWord } from '../model/command.ts';
import type { PairRequest } from './pairs.ts';
import type { PlannedTrace } from './plan.ts';

/**
 * The command that gives the same again where it is run in the same folder; policies and machines only where they were given, objects by their names.
 * `words`: further options.
 */
export function commandLine(
  command: 'compare' | 'run',
  trace: PlannedTrace,
  request: PairRequest & { readonly seed: number },
  policies: PairRequest['policies'],
  machines: PairRequest['machines'],
  words: readonly string[],
): string {
  const option = (name: string, given: readonly (string | Named)[] | undefined): string[] =>
    given ? [name, given.map(labelOf).join()] : [];
  const all = [
    ...option('--policies', policies),
    ...option('--machines', machines),
    ...words,
    ...['--seed', String(request.seed)],
    ...(typeof request.costs === 'string' ? ['--costs', request.costs] : []),
    ...(request.settings ?? []).flatMap((setting) => ['--set', setting]),
  ];
  return ['iommulator', command, trace.given, ...all].map(shellWord).join(' ');
}
