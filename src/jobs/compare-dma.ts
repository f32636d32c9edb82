import { DMA_COSTS, SHADOW_COST } from '../engine/encode-dma.ts';
import type { CostKey } from '../model/cost.ts';
import type { DmaSetup } from '../model/dma.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine } from '../model/machine.ts';
import { MODEL } from '../model/result.ts';
import type { TraceMeta } from '../model/trace.ts';
import { recordingAgents } from './agents.ts';
import { commandLine } from './command-line.ts';
import { compose } from './compose.ts';
import type { DmaJob } from './job.ts';
import { loadPairs, type Pair } from './pairs.ts';
import type { CompareRequest, Plan, PlannedTrace, SeededRequest } from './plan.ts';

/** What follows from a DMA recording if nothing else is asked for. */
export const DMA_DEFAULTS = {
  policies: ['strict', 'lazy', 'passthrough'],
  machines: ['intel-vtd', 'amd-vi'],
} as const;

/** Properties that the engine checks in a run of a recording. */
const CHECKED = ['S1', 'S6', 'S7'];

/** Whether a trace is a recording of the DMA API. */
export function isRecording({ counts }: TraceMeta): boolean {
  return counts.maps + counts.unmaps > 0;
}

/** What is to be run on a DMA recording: every policy on every machine, and the ideal run of each machine. */
export function planDma(trace: PlannedTrace, request: SeededRequest): Plan {
  const { meta, name } = trace;
  if (request.memory !== undefined || request.device !== undefined || request.cpus !== undefined)
    throw new UsageError(
      `${name} has DMA mappings, devices and CPUs of its own: --memory, --device and --cpus are for address spaces`,
    );
  if (meta.counts.unmaps === 0) throw new UsageError(`${name}: nothing was unmapped, so policies do not differ`);
  if (meta.counts.dma === 0)
    throw new UsageError(`${name}: no device access happened, so nothing can be said about safety`);
  const { costs, machines, pairs, skipped } = loadPairs(request, DMA_DEFAULTS, 'dma');
  const { seed, reuse = 'immediate', timeScale = 1 } = request;
  const job = ({ policy, machine }: Omit<Pair, 'given'>, ideal: boolean): DmaJob => ({
    kind: 'dma',
    setup: { policy, machine, costs, seed, reuse, timeScale, ideal } satisfies DmaSetup,
  });
  const used = machines.filter((machine) => pairs.some((pair) => pair.machine === machine));
  const ideals = used.map((machine) => job(pairs.find((pair) => pair.machine === machine)!, true));
  return {
    pairs,
    jobs: [...ideals, ...pairs.map((pair) => job(pair, false))],
    results(raw, alone = false) {
      const runs = raw.slice(ideals.length);
      return pairs.map(({ policy, machine, given }, i) =>
        compose({
          policy: policy.name,
          machine,
          costs,
          seed,
          checked: CHECKED,
          paid: paid(machine),
          repro: commandLine(
            'run',
            trace,
            { ...request, settings: given.settings },
            [given.policy],
            [given.machine],
            replayWords(request),
          ),
          run: runs[i]!,
          ideal: raw[used.indexOf(machine)]!,
          baseline: runs[alone ? i : pairs.findIndex((pair) => pair.machine === machine)]!,
          agents: recordingAgents(meta, machine),
          vpnOf: (page) => page,
        }),
      );
    },
    added: () => [],
    skipped,
    costs,
    machines: used,
    model: MODEL,
    again: commandLine('compare', trace, request, request.policies, request.machines, replayWords(request)),
  };
}

function paid({ iommu }: Machine): CostKey[] {
  const queue: CostKey[] =
    iommu.commands === 'amd' ? ['amd.submit', 'amd.extra', 'amd.wait'] : ['qi.submit', 'qi.extra', 'qi.wait'];
  return [...DMA_COSTS, ...queue, ...(iommu.shadowed ? Object.values(SHADOW_COST) : [])];
}

/** Options of a recording's replay that were given. */
function replayWords({ reuse, timeScale }: Pick<CompareRequest, 'reuse' | 'timeScale'>): string[] {
  const reused = reuse === undefined ? [] : ['--reuse', reuse];
  if (timeScale === undefined) return reused;
  return [...reused, ...(timeScale === 0 ? ['--time', 'packed'] : ['--time-scale', String(timeScale)])];
}
