import { DescriptorCodec } from '../../engine/descriptor.ts';
import { type Arch, CAPABILITIES, type Caps, DESCRIPTORS, type Decoded, hex } from '../../model/descriptor.ts';
import type { Section, Sides } from './section.ts';
import { optionalHex, type Value } from './value.ts';

/** What an invalid descriptor is called in each section, and which event AMD logs. */
const STATUS = { vtd: 'error', amd: 'error', smmuv3: 'CERROR_ILL', riscv: 'cmd_ill' } as const;
const ERROR: Readonly<Record<Arch, string | undefined>> = {
  vtd: 'IQE',
  amd: 'ILLEGAL_COMMAND_ERROR',
  smmuv3: undefined,
  riscv: undefined,
};
const ILLEGAL_COMMAND_EVENT = 5n;

/** Descriptors and commands: words and capabilities -> what they say, or why they are invalid. */
export const descriptorSections: readonly Section[] = (['vtd', 'amd', 'smmuv3', 'riscv'] as const).map((arch) => ({
  name: arch,
  start: (module) => {
    const codec = new DescriptorCodec(module);
    return (vector, both) => {
      const words = vector
        .need('words')
        .items(2, 4)
        .map((word) => word.number());
      const caps = capabilities(arch, words.length, vector.get('caps'), both);
      const decoded = codec.decode(arch, words, caps);
      for (const [key, value] of vector.need('expect').entries()) {
        for (const row of rowsOf(key, value, decoded)) both.add(...row);
      }
    };
  },
}));

/** Capabilities of the hardware; one that is not known cannot hold. */
function capabilities(arch: Arch, words: number, given: Value | undefined, both: Sides): Caps {
  const known = Object.entries(CAPABILITIES[arch]);
  const caps: Record<string, number> = {};
  for (const [name, value] of given?.entries() ?? []) {
    if (name === 'queue_width') {
      const width = hex(value.number(256n));
      if (width !== hex(BigInt(words * 64))) both.add(name, width, hex(BigInt(words * 64)));
      continue;
    }
    const found = known.find(([key]) => key.toLowerCase() === name.toLowerCase());
    if (found === undefined) both.add(`caps.${name}`, hex(value.number()), undefined);
    else caps[found[0]] = Number(value.number(BigInt(found[1].most)));
  }
  return caps;
}

/** Name, what was expected, what the engine says. */
type Row = readonly [string, string, string | undefined];

/** One key of what a vector expects. */
function rowsOf(key: string, value: Value, decoded: Decoded): Row[] {
  const { arch, error } = decoded;
  const text = (got: string | undefined): Row[] => [[key, value.word(), got]];
  const number = (got: bigint | undefined): Row[] => [[key, hex(value.number()), optionalHex(got)]];
  switch (key) {
    // From memory of the manual; not to be tested.
    case 'iqei_hint':
      return [];
    case 'status':
      return text(error === undefined ? 'ok' : STATUS[arch]);
    case 'type':
      return text(nameOf(decoded));
    case 'granularity':
      return text(decoded.granularity);
    case 'fields':
      return value.entries().map(([name, field]) => {
        const got = decoded.fields.find((known) => known.name === name.toUpperCase());
        return [name, hex(field.number()), optionalHex(got?.value)];
      });
    case 'range':
      return value.entries().map(([name, part]) => [name, rangeText(name, part), rangePart(name, decoded)]);
    case 'range_pages':
      return [[key, value.raw === 'all' ? 'all' : hex(value.number()), rangePart('count', decoded)]];
    case 'error':
      return text(error && ERROR[arch]);
    case 'event_code':
      return number(error && arch === 'amd' ? ILLEGAL_COMMAND_EVENT : undefined);
    case 'reason':
      return text(error?.reason);
    case 'qw':
      return number(error?.word === undefined ? undefined : BigInt(error.word));
    case 'bits':
      return number(error?.bits);
    case 'type_raw':
    case 'opcode':
      return number(BigInt(decoded.code));
    default:
      return [[key, 'tested', undefined]];
  }
}

function nameOf({ arch, kind }: Decoded): string | undefined {
  return kind === undefined ? undefined : Object.entries(DESCRIPTORS[arch]).find(([key]) => key === kind)?.[1].name;
}

/** 2^64 bytes are everything. */
const ALL_BYTES = '18446744073709551616';

function rangeText(name: string, part: Value): string {
  if (name === 'leaf_only') return String(part.flag());
  if (name === 'size' && (part.raw === 'all' || part.raw === ALL_BYTES)) return 'all';
  return hex(part.number());
}

function rangePart(name: string, { range, fields }: Decoded): string | undefined {
  if (range === undefined) return undefined;
  const all = range.what === 'all';
  switch (name) {
    case 'base':
    case 'first':
      return all ? '0' : hex(range.base);
    case 'size':
      return all ? 'all' : hex(range.count << BigInt(range.shift));
    case 'count':
      return all ? 'all' : hex(range.count);
    case 'leaf_only':
      return String(fields.find((field) => field.name === 'IH')?.value === 1n);
    default:
      return undefined;
  }
}
