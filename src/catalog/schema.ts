/** What checks files and results; `build.mjs` compiles the published JSON schemas to such functions in build/validators. */

/** A JSON schema, as far as it is read here. */
export interface Schema {
  readonly description?: string;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
}

/** Where a value is not of a schema's shape, and why: an error of ajv, with the value and its schema. */
export interface Mismatch {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly data?: unknown;
  readonly parentSchema?: object;
}

/** Whether a value is of a schema's shape. If not, `errors` says where and why. */
export interface Validator {
  (value: unknown): boolean;
  readonly errors?: readonly Mismatch[] | null;
}
