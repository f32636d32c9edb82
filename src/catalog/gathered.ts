/** Reads gathered results of a sweep: one JSON object a line. */
import { basename } from 'node:path';
import shape from '../../build/validators/gathered.js';
import { UsageError } from '../model/errors.ts';
import type { GatheredRow, GatheredSweep } from '../model/sweep.ts';
import { shaped } from './file.ts';

/** The sweep in a text that `sweep gather -o FILE.ndjson` wrote; it is named after its file. */
export function parseGathered(text: string, path: string): GatheredSweep {
  const rows = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line, i) => shaped<GatheredRow>(parseLine(line, `${path}:${i + 1}`), shape, `${path}:${i + 1}`));
  if (rows.length === 0) throw new UsageError(`${path}: is empty, expected what sweep gather writes`);
  const models = [...new Set(rows.map(({ model }) => model))];
  if (models.length > 1)
    throw new UsageError(`${path}: has runs of models ${models.join(' and ')}, whose numbers cannot be compared`);
  return { name: basename(path).replace(/\.ndjson$/, ''), model: models[0]!, rows };
}

function parseLine(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    throw new UsageError(`${place}: is not JSON, expected a line that sweep gather wrote`);
  }
}
