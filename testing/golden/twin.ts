import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import yargs from 'yargs';
import { type MachineArgs, machineOptions } from '../../src/cli/machine-options.ts';
import { type TlbArgs, tlbConfig, tlbOptions } from '../../src/cli/tlb-options.ts';
import { DMA_DEFAULTS } from '../../src/jobs/compare-dma.ts';
import { DEFAULTS } from '../../src/jobs/compare-space.ts';
import { loadPairs } from '../../src/jobs/pairs.ts';
import { DEFAULT_LOOKAHEAD, parseDevice, parseMemory, parseNames, type RunSetup } from '../../src/model/run.ts';
import type { TlbResult } from '../../src/model/tlb.ts';
import type { TracePage } from '../../src/model/trace.ts';
import { type Access, referenceTlb } from '../../src/reference/tlb.ts';
import type { Trace } from '../../src/trace/reader.ts';
import { recordsOf } from '../../src/trace/records.ts';
import { ORDER_MACHINES } from '../../src/verify/machines.ts';
import { engineRows, referenceRows } from '../order.ts';
import { openBytes } from '../program.ts';
import { runDmaEngine, runDmaReference } from '../recording.ts';
import type { GoldenCase } from './cases.ts';
import { type Change, changesOf } from './change.ts';
import type { Rerun } from './rerun.ts';

/** Where a case's numbers differ from those of its twin, on the whole trace; `old` is the twin's. */
export async function disagreement(root: string, { words, twin }: GoldenCase, result: unknown): Promise<Change[]> {
  if (twin === undefined) return [];
  const [name, options] = twin === 'order' ? [words[2]!, words.slice(3)] : [words[1]!, words.slice(2)];
  const path = join(root, 'traces', `${name}.trace`);
  const engine = join(root, 'build/release.wasm');
  if (twin === 'machine') return ofMachines(path, engine, options);
  const trace = openBytes(readFileSync(path));
  if (twin === 'tlb') return ofTlb(trace, options, result as TlbResult);
  if (twin === 'dma') return ofRecording(trace, engine, options);
  const machine = ORDER_MACHINES.find(({ name }) => name === options[options.indexOf('--machine') + 1])!;
  const module = new WebAssembly.Module(readFileSync(engine));
  return changesOf(referenceRows(trace, machine, 'recorded'), engineRows(module, trace, machine, 'recorded'));
}

function ofTlb(trace: Trace, options: readonly string[], { l1d, l1i, l2, pages }: TlbResult): Change[] {
  const args = tlbOptions(yargs(options)).parseSync() as unknown as TlbArgs;
  return changesOf(referenceTlb(tlbConfig(args), accessesOf(trace)), { l1d, l1i, l2, pages });
}

/** A trace access by access: in a run its own page comes first; in what order the others come changes no count. */
function* accessesOf(
  trace: Trace,
): Generator<Parameters<typeof referenceTlb>[1] extends Iterable<infer T> ? T : never> {
  const pages: TracePage[] = [];
  for (const chunk of trace.chunks()) {
    pages.push(...chunk.pages);
    let fetch: Access | undefined;
    let data: Access | undefined;
    for (const record of recordsOf(chunk, pages)) {
      if ('event' in record) {
        yield record.event;
        continue;
      }
      const { run, page } = record;
      const fetches = run.op === 'fetch';
      const access = { fetch: fetches, space: page.space, vpn: page.vpn, straddle: run.straddle };
      yield access;
      if (fetches) fetch = { ...access, straddle: false };
      else data = { ...access, straddle: false };
      for (let i = fetches ? 1 : 0; i < run.fetches; i++) yield fetch!;
      for (let i = fetches ? 0 : 1; i < run.datas; i++) yield data!;
    }
  }
}

/** Every run that `compare` makes for these options, ideal ones included; spread over all cores. */
async function ofMachines(trace: string, engine: string, options: readonly string[]): Promise<Change[]> {
  const { args, costs, pairs } = pairsOf(options, DEFAULTS, 'mm');
  const { counts } = openBytes(readFileSync(trace)).meta;
  const base = {
    costs,
    seed: Number(args.seed),
    frames: parseMemory(args.memory ?? DEFAULTS.memory, counts.pages),
    device: parseDevice(args.device ?? DEFAULTS.device),
    cpus: Number(args.cpus ?? 1),
    lookahead: DEFAULT_LOOKAHEAD,
  };
  const setups: RunSetup[] = pairs.map((pair) => ({ ...base, ...pair }));
  const pool = new Piscina<Rerun, Change[]>({ filename: new URL('./rerun.js', import.meta.url).href });
  try {
    const found = await Promise.all(setups.map((setup) => pool.run({ trace, engine, setup })));
    return found.flatMap((changes, i) => placed(changes, setups[i]!));
  } finally {
    await pool.destroy();
  }
}

/** The same of a recording. */
function ofRecording(trace: Trace, engine: string, options: readonly string[]): Change[] {
  const { args, costs, pairs } = pairsOf(options, DMA_DEFAULTS, 'dma');
  const module = new WebAssembly.Module(readFileSync(engine));
  return pairs.flatMap((pair) => {
    const setup = { ...pair, costs, seed: Number(args.seed), reuse: 'immediate', timeScale: 1 } as const;
    return placed(changesOf(runDmaReference(setup, trace)?.raw, runDmaEngine(module, setup, trace)), pair);
  });
}

/** Pairs of policy and machine that the options name, and the ideal run of each machine. */
function pairsOf(options: readonly string[], defaults: Parameters<typeof loadPairs>[1], family: 'mm' | 'dma') {
  const args = machineOptions(yargs(options)).parseSync() as unknown as MachineArgs;
  const request = {
    policies: parseNames(args.policies, '--policies'),
    machines: parseNames(args.machines, '--machines'),
    costs: args.costs,
    settings: args.set ?? [],
  };
  const { costs, machines, pairs } = loadPairs(request, defaults, family);
  const ideals = machines.map((machine) => ({ ...pairs.find((pair) => pair.machine === machine)!, ideal: true }));
  return { args, costs, pairs: [...ideals, ...pairs.map((pair) => ({ ...pair, ideal: false }))] };
}

/** Says of which run the changes are. */
function placed(
  changes: readonly Change[],
  { policy, machine, ideal }: Pick<RunSetup, 'policy' | 'machine' | 'ideal'>,
) {
  const where = `${policy.name} on ${machine.name}${ideal ? ', ideal' : ''}`;
  return changes.map((change): Change => ({ ...change, path: `${where}: ${change.path}` }));
}
