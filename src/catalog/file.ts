/**
 * Reads files that users write. Whatever is in them, the answer is a plain object of the schema's shape or one
 * UsageError of one line that names the file, the field, what was read and what was expected.
 */
import type * as Yaml from 'yaml';
import { contents, costs, schemas, shelves } from '../../build/catalog.js';
import { UsageError } from '../model/errors.ts';
import { nearText, quote } from '../model/near.ts';
import type { Mismatch, Schema, Validator } from './schema.ts';

/** Bytes of one file. The catalog's largest has a quarter; a hostile one takes the YAML parser about a second. */
export const MAX_FILE_BYTES = 1 << 16;

/** Files and their paths, where there are any. Asked for and not imported: in a browser the catalog does without. */
const disk = globalThis.process?.getBuiltinModule?.('node:fs');
const paths = globalThis.process?.getBuiltinModule?.('node:path');
const modules = globalThis.process?.getBuiltinModule?.('node:module');

/** The YAML parser. It takes 30 ms to load, and only users' files want it: what the catalog has was read when it was built. */
export function yaml(): typeof Yaml {
  return modules!.createRequire(import.meta.url)('yaml') as typeof Yaml;
}

/** Path of a file that the file `from` names, absolute only if one of the two is. */
export function beside(from: string, named: string): string {
  if (paths === undefined || paths.isAbsolute(named)) return named;
  return paths.join(paths.dirname(from), named);
}

/** What a file must be, for messages, and how large it may be. */
export interface FileKind {
  readonly what: string;
  readonly most: number;
}

const YAML_FILE: FileKind = { what: 'a YAML file', most: MAX_FILE_BYTES };

/** Text of a file. `place` stands in errors instead of the path. */
export function readText(path: string, place: string, { what, most }: FileKind = YAML_FILE): string {
  if (disk === undefined) throw new UsageError(`${place}: there are no files here, expected a name or an object`);
  let bytes: Uint8Array;
  try {
    const stat = disk.statSync(path);
    if (!stat.isFile()) throw new UsageError(`${place}: is not a file, expected ${what}`);
    if (stat.size > most) {
      throw new UsageError(`${place}: ${stat.size} bytes, expected at most ${most}`);
    }
    bytes = disk.readFileSync(path);
  } catch (error) {
    throw error instanceof UsageError ? error : new UsageError(`${place}: ${reason(error)}`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${place}: is not UTF-8 text, expected ${what}`);
  }
}

function reason(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES') return 'cannot be read, permission denied';
  return `cannot be read (${code || 'unknown reason'})`;
}

/** The content of YAML text, of the schema's shape. */
export function parseFile<T>(text: string, shape: Validator, place: string): T {
  return shaped<T>(parseYaml(text, place), shape, place);
}

/** Texts that were parsed, with their content, which is frozen: a sweep asks for the same few files thousands of times. */
const parsed = new Map<string, unknown>();
const MAX_PARSED = 32;

/** Texts of the catalog with their content. */
const shipped = new Map(
  [...Object.values(shelves).flatMap((shelf) => Object.values(shelf)), costs].map((text, i) => [text, contents[i]]),
);

/** The content of YAML text, whatever its shape. It cannot be changed. */
export function parseYaml(text: string, place: string): unknown {
  if (parsed.has(text)) return parsed.get(text);
  const content = frozen(shipped.get(text) ?? readYaml(text, place));
  if (parsed.size >= MAX_PARSED) parsed.clear();
  parsed.set(text, content);
  return content;
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}

function readYaml(text: string, place: string): unknown {
  const document = yaml().parseDocument(text, {
    schema: 'core',
    prettyErrors: false,
    logLevel: 'error',
    stringKeys: true,
  });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    const line = text.slice(0, problem.pos[0]).split('\n').length;
    throw new UsageError(`${place}:${line}: ${complaint(problem.message)}`);
  }
  try {
    return document.toJS({ maxAliasCount: 0 });
  } catch (error) {
    if (error instanceof ReferenceError)
      throw new UsageError(`${place}: has an alias (*name), expected values written out`);
    throw new UsageError(`${place}: ${complaint(error instanceof Error ? error.message : String(error))}`);
  }
}

/** One line of the parser's. */
function complaint(message: string): string {
  if (message.startsWith('Maximum call stack')) return 'is nested too deeply, expected a few levels';
  return `is not YAML: ${message.split('\n')[0]!.slice(0, 200)}`;
}

/** What a schema says of a field, such as `device.itags`; nothing if it has no such field. */
export function fieldNote(name: 'machine' | 'cpu', field: string): string {
  const found = field.split('.').reduce<Schema | undefined>((at, key) => at?.properties?.[key], schemas[name]);
  return found?.description ?? '';
}

/** Refuses a value that is not of the schema's shape. */
export function checkShape(value: unknown, shape: Validator, place: string): void {
  if (!shape(value)) throw new UsageError(`${place}: ${sentence(shape.errors![0]!)}`);
}

/** A value that a program gives, of the schema's shape. */
export function shaped<T>(value: unknown, shape: Validator, place: string): T {
  checkShape(value, shape, place);
  return value as T;
}

/** `device.itags: read 64, expected ...` */
function sentence(error: Mismatch): string {
  const field = error.instancePath.slice(1).replaceAll('/', '.').replaceAll('~1', '/').replaceAll('~0', '~');
  const at = field === '' ? '' : `${field}: `;
  const inside = field === '' ? '' : `${field}.`;
  const { keyword, params, data, parentSchema } = error;
  const { description = '', properties = {} } = (parentSchema ?? {}) as Schema;
  switch (keyword) {
    case 'required':
      return `${inside}${params.missingProperty} is missing, expected ${properties[String(params.missingProperty)]?.description}`;
    case 'additionalProperties': {
      const key = String(params.additionalProperty);
      const known = Object.keys(properties);
      return `${inside}${quote(key).slice(1, -1)}: no such field${nearText(key, known)}; fields are ${known.join(', ')}`;
    }
    case 'enum':
      return `${at}read ${quote(data)}, expected one of ${(params.allowedValues as unknown[]).join(', ')}`;
    case 'type':
      return `${at}read ${quote(data)}, expected ${article(String(params.type))}: ${description}`;
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
      return `${at}read ${quote(data)}, expected ${params.comparison} ${params.limit}: ${description}`;
    case 'minLength':
    case 'maxLength': {
      const bound = keyword === 'minLength' ? 'at least' : 'at most';
      return `${at}read ${quote(data)}, expected ${bound} ${params.limit} characters: ${description}`;
    }
    default:
      return `${at}read ${quote(data)}, expected ${description}`;
  }
}

function article(types: string): string {
  const [type] = types.split(',');
  if (type === 'object') return 'a group of fields';
  if (type === 'boolean') return 'true or false';
  return type === 'integer' ? 'an integer' : `a ${type}`;
}
