import { paidCosts } from '../engine/encode.ts';
import { UsageError } from '../model/errors.ts';
import type { RawRun } from '../model/result.ts';
import { DEFAULT_LOOKAHEAD, parseDevice, parseMemory, type RunSetup } from '../model/run.ts';
import { programCpus, type TraceMeta } from '../model/trace.ts';
import { PAGE_BYTES, PS_PER_NS } from '../model/units.ts';
import { DEAL } from '../trace/generate/deal.ts';
import { mappedPages } from '../trace/scheduled.ts';
import { spaceAgents } from './agents.ts';
import { pairedPlan } from './paired.ts';
import { loadPairs } from './pairs.ts';
import type { CompareRequest, Plan, PlannedTrace, SeededRequest } from './plan.ts';
import { CHECKED_SCHEDULED, refuseAdded, scheduleTexts } from './scheduled.ts';

/** What follows from a trace of an address space if nothing else is asked for. */
export const DEFAULTS = {
  policies: ['under-lock', 'range-end', 'linux-4.14', 'linux-4.15', 'linux-6.6'],
  machines: ['amd-v2', 'intel-svm'],
  memory: '50%',
  device: 'follow',
} as const;

/** Properties that the engine checks in a run of an address space. */
const CHECKED = ['S1', 'S2', 'S3', 'S4', 'S5'];

/** What is to be run on a trace of an address space. */
export function planSpace(trace: PlannedTrace, request: SeededRequest): Plan {
  const { meta } = trace;
  if (request.reuse !== undefined || request.timeScale !== undefined)
    throw new UsageError(`${trace.name} has no DMA mappings: --reuse and --time are for those`);
  const loaded = loadPairs(request, DEFAULTS, 'mm');
  const scheduled = meta.schedule !== undefined;
  if (scheduled) refuseAdded(trace.name, request);
  const frames = scheduled ? null : parseMemory(request.memory ?? DEFAULTS.memory, meta.counts.pages);
  const device = scheduled ? null : parseDevice(request.device ?? DEFAULTS.device);
  const cpus = request.cpus ?? programCpus(meta).length;
  const { seed, lookahead = DEFAULT_LOOKAHEAD } = request;
  const base = { costs: loaded.costs, seed, frames, device, cpus, lookahead };
  const words = scheduled ? [] : addedWords(request);
  return pairedPlan(trace, request, loaded, {
    job: ({ policy, machine }, ideal) => ({ kind: 'machine', setup: { ...base, policy, machine, ideal } }),
    checked: scheduled ? CHECKED_SCHEDULED : CHECKED,
    paid: paidCosts,
    words,
    agents: (machine) => spaceAgents(meta, machine, cpus),
    pageNumbers: (pages) => pageNumbers(trace, new Set(pages)),
    added: (runs) => (scheduled ? scheduleTexts(loaded.pairs, runs) : addedText(base, meta, runs[0]!)),
  });
}

/** Page numbers of page ids of a trace; of a scheduled one those of its `mmap` events, in order. */
export function pageNumbers(trace: PlannedTrace, wanted: ReadonlySet<number>): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  if (wanted.size > 0) {
    trace.open((opened) => {
      let id = 0;
      for (const chunk of opened.chunks()) {
        const pages = trace.meta.schedule === undefined ? chunk.pages : chunk.events.flatMap(mappedPages);
        for (const { vpn } of pages) {
          if (wanted.has(id)) found.set(id, vpn);
          id++;
        }
        if (found.size === wanted.size) return;
      }
    });
  }
  return found;
}

function addedText(
  { frames, device, cpus }: Pick<RunSetup, 'frames' | 'device' | 'cpus'>,
  meta: TraceMeta,
  run: RawRun,
): string[] {
  const added: string[] = [];
  if (cpus !== programCpus(meta).length)
    added.push(`${cpus} CPUs run it side by side, ${DEAL.toLocaleString('en')} records each in turn`);
  if (device !== null) {
    const ms = (ps: number): string => `${ps / PS_PER_NS / 1e6} ms`;
    const phases = device.idle === 0 ? 'always active' : `${ms(device.active)} on, ${ms(device.idle)} off`;
    const cpu = meta.agents[0]!.name;
    added.push(
      `dev0 follows ${cpu}: 1 DMA per ${device.every} accesses, ${phases}, ${Math.round(device.write * 100)} % writes`,
    );
    const late = (run.counters.N_DMA_LATE! / Math.max(1, run.counters.N_DMA!)) * 100;
    added.push(`${late.toFixed(1)} % of its accesses are late, on pages unmapped within the last 1,000 records`);
  }
  if (frames !== null) {
    const size = ((frames * PAGE_BYTES) / 2 ** 20).toFixed(1);
    added.push(
      `memory limit ${size} MiB: kswapd unmapped ${String(run.counters.N_RECLAIMED).replace(/\B(?=(\d{3})+$)/g, ',')} pages`,
    );
  }
  return added;
}

/** What the command line adds to a trace, as it was given or by default. */
function addedWords({ memory = DEFAULTS.memory, device = DEFAULTS.device, cpus }: CompareRequest): string[] {
  return ['--memory', memory, '--device', device, ...(cpus === undefined ? [] : ['--cpus', String(cpus)])];
}
