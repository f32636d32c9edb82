import { UsageError } from '../model/errors.ts';

/** One instance of the engine: its memory and its exports. The bytes of the module come from outside. */
export interface Instance<Exports> {
  readonly memory: WebAssembly.Memory;
  readonly exports: Exports;
}

/** Most memory of one instance: 2 GiB. An engine that needs more fails in `init`, before it runs. */
const MAX_WASM_PAGES = 1 << 15;

/** Instantiates the engine. `module` is compiled from build/release.wasm or build/checked.wasm. */
export function instantiate<Exports>(module: WebAssembly.Module): Instance<Exports> {
  const memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_WASM_PAGES });
  const abort = (_message: number, _file: number, line: number, column: number): never => {
    throw new Error(`engine: assertion failed at ${line}:${column}`);
  };
  const instance = new WebAssembly.Instance(module, { env: { memory, abort } });
  return { memory, exports: instance.exports as Exports };
}

const commonBuilds = new WeakMap<WebAssembly.Module, WebAssembly.Module>();

/**
 * The build of the engine for what most DMA recordings ask for, which goes along in a section of `module`; see
 * assembly/common.ts. Compiled when it is first wanted. A build that has none is its own.
 */
export function commonBuild(module: WebAssembly.Module): WebAssembly.Module {
  let common = commonBuilds.get(module);
  if (common === undefined) {
    const [bytes] = WebAssembly.Module.customSections(module, 'common');
    common = bytes === undefined ? module : new WebAssembly.Module(bytes);
    commonBuilds.set(module, common);
  }
  return common;
}

/** Exported constants arrive as WebAssembly.Global. */
export function constant(value: unknown): number {
  return (value as WebAssembly.Global).value as number;
}

/** Of a run in which an agent's next record is not to be reached: agents have taken millions of turns since the last one. */
export function endless(what: string): UsageError {
  return new UsageError(
    `${what}: a record has not ended after millions of turns of the machine's agents: a driver that submits anew what its devices lose each time (machine.hazards) never gets on, and one whose device is active for nanoseconds (--device) hardly does`,
  );
}
