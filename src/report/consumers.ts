import type { RunResult } from '../model/result.ts';
import { count } from './grid.ts';

/** What each consumer did on machines that have several, in the order in which they are called; of others nothing. */
export function consumerSentences(runs: readonly RunResult[]): string[] {
  const lines = runs.flatMap(({ machine, policy, consumers = [] }) =>
    consumers.map((one, i) => {
      const { invalidations, callback_ns, dma, stale_uses } = one;
      const cells = [
        one.machine.padEnd(18),
        `${count(invalidations.secondary!).padStart(9)} inval.`,
        `${(callback_ns / 1e6).toFixed(2).padStart(9)} ms`,
        `${count(dma).padStart(9)} accesses`,
        `${count(stale_uses).padStart(6)} stale`,
      ];
      return { machine, policy: i === 0 ? policy : '', text: cells.join('  ') };
    }),
  );
  const machines = [...new Set(lines.map(({ machine }) => machine))];
  return machines.flatMap((machine) => [
    `consumers  of ${machine}, as they are called: invalidations, time in callbacks, accesses`,
    ...lines
      .filter((line) => line.machine === machine)
      .map(({ policy, text }) => `           ${policy.padEnd(13)}${text}`),
  ]);
}
