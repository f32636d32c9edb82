import { describe, expect, test } from 'vitest';
import { ARCHES, type Arch, DESCRIPTORS, type Decoded } from '../model/descriptor.ts';
import { fieldMeaning } from '../report/field.ts';
import { removedBy } from '../report/removed.ts';
import { type DecodeRequest, decodeDescriptor } from './decode.ts';

/** `error`, or the name and fields that are not 0. */
function show(request: DecodeRequest): string {
  try {
    const { kind, width, fields, error } = decodeDescriptor(request);
    const values = fields.flatMap(({ name, value }) => (value === 0n ? [] : [`${name}=${value}`]));
    return [kind, width, ...values, ...(error === undefined ? [] : [error.reason])].join(' ');
  } catch (error) {
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

const HEX = 'expected 64 bits in hexadecimal, such as 0x70032, lowest address first';

// words, capabilities, width, what is shown
const CASES: [string, string | undefined, number | undefined, string][] = [
  ['vtd 0x70032 0x1000', undefined, undefined, 'iotlb_inv 128 OPCODE=2 G=3 DID=7 ADDR=4096'],
  ['vtd 0x11', undefined, undefined, 'cc_inv 128 OPCODE=1 G=1'],
  ['vtd 0x11', undefined, 256, 'cc_inv 256 OPCODE=1 G=1'],
  ['vtd 0000000000000011 0', undefined, undefined, 'cc_inv 128 OPCODE=1 G=1'],
  ['vtd 0x0000_0000_0000_0011 0', undefined, undefined, 'cc_inv 128 OPCODE=1 G=1'],
  ['vtd 0x10032 0x13', undefined, undefined, 'iotlb_inv 128 OPCODE=2 G=3 DID=1 AM=19 am_exceeds_mamv'],
  ['vtd 0x10032 0x13', 'mamv=19', undefined, 'iotlb_inv 128 OPCODE=2 G=3 DID=1 AM=19'],
  ['vtd 0x10032 0x1', 'MAMV=0', undefined, 'iotlb_inv 128 OPCODE=2 G=3 DID=1 AM=1 am_exceeds_mamv'],
  ['vtd 0x37 0', undefined, undefined, 'pasid_cache_inv 128 OPCODE=7 G=3 unsupported_type'],
  ['vtd 0x37 0', 'smts', undefined, 'pasid_cache_inv 128 OPCODE=7 G=3 needs_256bit_queue'],
  ['vtd 0x37 0', 'ecs', undefined, 'ecs_pasid_cache_inv 128 OPCODE=7 G=3 reserved_granularity'],
  ['vtd 0x37 0 0 0', 'smts=1', undefined, 'pasid_cache_inv 256 OPCODE=7 G=3'],
  ['vtd 0x37 0 0 1', 'smts=1', undefined, 'pasid_cache_inv 256 OPCODE=7 G=3 reserved_bits'],
  ['vtd 0xa5 0', 'PDS', undefined, 'inv_wait 128 OPCODE=5 SW=1 PD=1'],
  ['vtd 0xa5 0', 'PDS=0', undefined, 'inv_wait 128 OPCODE=5 SW=1 PD=1 reserved_bits'],
  ['vtd 0x42a 0xabc00010', 'ecs', undefined, 'ecs_page_stream_resp 128 OPCODE=10 PASID=66 DEVFN=1 ADDR=2881486848'],
  ['amd 0x8000000000000000', undefined, undefined, 'invalidate_iommu_all 128 OPCODE=8'],
  ['amd 0x8000000000000000', 'IASup=0', undefined, 'invalidate_iommu_all 128 OPCODE=8 unsupported_by_EFR'],
  ['amd 0x7000000000000000', 'pprsup=0', undefined, 'complete_ppr_request 128 OPCODE=7 unsupported_by_EFR'],
  ['amd 0x4000000000000000 4', 'gtsup=0', undefined, 'invalidate_iotlb_pages 128 OPCODE=4 GN=1 GN_without_GTSup'],
  ['smmuv3 0x46', undefined, undefined, 'sync 128 OPCODE=70'],
  ['smmuv3 0x45', undefined, undefined, ' 128 invalid_opcode'],
  ['riscv 0x400000001', 'NL=0', undefined, 'iotinval 128 OPCODE=1 NL=1 reserved_bits'],
  ['riscv 0x1003', undefined, undefined, 'iodir 128 OPCODE=3 PID=1 PID_with_INVAL_DDT'],
  ['riscv 0x83', undefined, undefined, 'iodir 128 OPCODE=3 FUNC3=1 INVAL_PDT_without_DV'],
  [
    'vtd 0 0 0 0 0',
    undefined,
    undefined,
    'UsageError: decode vtd: read 5 words, expected 2 words (128 bits) or 4 words (256 bits)',
  ],
  [
    'vtd 0 0 0',
    undefined,
    128,
    'UsageError: decode vtd: read 3 words and --width 128, expected 2 words (128 bits) or 4 words (256 bits)',
  ],
  ['amd 0 0', undefined, 256, 'UsageError: decode amd: read 2 words and --width 256, expected 2 words (128 bits)'],
  ['amd 0 0 0', undefined, undefined, 'UsageError: decode amd: read 3 words, expected 2 words (128 bits)'],
  ['vtd 17', undefined, undefined, `UsageError: word "17": ${HEX}`],
  ['vtd 0x', undefined, undefined, `UsageError: word "0x": ${HEX}`],
  ['vtd -1', undefined, undefined, `UsageError: word "-1": ${HEX}`],
  ['vtd 0x12345678901234567', undefined, undefined, `UsageError: word "0x12345678901234567": ${HEX}`],
  [
    'vtd 0x1',
    'mamv=64',
    undefined,
    'UsageError: --caps MAMV: read "64", expected 0 to 63 (CAP.MAMV, largest address mask)',
  ],
  [
    'vtd 0x1',
    'dit=2',
    undefined,
    'UsageError: --caps DIT: read "2", expected 0 to 1 (ECAP.DIT, PFSID of device-TLB requests)',
  ],
  [
    'vtd 0x1',
    'dot',
    undefined,
    'UsageError: --caps: no capability "dot" of vtd, expected MAMV, DIT, PDS, smts, ecs; near: DIT',
  ],
  ['smmuv3 0x1', 'x', undefined, 'UsageError: --caps: no capability "x" of smmuv3, expected none'],
];

test.each(CASES)('decode %s, caps %s, width %s', (line, caps, width, shown) => {
  const [arch, ...words] = line.split(' ') as [Arch, ...string[]];
  expect(show({ arch, words, caps, width })).toBe(shown);
});

/** One descriptor of every kind, with all capabilities. */
function* everyKind(): Generator<Decoded> {
  for (const arch of ARCHES) {
    for (const [caps, width] of arch === 'vtd'
      ? ([
          ['smts,DIT,PDS', 256],
          ['ecs,DIT,PDS', 128],
        ] as const)
      : [[undefined, 128] as const]) {
      for (let code = 1n; code < (arch === 'amd' ? 16n : 256n); code++) {
        // Of VT-d, granularities 0, 1 and 3; others have other bits there.
        for (const bits of arch === 'vtd' ? [0n, 0x10n, 0x30n] : [0n]) {
          const word = (arch === 'amd' ? code << 60n : code) | bits;
          const decoded = decodeDescriptor({ arch, words: [`0x${word.toString(16)}`], caps, width });
          if (decoded.kind !== undefined) yield decoded;
        }
      }
    }
  }
}

describe('in words', () => {
  const all = [...everyKind()];

  test('every descriptor is there', () => {
    const found = new Set(all.map(({ arch, kind }) => `${arch} ${kind}`));
    const names = ARCHES.flatMap((arch) => Object.keys(DESCRIPTORS[arch]).map((kind) => `${arch} ${kind}`));
    expect([...found].sort()).toEqual(names.sort());
  });

  test('every field of every descriptor says what it is', () => {
    const silent = all.flatMap((decoded) =>
      decoded.fields.flatMap((field) =>
        field.name !== 'OPCODE' && fieldMeaning(decoded, field) === undefined ? [`${decoded.kind}.${field.name}`] : [],
      ),
    );
    expect(silent).toEqual([]);
  });

  test('every valid VT-d and AMD descriptor removes something, unless it only waits, answers or prefetches', () => {
    const nothing = all.filter(
      (decoded) =>
        ['vtd', 'amd'].includes(decoded.arch) && decoded.error === undefined && removedBy(decoded).length === 0,
    );
    expect([...new Set(nothing.map(({ kind }) => kind))].sort()).toEqual([
      'complete_ppr_request',
      'completion_wait',
      'ecs_page_grp_resp',
      'ecs_page_stream_resp',
      'inv_wait',
      'page_grp_resp',
      'prefetch_iommu_pages',
    ]);
  });
});
