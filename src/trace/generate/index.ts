import { UsageError } from '../../model/errors.ts';
import { nearText, quote } from '../../model/near.ts';
import { NO_TALLY, type TraceMeta } from '../../model/trace.ts';
import { codec } from '../input.ts';
import { type ByteSink, TraceWriter } from '../writer.ts';
import { madvDontneed, madvFree, munmapStorm, tlbFlush } from './allocations.ts';
import {
  dirtyTracking,
  forkSnapshot,
  hugeBalancing,
  hugePages,
  ksmMerge,
  numaBalancing,
  numaMigration,
  sharedWriteback,
} from './kernel.ts';
import { nicReceive, nicTransmit } from './network.ts';
import { accelerator, cowStorm, jit } from './programs.ts';
import { Random } from './random.ts';
import { dmaWindow, nvme, rdma, virtualNvme } from './storage.ts';
import { gups, pointerChase } from './tables.ts';
import { SIZES, type Sizes, type Workload } from './workload.ts';

/** All workloads: of address spaces, then of the DMA API. A new one is an object and a line here. */
export const WORKLOADS: readonly Workload[] = [
  munmapStorm,
  madvFree,
  madvDontneed,
  tlbFlush,
  jit,
  cowStorm,
  forkSnapshot,
  ksmMerge,
  numaMigration,
  numaBalancing,
  hugeBalancing,
  hugePages,
  dirtyTracking,
  sharedWriteback,
  accelerator,
  pointerChase,
  gups,
  nicReceive,
  nicTransmit,
  nvme,
  virtualNvme,
  rdma,
  dmaWindow,
];

/** The workload of that name. */
export function workloadNamed(name: string): Workload {
  const names = WORKLOADS.map((workload) => workload.name);
  const found = WORKLOADS.find((workload) => workload.name === name);
  if (found) return found;
  throw new UsageError(`no workload ${quote(name)}, expected one of ${names.join(', ')}${nearText(name, names)}`);
}

/** `source.format` of a trace that was not recorded. */
export const GENERATED = 'gen';

/**
 * Writes a workload as a trace: the same seed and sizes, the same bytes. What is in the trace then. `onRecords`: told of
 * the records so far; may throw.
 */
export function generateTrace(
  workload: Workload,
  sizes: Sizes,
  seed: number,
  sink: ByteSink,
  onRecords: (records: number) => void = () => {},
): TraceMeta {
  // The header comes before there is a record.
  let records = (): number => 0;
  const write = (bytes: Uint8Array): void => {
    sink.write(bytes);
    onRecords(records());
  };
  const writer = new TraceWriter({ write }, codec);
  records = () => writer.lastRecord + 1;
  workload.write(writer, sizes, new Random(seed));
  const own = SIZES.filter((key) => workload.sizes[key]);
  const words = [workload.name, ...own.map((key) => `--${key} ${sizes[key]}`), `--seed ${seed}`];
  return writer.finish({
    source: { format: GENERATED, file: words.join(' ') },
    tally: NO_TALLY,
    inferred: [`Generated, not recorded; it imitates ${workload.stands}.`, ...workload.assumes],
  });
}
