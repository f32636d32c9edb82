import {
  type Arch,
  DESCRIPTOR_ERRORS,
  DESCRIPTORS,
  type Decoded,
  type DescriptorKind,
  type FieldValue,
  hex,
} from '../model/descriptor.ts';
import { fieldMeaning } from './field.ts';
import { type Grid, renderGrid } from './grid.ts';
import { removedBy } from './removed.ts';

/** How each command set is called, and what it calls the number of a descriptor. */
const ARCH: Readonly<Record<Arch, { readonly title: string; readonly code: string; readonly refusal: string }>> = {
  vtd: { title: 'Intel VT-d', code: 'type', refusal: 'IQE: the head stays on it, and nothing behind it is fetched' },
  amd: {
    title: 'AMD-Vi',
    code: 'opcode',
    refusal: 'ILLEGAL_COMMAND_ERROR: event 5 with its address, and the command buffer stops',
  },
  smmuv3: { title: 'SMMUv3', code: 'opcode', refusal: 'CERROR_ILL: GERROR.CMDQ_ERR is raised, and the queue stops' },
  riscv: { title: 'RISC-V IOMMU', code: 'opcode', refusal: 'cqcsr.cmd_ill: the head stays on it, and the queue stops' },
};

/** A row per field, then what the descriptor does, or why it is invalid. */
export function descriptorGrid(decoded: Decoded): Grid {
  const verdicts = sentences(decoded).map(([name, text]) => [name, '', '', text]);
  return { ...fieldGrid(decoded), rows: [...fieldGrid(decoded).rows, ...verdicts] };
}

/** The descriptor in words. */
export function descriptorText(decoded: Decoded): string {
  const { arch, width, code } = decoded;
  const { title, code: what } = ARCH[arch];
  const known = kindOf(decoded);
  const head = `${title} ${known?.name ?? 'descriptor'}, ${what} ${hex(BigInt(code))}, ${width} bits`;
  const does = known === undefined ? '' : `\n${known.does}`;
  const lines = sentences(decoded).map(([name, text]) => `${name.padEnd(8)} ${text}\n`);
  const fields = decoded.fields.length === 0 ? '' : `${renderGrid(fieldGrid(decoded), 'table')}\n`;
  return `${head}${does}\n\n${fields}${lines.join('')}`;
}

/** The descriptor for scripts; numbers of 64 bits are hexadecimal text, as in a file of vectors. */
export function descriptorJson(decoded: Decoded): object {
  const { arch, width, code, fields, granularity = null, range, error } = decoded;
  return {
    arch,
    width,
    code,
    type: kindOf(decoded)?.name ?? null,
    status: error === undefined ? 'ok' : 'error',
    fields: Object.fromEntries(fields.map(({ name, value }) => [name, `0x${value.toString(16)}`])),
    granularity,
    range: rangeJson(range),
    error:
      error === undefined
        ? null
        : { ...error, bits: error.bits === undefined ? undefined : `0x${error.bits.toString(16)}` },
    removes: removedBy(decoded),
  };
}

function rangeJson(range: Decoded['range']): object | null {
  if (range === undefined) return null;
  if (range.what === 'all') return { base: '0x0', size: 'all' };
  const { base, count, shift } = range;
  if (range.what === 'entries') return { first: Number(base), count: Number(count) };
  return { base: `0x${base.toString(16)}`, size: (count << BigInt(shift)).toString() };
}

function kindOf({ arch, kind }: Decoded): DescriptorKind | undefined {
  return Object.entries(DESCRIPTORS[arch]).find(([key]) => key === kind)?.[1];
}

function fieldGrid(decoded: Decoded): Grid {
  const rows = decoded.fields.map((field) => {
    const opcode = field.name === 'OPCODE';
    const name = opcode ? ARCH[decoded.arch].code : field.name;
    const meaning = opcode ? kindOf(decoded)!.name : (fieldMeaning(decoded, field) ?? '');
    return [name, bitsOf(field), hex(field.value), meaning];
  });
  return { columns: ['field', 'bits', 'value', 'meaning'], rows };
}

/** `qw0 5:4`; a split field has its parts in one word. */
function bitsOf({ parts }: FieldValue): string {
  const text = parts.map(([, high, low]) => (high === low ? `${high}` : `${high}:${low}`));
  return `qw${parts[0]![0]} ${text.join(',')}`;
}

function sentences(decoded: Decoded): [string, string][] {
  const { arch, error } = decoded;
  if (error !== undefined)
    return [
      ['invalid', whyInvalid(decoded)],
      ['effect', ARCH[arch].refusal],
    ];
  return [
    ['valid', 'no reserved bit, no reserved value'],
    ...removedBy(decoded).map((text): [string, string] => ['removes', text]),
  ];
}

function whyInvalid({ error, fields }: Decoded): string {
  const { reason, word, bits = 0n } = error!;
  const says = DESCRIPTOR_ERRORS[reason];
  if (reason === 'am_exceeds_mamv') return `${says}: AM = ${fields.find(({ name }) => name === 'AM')!.value}`;
  if (reason === 'reserved_granularity') return `${says}: G = ${fields.find(({ name }) => name === 'G')!.value}`;
  if (reason !== 'reserved_bits') return says;
  const named = fields.find((field) => field.reserved && field.value !== 0n);
  const field = named === undefined ? '' : `; ${named.name} needs a capability that is not there (--caps)`;
  return `${says}: qw${word}, bit ${bitList(bits)}${field}`;
}

/** `52, 55:53`: the bits that are set, highest run first. */
function bitList(bits: bigint): string {
  const runs: string[] = [];
  for (let low = 0; low < 64; low++) {
    if (((bits >> BigInt(low)) & 1n) === 0n) continue;
    let high = low;
    while (((bits >> BigInt(high + 1)) & 1n) === 1n) high++;
    runs.unshift(high === low ? `${low}` : `${high}:${low}`);
    low = high;
  }
  return runs.join(', ');
}
