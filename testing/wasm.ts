import { readFileSync } from 'node:fs';

/** Both builds of the engine. */
export const BUILDS = ['release', 'checked'] as const;

const compiled = new Map<string, WebAssembly.Module>();

/** The module of a build, compiled once. */
export function engineModule(build: (typeof BUILDS)[number]): WebAssembly.Module {
  const module =
    compiled.get(build) ?? new WebAssembly.Module(readFileSync(new URL(`../build/${build}.wasm`, import.meta.url)));
  compiled.set(build, module);
  return module;
}
