import {
  type Arch,
  CAPABILITIES,
  type Caps,
  type Cover,
  DESCRIPTOR_ERRORS,
  DESCRIPTORS,
  type Decoded,
  type DescriptorError,
  type DescriptorRange,
  type FieldValue,
  GRANULARITIES,
  STRUCTURES,
} from '../model/descriptor.ts';
import { type Numbers, numbersOf } from './encode.ts';
import { type Instance, instantiate } from './load.ts';

/** What the module exports for descriptors; see assembly/codec.ts. */
interface CodecExports {
  wordsAt(): number;
  valuesAt(): number;
  resultsAt(): number;
  rowAt(index: number): number;
  describeWords(arch: number, width: number, caps: number): void;
  readFields(kind: number): void;
  writeFields(kind: number): void;
  reservedBits(kind: number, caps: number): void;
  coverRange(): void;
}

/** Words of the largest structure. */
export const MAX_WORDS = 8;

/** A row of the engine's table, with the name of its field. */
export interface FieldRow {
  readonly name: string;
  readonly field: number;
  readonly word: number;
  readonly low: number;
  readonly high: number;
  /** Left shift of the value. */
  readonly shift: number;
}

const RANGE_WHATS = ['none', 'pages', 'all', 'entries'] as const;

/** Capabilities as the engine takes them, in one word. */
export function capabilityBits(number: Numbers, arch: Arch, caps: Caps): number {
  let bits = 0;
  for (const [name, { most, otherwise }] of Object.entries(CAPABILITIES[arch])) {
    const value = caps[name] ?? otherwise;
    // MAMV is a number in the low bits; the others are a bit each.
    bits |= most > 1 ? value : value * number(`CAP_${name.toUpperCase()}`);
  }
  return bits;
}

/** Reasons why the engine refuses a descriptor, by its numbers. */
export function errorsByNumber(number: Numbers): ReadonlyMap<number, DescriptorError> {
  const errors = Object.keys(DESCRIPTOR_ERRORS) as DescriptorError[];
  return new Map(errors.map((name) => [number(`ERROR_${name.toUpperCase()}`), name]));
}

/** Descriptors in and out of words, by the engine's table. Names and numbers meet here. */
export class DescriptorCodec {
  private readonly instance: Instance<CodecExports>;
  private readonly number: Numbers;
  private readonly errors: ReadonlyMap<number, DescriptorError>;
  private readonly kinds: ReadonlyMap<number, string>;
  /** Rows of the table by descriptor. */
  private readonly rows = new Map<number, FieldRow[]>();

  constructor(module: WebAssembly.Module) {
    this.instance = instantiate<CodecExports>(module);
    this.number = numbersOf(this.instance.exports);
    this.errors = errorsByNumber(this.number);
    const kinds = Object.entries(DESCRIPTORS).flatMap(([arch, list]) =>
      Object.keys(list).map((kind): [number, string] => [this.descriptor(arch as Arch, kind), kind]),
    );
    this.kinds = new Map(kinds);
    this.readTable();
  }

  /** Takes the words of a queue's slot apart: 2 of 128 bits, 4 of 256. */
  decode(arch: Arch, words: readonly bigint[], caps: Caps = {}): Decoded {
    this.putWords(words);
    const { exports } = this.instance;
    const bits = capabilityBits(this.number, arch, caps);
    const width = words.length * 64;
    exports.describeWords(this.number(`ARCH_${arch.toUpperCase()}`), width, bits);
    const number = Number(this.result('KIND'));
    const granularity = Number(this.result('GRANULARITY'));
    const reason = this.errors.get(Number(this.result('ERROR')));
    const decoded = {
      arch,
      width,
      code: Number(this.result('CODE')),
      kind: this.kinds.get(number),
      granularity: GRANULARITIES.find((name) => this.number(`GRANULARITY_${name.toUpperCase()}`) === granularity),
      range: this.range(),
      error: reason === undefined ? undefined : this.error(reason),
    };
    return { ...decoded, fields: number === 0 ? [] : this.fields(number, bits) };
  }

  /** The words of a descriptor whose fields have these values; the inverse of `decode` for a valid one. */
  encode(arch: Arch, kind: string, fields: readonly Pick<FieldValue, 'name' | 'value'>[], width = 128): bigint[] {
    return this.write(this.descriptor(arch, kind), fields, width / 64);
  }

  /** Fields of a structure in memory. */
  decodeStructure(name: string, words: readonly bigint[]): FieldValue[] {
    this.putWords(words);
    return this.fields(this.structure(name), 0);
  }

  /** The inverse of `decodeStructure`, as far as the words have no bits outside their fields. */
  encodeStructure(name: string, fields: readonly FieldValue[], words: number): bigint[] {
    return this.write(this.structure(name), fields, words);
  }

  /** The table's rows of a structure. */
  structureRows(name: string): readonly FieldRow[] {
    return this.rows.get(this.structure(name)) ?? [];
  }

  /** Reserved bits of each word of a descriptor that has `words` of them. */
  reserved(arch: Arch, kind: string, words: number, caps: Caps = {}): bigint[] {
    this.instance.exports.reservedBits(this.descriptor(arch, kind), capabilityBits(this.number, arch, caps));
    return [...this.view('words').subarray(0, words)];
  }

  /** How commands cover pages first..last, both below 2^52. */
  cover(first: bigint, last: bigint): Cover {
    this.putWords([first, last]);
    this.instance.exports.coverRange();
    const order = Number(this.result('ORDER'));
    return {
      order,
      base: ((first >> BigInt(order)) << BigInt(order)) << 12n,
      rounded: Number(this.result('ROUNDED')),
      roundedBase: this.result('ROUNDED_BASE'),
      deviceWord: this.result('DEVICE_WORD'),
      amdWord: this.result('AMD_WORD'),
    };
  }

  private readTable(): void {
    const { exports, memory } = this.instance;
    const names = new Map<number, string>();
    for (const name of Object.keys(exports)) {
      if (name.startsWith('FIELD_')) names.set(this.number(name), name.slice('FIELD_'.length));
    }
    for (let i = 0; i < this.number('ROWS'); i++) {
      const bytes = new Uint8Array(memory.buffer, exports.rowAt(i), this.number('ROW_BYTES'));
      const [kind, field, word, low, high, shift] = bytes as unknown as [
        number,
        number,
        number,
        number,
        number,
        number,
      ];
      const rows = this.rows.get(kind) ?? [];
      rows.push({ name: names.get(field)!, field, word, low, high, shift });
      this.rows.set(kind, rows);
    }
  }

  private descriptor(arch: Arch, kind: string): number {
    return this.number(`DESC_${arch.toUpperCase()}_${kind.toUpperCase()}`);
  }

  private structure(name: string): number {
    if (!Object.hasOwn(STRUCTURES, name)) throw new Error(`no structure ${name}`);
    return this.number(`DESC_STRUCT_${name.toUpperCase()}`);
  }

  private view(block: 'words' | 'values' | 'results'): BigUint64Array {
    const { exports, memory } = this.instance;
    const length = block === 'words' ? MAX_WORDS : block === 'values' ? this.number('FIELDS') : 10;
    return new BigUint64Array(memory.buffer, exports[`${block}At`](), length);
  }

  private result(name: string): bigint {
    return this.view('results')[this.number(`RESULT_${name}`)]!;
  }

  private putWords(words: readonly bigint[]): void {
    const view = this.view('words').fill(0n);
    view.set(words.slice(0, MAX_WORDS));
  }

  private error(reason: DescriptorError): Decoded['error'] {
    if (reason !== 'reserved_bits') return { reason };
    return { reason, word: Number(this.result('ERROR_WORD')), bits: this.result('ERROR_BITS') };
  }

  private range(): DescriptorRange | undefined {
    const what = RANGE_WHATS.find(
      (name) => this.number(`RANGE_${name.toUpperCase()}`) === Number(this.result('RANGE')),
    )!;
    if (what === 'none') return undefined;
    if (what === 'all') return { what };
    return { what, base: this.result('BASE'), count: this.result('COUNT'), shift: Number(this.result('SHIFT')) };
  }

  /** Values of the fields of the words that were put, in the order of the table; each field once. */
  private fields(kind: number, caps: number): FieldValue[] {
    this.instance.exports.readFields(kind);
    this.instance.exports.reservedBits(kind, caps);
    const values = this.view('values');
    const masks = this.view('words');
    const found = new Map<string, FieldValue & { parts: [number, number, number][] }>();
    for (const { name, field, word, low, high } of this.rows.get(kind) ?? []) {
      const entry = found.get(name) ?? { name, value: values[field]!, reserved: isSet(masks[word]!, low), parts: [] };
      entry.parts.push([word, high, low]);
      found.set(name, entry);
    }
    return [...found.values()];
  }

  private write(kind: number, fields: readonly Pick<FieldValue, 'name' | 'value'>[], words: number): bigint[] {
    const values = this.view('values').fill(0n);
    for (const { name, value } of fields) values[this.number(`FIELD_${name}`)] = value;
    this.instance.exports.writeFields(kind);
    return [...this.view('words').subarray(0, words)];
  }
}

function isSet(mask: bigint, bit: number): boolean {
  return ((mask >> BigInt(bit)) & 1n) === 1n;
}
