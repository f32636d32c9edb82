import type { FallbackCompletionFunction } from 'yargs';
import type { Shelf } from '../catalog/shelf.ts';

/** The option that the script gives, before the words of the line. */
export const COMPLETES = '--get-yargs-completions';

/** Options whose value is a name of the catalog, or several with commas. */
const OPTIONS: Readonly<Record<string, Shelf>> = {
  '--policy': 'policies',
  '--policies': 'policies',
  '--machine': 'machines',
  '--machines': 'machines',
  '--cpu': 'cpus',
};
/** Commands whose first word is the name of a trace. */
const TRACES = ['compare', 'run', 'timeline', 'difference', 'tlb', 'inspect', 'export'];

/**
 * Names of the catalog and of what is shipped, beside the commands and options that yargs knows. What it returns waits for
 * nothing: yargs would go on and run the command.
 */
export async function completer(): Promise<FallbackCompletionFunction> {
  const [{ namesOn }, { shippedRaces, shippedTraces }] = await Promise.all([
    import('../catalog/shelf.ts'),
    import('../index.ts'),
  ]);
  return (current, _argv, others, done) => {
    // The script gives the name of the command, too.
    const words = process.argv.slice(process.argv.indexOf(COMPLETES) + 1);
    const shelf = OPTIONS[words.at(-2) ?? ''];
    if (shelf !== undefined) {
      const before = current.slice(0, current.lastIndexOf(',') + 1);
      return done(namesOn(shelf).map((name) => before + name));
    }
    const command = words[1] ?? '';
    if (!current.startsWith('-') && words.length > 2) {
      if (command === 'explore') return done(['all', 'thread', ...shippedRaces()]);
      if (words.length === 3 && TRACES.includes(command)) return done(shippedTraces());
    }
    return others();
  };
}
