import type { FallbackCompletionFunction } from 'yargs';
import type { Shelf } from '../catalog/shelf.ts';

/** The option that the script gives, before the words of the line. */
export const COMPLETES = '--get-yargs-completions';

/** Options whose value is a name of the catalog, or several with commas. */
const OPTIONS: ReadonlyMap<string, Shelf> = new Map([
  ['--policy', 'policies'],
  ['--policies', 'policies'],
  ['--machine', 'machines'],
  ['--machines', 'machines'],
  ['--cpu', 'cpus'],
]);
/** Commands whose first word is the name of a trace. */
const TRACES = ['compare', 'run', 'timeline', 'tlb', 'inspect', 'export'];

/**
 * Names of the catalog and of what is shipped, beside the commands and options that yargs knows. What it returns waits for
 * nothing: yargs would go on and run the command.
 */
export async function completer(): Promise<FallbackCompletionFunction> {
  const [{ namesOn }, { CATALOG_KINDS }, { shippedRaces, shippedTraces, WORKLOADS, listCatalog }] = await Promise.all([
    import('../catalog/shelf.ts'),
    import('../catalog/catalog.ts'),
    import('../index.ts'),
  ]);
  const names = (rows: readonly { readonly name: string }[]): string[] => rows.map(({ name }) => name);
  const workloads = (): string[] => names(WORKLOADS);
  /** What the word at a place behind the command can be, from 0; undefined where yargs knows it, or it is a file. */
  const wordsAt = (command: string, place: number, first: string): string[] | undefined => {
    if (command === 'explore') return ['all', 'thread', ...shippedRaces()];
    if (command === 'difference') return place < 2 ? namesOn('policies') : shippedTraces();
    if (place === 0 && TRACES.includes(command)) return shippedTraces();
    if (place === 0 && command === 'gen') return workloads();
    if (place !== 1 || command !== 'list') return undefined;
    const kind = CATALOG_KINDS.find((one) => one === first);
    return kind === undefined ? (first === 'workloads' ? workloads() : []) : names(listCatalog(kind));
  };
  return (current, _argv, others, done) => {
    // The script gives the name of the command, too.
    const words = process.argv.slice(process.argv.indexOf(COMPLETES) + 1);
    const shelf = OPTIONS.get(words.at(-2) ?? '');
    if (shelf !== undefined) {
      const before = current.slice(0, current.lastIndexOf(',') + 1);
      return done(namesOn(shelf).map((name) => before + name));
    }
    const found =
      current.startsWith('-') || words.length < 3
        ? undefined
        : wordsAt(words[1] ?? '', words.length - 3, words[2] ?? '');
    return found === undefined ? others() : done(found);
  };
}
