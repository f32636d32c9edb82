import { hex } from '../../model/descriptor.ts';
import { UsageError } from '../../model/errors.ts';
import { quote } from '../../model/near.ts';

/**
 * What stands in a file of vectors, checked where it is read. Whatever is in the file, the answer is a value of the kind
 * asked for or one UsageError that names the place, what was read and what was expected.
 */
export class Value {
  constructor(
    readonly raw: unknown,
    /** `file: section[3].expect.fields`. */
    readonly place: string,
  ) {}

  /** Keys and values of an object. */
  entries(): [string, Value][] {
    if (typeof this.raw !== 'object' || this.raw === null || Array.isArray(this.raw)) this.refuse('an object');
    return Object.entries(this.raw as object).map(([key, value]) => [key, new Value(value, `${this.place}.${key}`)]);
  }

  /** A field of an object; undefined if it is not there. */
  get(key: string): Value | undefined {
    return this.entries().find(([name]) => name === key)?.[1];
  }

  /** A field that must be there. */
  need(key: string): Value {
    return this.get(key) ?? new Value(undefined, `${this.place}.${key}`);
  }

  /** Between `least` and `most` items of a list. */
  items(least = 0, most = MAX_ITEMS): Value[] {
    if (!Array.isArray(this.raw)) this.refuse('a list');
    const list = this.raw as unknown[];
    if (list.length < least || list.length > most) {
      throw new UsageError(`${this.place}: ${list.length} items, expected ${least} to ${most}`);
    }
    return list.map((value, i) => new Value(value, `${this.place}[${i}]`));
  }

  /** A short word, such as an id: letters, digits and a few signs, so that it may stand in a table. */
  word(): string {
    if (typeof this.raw !== 'string' || !/^[\w.,:;()<>=+/ -]{1,100}$/.test(this.raw)) this.refuse('a short word');
    return this.raw as string;
  }

  /** Whether it is true or 1, false or 0. */
  flag(): boolean {
    if (this.raw !== true && this.raw !== false && this.raw !== 0 && this.raw !== 1) this.refuse('true or false');
    return Boolean(this.raw);
  }

  /** A number up to `most`: 7, "7" or "0x7". */
  number(most = MAX_WORD): bigint {
    const { raw } = this;
    const read =
      typeof raw === 'number' && Number.isSafeInteger(raw) && raw >= 0
        ? BigInt(raw)
        : typeof raw === 'string' && /^(0x[0-9a-f]{1,16}|\d{1,20})$/i.test(raw)
          ? BigInt(raw)
          : undefined;
    if (read === undefined || read > most) this.refuse(`a number from 0 to ${most < 1000n ? most : hex(most)}`);
    return read as bigint;
  }

  private refuse(expected: string): never {
    throw new UsageError(`${this.place}: read ${quote(this.raw)}, expected ${expected}`);
  }
}

/** Items of one list; a file of vectors has some hundreds. */
const MAX_ITEMS = 100_000;
const MAX_WORD = (1n << 64n) - 1n;

/** The text of a number that may not be there. */
export function optionalHex(value: bigint | undefined): string | undefined {
  return value === undefined ? undefined : hex(value);
}
