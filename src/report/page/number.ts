import { count } from '../grid.ts';

const UNITS: readonly (readonly [ns: number, name: string])[] = [
  [1e9, 's'],
  [1e6, 'ms'],
  [1e3, 'us'],
  [1, 'ns'],
];

/** A duration with three digits in the unit that suits it: 1234.5 -> `1.23 us`. */
export function duration(ns: number): string {
  const [size, name] = UNITS.find(([size]) => Math.abs(ns) >= size) ?? UNITS.at(-1)!;
  return ns === 0 ? '0' : `${short(ns / size)} ${name}`;
}

/** A duration that is a round number: 1000 -> `1 us`. */
export function round(ns: number): string {
  return duration(ns).replace(/\.0+ /, ' ');
}

/** Three digits, or all that stand before the point. */
export function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e15) return value.toExponential(2);
  const digits = size >= 100 || value === 0 ? 0 : size >= 10 ? 1 : 2;
  const text = value.toFixed(digits);
  return size >= 1000 ? whole(Math.round(value)) : text;
}

/** An integer with separators. */
export function whole(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e15
    ? `${value < 0 ? '-' : ''}${count(Math.abs(value))}`
    : String(value);
}
