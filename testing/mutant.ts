import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import { ROOT } from './cli.ts';

/** One line of the engine changed. */
export interface Mutation {
  /** Below assembly/. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly text: string;
  readonly instead: string;
}

/** The engine's sources with one line changed, compiled in memory; as they are without a mutation. Not optimized: that is quick. */
export async function compileEngine(mutation?: Mutation): Promise<WebAssembly.Module> {
  const { entries, options } = JSON.parse(readFileSync(join(ROOT, 'asconfig.json'), 'utf8'));
  const args = [
    ...entries,
    ...['--config', 'none', '--outFile', 'engine.wasm', '--noAssert', '--optimizeLevel', '0'],
    ...['--runtime', options.runtime, '--enable', options.enable.join(), '--initialMemory', `${options.initialMemory}`],
    ...(options.importMemory ? ['--importMemory'] : []),
    ...(options.zeroFilledMemory ? ['--zeroFilledMemory'] : []),
  ];
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(args, {
    readFile: (name) => read(name, mutation),
    writeFile: (name, content) => {
      if (name.endsWith('.wasm')) binary = content as Uint8Array;
    },
    listFiles: () => [],
  });
  if (error !== null || binary === undefined) throw new Error(`the engine does not compile: ${stderr.toString()}`);
  return new WebAssembly.Module(Uint8Array.from(binary));
}

/** A source by its path below the package; null if there is none, as asc wants it. */
function read(name: string, mutation: Mutation | undefined): string | null {
  const path = join(ROOT, name);
  if (!existsSync(path)) return null;
  const source = readFileSync(path, 'utf8');
  if (mutation === undefined || name !== `assembly/${mutation.file}`) return source;
  const parts = source.split(mutation.text);
  if (parts.length !== 2)
    throw new Error(
      `${name}: "${mutation.text}" stands there ${parts.length - 1} times, expected once: choose another line`,
    );
  return parts.join(mutation.instead);
}
