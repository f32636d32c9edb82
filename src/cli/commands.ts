import type { CommandModule } from 'yargs';

/** The commands in the order of the help. Each is loaded when it is wanted: most of a short command's time is its modules. */
const COMMANDS: Readonly<Record<string, () => Promise<unknown>>> = {
  compare: async () => (await import('./compare.ts')).compare,
  run: async () => (await import('./run.ts')).run,
  difference: async () => (await import('./difference.ts')).difference,
  explore: async () => (await import('./explore.ts')).explore,
  tlb: async () => (await import('./tlb.ts')).tlb,
  import: async () => (await import('./import.ts')).importCommand,
  gen: async () => (await import('./gen.ts')).gen,
  record: async () => (await import('./record.ts')).record,
  export: async () => (await import('./export.ts')).exportCommand,
  inspect: async () => (await import('./inspect.ts')).inspect,
  list: async () => (await import('./list.ts')).list,
  decode: async () => (await import('./decode.ts')).decode,
  track: async () => (await import('./track.ts')).track,
  verify: async () => (await import('./verify.ts')).verify,
  timeline: async () => (await import('./timeline.ts')).timeline,
  report: async () => (await import('./report.ts')).reportCommand,
  sweep: async () => (await import('./sweep.ts')).sweep,
  worker: async () => (await import('./worker.ts')).worker,
  calibrate: async () => (await import('./calibrate.ts')).calibrate,
  completion: async () => (await import('./completion.ts')).completion,
};

/** The commands that `words` can mean: those that are named, or all, for help and for what is no command. */
export async function commandsOf(words: readonly string[]): Promise<CommandModule[]> {
  const names = Object.keys(COMMANDS);
  const named = names.filter((name) => words.includes(name));
  const wanted = named.length > 0 ? named : names;
  return (await Promise.all(wanted.map((name) => COMMANDS[name]!()))) as CommandModule[];
}
