import { readFileSync } from 'node:fs';

let compiled: WebAssembly.Module | undefined;

/** The engine, compiled once per thread. */
export function engineModule(): WebAssembly.Module {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('../../build/release.wasm', import.meta.url)));
  return compiled;
}
