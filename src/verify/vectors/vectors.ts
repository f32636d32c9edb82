import type { Check } from '../../model/check.ts';
import { UsageError } from '../../model/errors.ts';
import { descriptorSections } from './descriptors.ts';
import { ranges } from './ranges.ts';
import { type Section, Sides } from './section.ts';
import { structureSections } from './structures.ts';
import { translationSections } from './translation.ts';
import { Value } from './value.ts';

/** Every kind of vectors that can be run. */
const SECTIONS: readonly Section[] = [...descriptorSections, ...structureSections, ...translationSections, ranges];

/** Top-level keys that hold no vectors, or such as are partly in words. */
const LEFT_OUT = new Set(['meta', 'sequences']);

/** A file of vectors, held against the engine. */
export interface VectorResult {
  /** One check per vector. */
  readonly checks: readonly Check<string>[];
  readonly held: number;
  readonly failed: number;
}

/**
 * Runs every vector of every section of a file's text. A section that is not known is a check that fails; a file that is
 * not of the form is a UsageError.
 */
export function verifyVectors(text: string, file: string, module: WebAssembly.Module): VectorResult {
  const checks: Check<string>[] = [];
  const names = new Set<string>();
  for (const [name, section] of parse(text, file).entries()) {
    if (LEFT_OUT.has(name)) continue;
    const known = SECTIONS.find((one) => one.name === name);
    if (known === undefined) {
      new Value(name, `${file}: section`).word();
      checks.push(check(`section ${name}`, 'tested', 'unknown', false));
      continue;
    }
    const run = known.start(module);
    for (const vector of vectorsOf(section)) {
      const id = vector.need('id').word();
      if (names.has(id)) throw new UsageError(`${vector.place}: ${id} is there twice`);
      names.add(id);
      const both = new Sides();
      run(vector, both);
      checks.push(check(id, both.expected, both.got, both.holds));
    }
  }
  if (checks.length === 0) throw new UsageError(`${file}: holds no vectors`);
  const failed = checks.filter(({ holds }) => !holds).length;
  return { checks, held: checks.length - failed, failed };
}

function check(name: string, expected: string, got: string, holds: boolean): Check<string> {
  return { name, kind: 'predicted', expected, got, tolerance: 0, holds };
}

function parse(text: string, file: string): Value {
  try {
    return new Value(JSON.parse(text), file);
  } catch (error) {
    const message = error instanceof Error ? error.message.split('\n')[0]! : '';
    throw new UsageError(`${file}: is not JSON: ${message.replace(/[^ -~]/g, '?').slice(0, 120)}`);
  }
}

/** The vectors of a section: a list, or an object of them by id. */
function vectorsOf(section: Value): Value[] {
  if (Array.isArray(section.raw)) return section.items();
  return section.entries().map(([id, { raw, place }]) => new Value({ id, fields: raw }, place));
}
