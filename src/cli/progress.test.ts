import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { withoutProgress } from '../../testing/cli.ts';
import { startProgress } from './progress.ts';

let written = '';
beforeEach(() => {
  written = '';
  vi.useFakeTimers();
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written += text;
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

describe('progress of work, by when it is reported', () => {
  // Milliseconds, share done, total, unit, and what is said.
  const CASES: [ms: number, done: number, total: number | undefined, unit: string, said: string][] = [
    [900, 0.5, 100, 'records', ''],
    [10_000, 0.25, 40_000_000, 'records', 'replaying x 25 %, 1.0 M records/s, 30 s left\n'],
    [10_000, 0.5, 5, 'explorations', 'replaying x 50 %, 0.3 explorations/s, 10 s left\n'],
    [20_000, 0.1, 3e9, 'B', 'replaying x 10 %, 15 MB/s, 180 s left\n'],
    [20_000, 0.1, undefined, '', 'replaying x 10 %, 180 s left\n'],
    [20_000, 0, 100, 'records', 'replaying x 0 %, 0.0 records/s\n'],
  ];
  for (const [ms, done, total, unit, said] of CASES) {
    test(said.trim() || 'nothing of short work', () => {
      const progress = startProgress('replaying x', false, unit);
      vi.advanceTimersByTime(ms);
      progress.update(done, total);
      progress.end();
      expect(written).toBe(said);
      expect(withoutProgress(written)).toBe('');
    });
  }
});

test('nothing is said with --quiet', () => {
  const progress = startProgress('replaying x', true, 'records');
  vi.advanceTimersByTime(60_000);
  progress.update(0.5, 100);
  expect(written).toBe('');
});
