import type { Figure } from '../model/calibration.ts';
import type { Costs } from '../model/cost.ts';
import type { Grid } from './grid.ts';

/** One row per figure: median, spread, and whether it may stand for a cost. */
export function calibrationGrid(figures: readonly Figure[], costs: Costs): Grid {
  return {
    columns: ['measured', 'median', 'spread', 'cost', 'default', 'used'],
    rows: figures.map(({ what, key, unit, median, spread, written, why }) => [
      what,
      median === null ? '-' : `${unit === 'ns' ? median.toFixed(median < 100 ? 2 : 0) : median} ${unit}`,
      spread === null ? '-' : `${(spread * 100).toFixed(0)} %`,
      key ?? '-',
      key === undefined ? '-' : `${costs[key].default} ns`,
      written ? 'yes' : `no: ${why}`,
    ]),
  };
}
