import type { LocatedTrace } from './locate.ts';
import type { PairRequest } from './pairs.ts';

/** The command that gives the same again; policies and machines only where they were named. `words`: further options. */
export function commandLine(
  command: 'compare' | 'run',
  trace: LocatedTrace,
  request: PairRequest & { readonly seed: number },
  policies: readonly string[] | undefined,
  machines: readonly string[] | undefined,
  words: readonly string[],
): string {
  const option = (name: string, given: readonly string[] | undefined): string[] => (given ? [name, given.join()] : []);
  const all = [
    ...option('--policies', policies),
    ...option('--machines', machines),
    ...words,
    ...['--seed', String(request.seed)],
    ...(request.costs === undefined ? [] : ['--costs', request.costs]),
    ...request.settings.flatMap((setting) => ['--set', setting]),
  ];
  return ['iommulator', command, trace.name.replace(/\.trace$/, ''), ...all].join(' ');
}
