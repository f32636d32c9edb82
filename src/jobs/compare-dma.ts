import { DMA_COSTS, SHADOW_COST } from '../engine/encode-dma.ts';
import type { CostKey } from '../model/cost.ts';
import { UsageError } from '../model/errors.ts';
import type { Machine } from '../model/machine.ts';
import type { TraceMeta } from '../model/trace.ts';
import { recordingAgents } from './agents.ts';
import { pairedPlan } from './paired.ts';
import { loadPairs } from './pairs.ts';
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
  const loaded = loadPairs(request, DMA_DEFAULTS, 'dma');
  const { costs } = loaded;
  const { seed, reuse = 'immediate', timeScale = 1 } = request;
  return pairedPlan(trace, request, loaded, {
    job: ({ policy, machine }, ideal) => ({
      kind: 'dma',
      setup: { policy, machine, costs, seed, reuse, timeScale, ideal },
    }),
    checked: CHECKED,
    paid,
    words: replayWords(request),
    agents: (machine) => recordingAgents(meta, machine),
    pageNumbers: (pages) => new Map(pages.map((page) => [page, page])),
    added: () => [],
  });
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
