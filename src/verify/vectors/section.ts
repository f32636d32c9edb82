import type { Value } from './value.ts';

/**
 * One kind of vectors. A vector's two sides are texts: `both` collects what was expected and what the engine says, side by
 * side, and they hold if they are equal.
 */
export interface Section {
  /** Key of the file's top level. */
  readonly name: string;
  /** Prepares the engine; the function that is given back runs one vector. */
  readonly start: (module: WebAssembly.Module) => (vector: Value, both: Sides) => void;
}

/** Both sides of one vector, in words. */
export class Sides {
  private readonly expects: string[] = [];
  private readonly says: string[] = [];

  /** Adds `name=value` to each side; nothing known is `-`. */
  add(name: string, expected: string, got: string | undefined): void {
    this.expects.push(`${name}=${expected}`);
    this.says.push(`${name}=${got ?? '-'}`);
  }

  get expected(): string {
    return this.expects.join(' ');
  }

  get got(): string {
    return this.says.join(' ');
  }

  /** Nothing expected holds nothing. */
  get holds(): boolean {
    return this.expects.length > 0 && this.expected === this.got;
  }
}
