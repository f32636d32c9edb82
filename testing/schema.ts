import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { ROOT } from './cli.ts';

const FOLDER = join(ROOT, 'src/catalog/schema');
const ENDS = '.schema.json';

/** A schema that lets nothing pass that it does not describe. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const fields = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value)]));
  return 'properties' in fields && !('additionalProperties' in fields)
    ? { ...fields, additionalProperties: false }
    : fields;
}

const ajv = new Ajv({ allowUnionTypes: true, allErrors: true, strictTypes: false });
for (const file of readdirSync(FOLDER))
  ajv.addSchema(closed(JSON.parse(readFileSync(join(FOLDER, file), 'utf8'))) as object, file);

/** Where a value is not of a published schema, or has what that does not describe; nothing if it is of it. */
export function mismatches(schema: string, value: unknown): unknown[] {
  const valid = ajv.getSchema(`${schema}${ENDS}`)!;
  valid(value);
  return (valid.errors ?? []).map(({ instancePath, message, params }) => [instancePath, message, params]);
}
