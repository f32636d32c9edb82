import type { RunResult } from '../model/result.ts';
import { count } from './grid.ts';

/** What each consumer did on machines that have several, in the order in which they are called; of others nothing. */
export function consumerSentences(runs: readonly RunResult[]): string[] {
  const what = (machine: string) => `${machine}, as they are called: invalidations, time in callbacks, accesses`;
  return partSentences('consumers', what, runs, ({ consumers = [] }) =>
    consumers.map(({ machine, invalidations, callback_ns, dma, stale_uses }) => [
      machine.padEnd(18),
      `${count(invalidations.secondary!).padStart(9)} inval.`,
      `${(callback_ns / 1e6).toFixed(2).padStart(9)} ms`,
      `${count(dma).padStart(9)} accesses`,
      `${count(stale_uses).padStart(6)} stale`,
    ]),
  );
}

/** What each device did on machines that have several behind one IOMMU; of others nothing. */
export function deviceSentences(runs: readonly RunResult[]): string[] {
  const what = (machine: string) => `${machine}, behind one IOMMU, given work by turns: TLB requests, hits, accesses`;
  return partSentences('devices', what, runs, ({ devices = [] }) =>
    devices.map(({ device, device_tlb, tlb, dma, stale_uses }) => [
      device.padEnd(6),
      `${count(device_tlb).padStart(9)} inval.`,
      `${count(tlb.device_tlb!.hits).padStart(9)} hits`,
      `${count(dma).padStart(9)} accesses`,
      `${count(stale_uses).padStart(6)} stale`,
    ]),
  );
}

/** A line for each part of a machine in each run, under a line that says what they are of. */
function partSentences(
  title: string,
  what: (machine: string) => string,
  runs: readonly RunResult[],
  partsOf: (run: RunResult) => readonly string[][],
): string[] {
  const lines = runs.flatMap((run) =>
    partsOf(run).map((cells, i) => ({
      machine: run.machine,
      policy: i === 0 ? run.policy : '',
      text: cells.join('  '),
    })),
  );
  const machines = [...new Set(lines.map(({ machine }) => machine))];
  return machines.flatMap((machine) => [
    `${title.padEnd(11)}of ${what(machine)}`,
    ...lines
      .filter((line) => line.machine === machine)
      .map(({ policy, text }) => `           ${policy.padEnd(13)}${text}`),
  ]);
}
