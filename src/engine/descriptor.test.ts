import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { engineModule } from '../../testing/wasm.ts';
import { type Arch, type Caps, DESCRIPTORS } from '../model/descriptor.ts';
import { DescriptorCodec } from './descriptor.ts';

const codec = new DescriptorCodec(engineModule('checked'));

const SCALABLE = { smts: 1, DIT: 1, PDS: 1 };
const EXTENDED = { ecs: 1, DIT: 1, PDS: 1 };

// command set, descriptor, type or opcode in its words, capabilities, words of a slot
const KINDS: [Arch, string, bigint, Caps, number][] = [
  ...Object.keys(DESCRIPTORS.vtd)
    .slice(0, 9)
    .map((kind, i): [Arch, string, bigint, Caps, number] => ['vtd', kind, BigInt(i + 1), SCALABLE, 4]),
  ...Object.keys(DESCRIPTORS.vtd)
    .slice(9)
    .map((kind, i): [Arch, string, bigint, Caps, number] => ['vtd', kind, BigInt(i + 6), EXTENDED, 2]),
  ...Object.keys(DESCRIPTORS.amd).map((kind, i): [Arch, string, bigint, Caps, number] => [
    'amd',
    kind,
    BigInt(i + 1) << 60n,
    {},
    2,
  ]),
  ...Object.keys(DESCRIPTORS.riscv).map((kind, i): [Arch, string, bigint, Caps, number] => [
    'riscv',
    kind,
    BigInt(i + 1),
    {},
    2,
  ]),
];
const OPCODE_MASK: Readonly<Record<string, bigint>> = { amd: 15n << 60n, vtd: 0xe0fn, riscv: 0x7fn };

const words = (length: number) =>
  fc.array(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), { minLength: length, maxLength: length });

describe('any words of a descriptor', () => {
  test.each(KINDS)('%s %s', (arch, kind, code, caps, length) => {
    const reserved = codec.reserved(arch, kind, length, caps);
    const opcode = kind === 'ecs_page_stream_resp' ? 15n : OPCODE_MASK[arch]!;
    let valid = 0;
    fc.assert(
      fc.property(words(length), fc.nat(length * 64 - 1), (bits, at) => {
        const given = bits.map((word, i) => (word & ~reserved[i]! & (i === 0 ? ~opcode : -1n)) | (i === 0 ? code : 0n));
        const decoded = codec.decode(arch, given, caps);
        expect(decoded.kind).toBe(kind);
        // Nothing is lost, whatever the values are: valid descriptors and those with a reserved value alike.
        expect(codec.encode(arch, kind, decoded.fields, length * 64)).toEqual(given);
        if (decoded.error === undefined) valid++;
        else expect(decoded.error.reason).not.toBe('reserved_bits');
        // One reserved bit more, and that is the reason.
        const bit = 1n << BigInt(at % 64);
        const word = Math.floor(at / 64);
        if ((reserved[word]! & bit) === 0n) return;
        const { error } = codec.decode(arch, given.with(word, given[word]! | bit), caps);
        const earlier = error?.reason === 'invalid_func3' || error?.reason === 'unsupported_by_EFR';
        if (!earlier) expect(error).toEqual({ reason: 'reserved_bits', word, bits: bit });
      }),
      { numRuns: 60, seed: 1 },
    );
    expect(valid).toBeGreaterThan(0);
  });
});

// VT-d 6.5.2 as QEMU checks it (VTD_INV_DESC_*_RSVD), without capabilities; bits 11:9 belong to the type.
test.each([
  ['cc_inv', 0xfffc00000000f1c0n, ~0n],
  ['iotlb_inv', 0xffffffff0000f100n, 0xf80n],
  ['dev_tlb_inv', 0xffff0000ffe0f1f0n, 0xffen],
  ['iec_inv', 0xffff000007fff1e0n, ~0n],
  ['inv_wait', 0xfffff180n, 3n],
  ['p_iotlb_inv', 0xfff000000000f1c0n, 0xf80n],
  ['pasid_cache_inv', 0xfff000000000f1c0n, ~0n],
  ['p_dev_tlb_inv', 0xfff000000000f000n, 0x7fen],
])('reserved bits of %s', (kind, low, high) => {
  const all = (1n << 64n) - 1n;
  expect(codec.reserved('vtd', kind, 4)).toEqual([low, high & all, all, all]);
});

// Ranges beyond those of vectors: descriptor, base, pages
test.each([
  ['vtd', [0x70032n, 0x12345040n | 63n], { MAMV: 63 }, { what: 'all' }],
  ['vtd', [0x70032n, 0x80000000n | 51n], { MAMV: 63 }, { what: 'pages', base: 0n, count: 1n << 51n, shift: 12 }],
  ['vtd', [0x3n, 0x7ffffffffffff001n], {}, { what: 'all' }],
  ['vtd', [0x3n, 0xfffffffffffff001n], {}, { what: 'all' }],
  ['vtd', [0x3n, 0x3ffffffffffff001n], {}, { what: 'pages', base: 0n, count: 1n << 51n, shift: 12 }],
  ['vtd', [0x3n, 0x0007fffffffff001n], {}, { what: 'pages', base: 0n, count: 1n << 40n, shift: 12 }],
  ['vtd', [0x123_f800_0014n, 0n], {}, { what: 'entries', base: 0n, count: 1n << 31n, shift: 0 }],
  ['smmuv3', [0x12n, 0xc01n], {}, { what: 'pages', base: 0n, count: 1n, shift: 16 }],
  ['smmuv3', [0x40n, 0x7000000fffn & ~0xfc0n], {}, { what: 'all' }],
  ['riscv', [0x401n, 0x1003fc00n], {}, { what: 'pages', base: 0x400ff000n, count: 1n, shift: 12 }],
  ['riscv', [0x1n, 0n], {}, { what: 'all' }],
] as const)('range of %s, row %#', (arch, given, caps, range) => {
  expect(codec.decode(arch, given, caps).range).toEqual(range);
});
