import { textOf } from '../text.ts';
import { champsim } from './champsim.ts';
import { csv } from './csv.ts';
import type { Exporter } from './exporter.ts';
import { lackey } from './lackey.ts';

const text: Exporter = {
  name: 'text',
  summary: "iommulator's own text form, lossless",
  write: (trace) => textOf(trace),
};

/** All formats that a trace can be written in. */
export const EXPORTERS: readonly Exporter[] = [text, csv, champsim, lackey];
