import type { AxisValue } from '../../model/sweep.ts';
import { costsOf, drawnText, levelText, MOST_PANELS, type Panel } from './curves.ts';
import { html, type Markup } from './markup.ts';
import { figure, fillOf, fixed, HALF, inPairs, key, shorten, word } from './svg.ts';
import { table } from './table.ts';

/** A plot of curves at one value of a second setting. */
export interface Column extends Panel {
  readonly across: AxisValue;
}

/** Plots of the cheapest policy over two settings. */
export interface Areas {
  readonly id: string;
  /** Upward: the axis of the curves, with its values. */
  readonly axis: string;
  readonly values: readonly AxisValue[];
  /** To the right: the second setting, with its values. */
  readonly second: string;
  readonly seconds: readonly AxisValue[];
  readonly policies: readonly string[];
  readonly columns: readonly Column[];
}

/** Neighbouring values of the axis where one policy is the cheapest: from the value of one place to that of another. */
interface Stretch {
  readonly policy: string;
  readonly first: number;
  readonly last: number;
}

const LEFT = 52;
const RIGHT = 18;
const HEAD = 24;
const PLOT = 170;
const FOOT = 40;
/** Words along an edge. */
const WORDS = 6;

/** Where which policy is the cheapest: a plot for each group of runs, areas told apart by pattern. */
export function areas({ id, axis, values, second, seconds, policies, columns }: Areas): Markup {
  const groups = [...new Set(columns.map(({ group }) => group))];
  const stretches = new Map(columns.map((column) => [column, stretchesOf(column, values)]));
  const used = policies.filter((policy) => [...stretches.values()].flat().some((one) => one.policy === policy));
  const wide = (HALF - LEFT - RIGHT) / seconds.length;
  const high = PLOT / values.length;
  const shown = groups.slice(0, MOST_PANELS);
  const plots = shown.map((group) => {
    const mine = columns.filter((column) => column.group === group);
    const drawn = mine.flatMap((column) =>
      stretches.get(column)!.map(({ policy, first, last }) => {
        const tip = `${second} ${column.across}, ${axis} ${rangeOf(values, first, last)}: ${policy} is the cheapest`;
        const x = LEFT + seconds.indexOf(column.across) * wide;
        const y = HEAD + PLOT - (last + 1) * high;
        return html`<rect class="mark" ${fillOf(policies.indexOf(policy))} x="${fixed(x)}" y="${fixed(y)}" width="${fixed(wide)}" height="${fixed((last - first + 1) * high)}"><title>${tip}</title></rect>`;
      }),
    );
    const up = few(values).map(({ value, place }) =>
      word(LEFT - 6, HEAD + PLOT - (place + 0.5) * high + 4, shorten(String(value), LEFT - 6), 'end', 'tick'),
    );
    const right = few(seconds).map(({ value, place }) =>
      word(LEFT + (place + 0.5) * wide, HEAD + PLOT + 14, shorten(String(value), 56), 'middle', 'tick'),
    );
    const names = html`${word(0, 14, shorten(group, HALF - RIGHT), 'start', 'machine')}${word(HALF - RIGHT, HEAD + PLOT + 28, shorten(second, HALF - LEFT), 'end', 'tick')}`;
    return html`${names}${drawn}${up}${right}`;
  });
  const title = `The cheapest policy, by ${axis} and ${second}`;
  return figure({
    id,
    title,
    about: `Upward: ${axis}; to the right: ${second}. Each area: the policy that adds the least work per page, safe or not.${levelText(columns, axis)}${drawnText(shown, groups)}`,
    legend: used.map((policy) => key(policies.indexOf(policy), policy)),
    ...inPairs(plots, HEAD + PLOT + FOOT),
    table: table(
      title,
      [{ title: 'of', kind: 'name' }, { title: second }, { title: `cheapest, by ${axis}` }],
      columns.map((column) => ({
        cells: [
          column.group,
          String(column.across),
          stretches
            .get(column)!
            .map(({ policy, first, last }) => `${rangeOf(values, first, last)}: ${policy}`)
            .join('; '),
        ],
      })),
    ),
  });
}

/** From the least value of the axis to the greatest, the cheapest of the policies that were run there, if more than one was. */
function stretchesOf(column: Column, values: readonly AxisValue[]): Stretch[] {
  const costs = column.curves.map((curve) => ({ policy: curve.name, at: costsOf(curve, column, values) }));
  const found: Stretch[] = [];
  values.forEach((value, place) => {
    const here = costs.flatMap(({ policy, at }) => {
      const point = at.get(value);
      return point === undefined ? [] : [{ policy, cost: point.cost }];
    });
    if (here.length < 2) return;
    const { policy } = here.reduce((best, one) => (one.cost < best.cost ? one : best));
    const last = found.at(-1);
    if (last?.policy === policy && last.last === place - 1) found[found.length - 1] = { ...last, last: place };
    else found.push({ policy, first: place, last: place });
  });
  return found;
}

function rangeOf(values: readonly AxisValue[], first: number, last: number): string {
  return first === last ? String(values[first]) : `${values[first]}..${values[last]}`;
}

/** Some values with their places, at equal steps. */
function few(values: readonly AxisValue[]): { value: AxisValue; place: number }[] {
  const all = values.map((value, place) => ({ value, place }));
  return all.filter(({ place }) => place % Math.ceil(all.length / WORDS) === 0);
}
