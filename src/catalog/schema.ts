/** The published JSON schemas of files that users write, and what checks them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { ErrorObject } from 'ajv';

/** The published schemas: beside this file, and from dist/ in src/. */
const FOLDER = new URL('../../src/catalog/schema/', import.meta.url);

/** Names of the schemas. */
export const SCHEMAS = [
  'policy',
  'machine',
  'cpu',
  'costs',
  'sweep',
  'gathered',
  'experiment',
  'result',
  'exploration',
  'history',
  'host',
] as const;
export type SchemaName = (typeof SCHEMAS)[number];

/** A JSON schema, as far as it is read here. */
export interface Schema {
  readonly description?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

const schemas = new Map<SchemaName, Schema>();

/** A schema by its name. */
export function schemaOf(name: SchemaName): Schema {
  let schema = schemas.get(name);
  if (schema === undefined) {
    schema = name === 'cpu' ? cpuSchema(schemaOf('machine')) : readSchema(name);
    schemas.set(name, schema);
  }
  return schema;
}

function readSchema(name: SchemaName): Schema {
  return JSON.parse(readFileSync(new URL(`${name}.schema.json`, FOLDER), 'utf8')) as Schema;
}

/** A CPU's file is the group of a machine's file, and says what it is as that does. */
function cpuSchema({ properties = {} }: Schema): Schema {
  const { name, title, source, cpu } = properties as Record<'name' | 'title' | 'source' | 'cpu', Schema>;
  return {
    ...cpu,
    required: ['name', 'title', 'source', ...(cpu.required ?? [])],
    properties: { name, title, source, ...cpu.properties },
  };
}

/** Whether a value is of a schema's shape. If not, `errors` says where and why; each has the value and its schema. */
export interface Validator {
  (value: unknown): boolean;
  readonly errors?: readonly ErrorObject[] | null;
}

const require = createRequire(import.meta.url);

/** What checks a schema. `build.mjs` has compiled it: compiling takes longer than all else that a short command does. */
export function validatorOf(name: SchemaName): Validator {
  return require(`../../build/validators/${name}.cjs`) as Validator;
}
