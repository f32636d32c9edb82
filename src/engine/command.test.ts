import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import asc from 'assemblyscript/asc';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { ROOT } from '../../testing/cli.ts';
import { constant, instantiate } from './load.ts';

/** Encoders and decoders take 64-bit numbers, which the engine does not export; here they are compiled by themselves. */
const ENTRY = `
  export * from './bits';
  export * from './command';
  export * from './descriptor';
  export * from './fields';
  export * from './vtd';
  export * from './amdvi';
  export * from './prq';
  export function scratch(): usize { return (__heap_base + 15) & ~15; }
`;

/** A file of assembly/; the compiler asks for some that are not there. */
function readAssembly(name: string): string | null {
  const path = join(ROOT, 'assembly', name);
  return existsSync(path) ? readFileSync(path, 'utf8') : null;
}

type Encoder = (...args: (number | bigint)[]) => void;
type Decoder = (at: number) => number | bigint;
let exports: Record<string, unknown>;
let memory: WebAssembly.Memory;
let at = 0;
let table: ReturnType<typeof readTable> | undefined;

beforeAll(async () => {
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    ['entry.ts', '--outFile', 'entry.wasm', '--runtime', 'stub', '--importMemory', '--optimize'],
    {
      readFile: (name) => (name === 'entry.ts' ? ENTRY : readAssembly(name)),
      writeFile: (name, contents) => {
        if (name === 'entry.wasm') binary = contents as Uint8Array;
      },
      listFiles: () => [],
    },
  );
  expect(error, String(stderr)).toBeNull();
  const instance = instantiate<Record<string, unknown>>(new WebAssembly.Module(binary!.slice().buffer));
  ({ exports, memory } = instance);
  at = (exports.scratch as () => number)();
});

/** Words that an encoder writes, as in the tables below. */
function encode(name: string, args: readonly (number | bigint)[]): string {
  (exports[name] as Encoder)(at, ...args);
  const words = new BigUint64Array(memory.buffer, at, 2);
  return [...words].map((word) => word.toString(16).padStart(16, '0')).join(' ');
}

const decode = (name: string): number => Number((exports[name] as Decoder)(at));

// Words from drivers that ran (qi_submit, qi_flush_* of Linux), and from VT-d 6.5.2 and 48882 section 2.4.
// encoder, arguments, both words, what decoders say
const ROWS: [string, (number | bigint)[], string, Record<string, number>][] = [
  ['encodeContext', [1, 0, 0, 0], '0000000000000011 0000000000000000', { vtdType: 1, vtdGranularity: 1 }],
  ['encodeContext', [2, 0x1234, 0, 0], '0000000012340021 0000000000000000', { vtdDomain: 0x1234 }],
  ['encodeContext', [3, 5, 0x310, 0], '0000031000050031 0000000000000000', { vtdSource: 0x310, vtdFunctionMask: 0 }],
  ['encodeContext', [3, 0, 0x20, 2], '0002002000000031 0000000000000000', { vtdFunctionMask: 2 }],
  ['encodeIotlb', [1, 0, 0n, 0, 0], '00000000000000d2 0000000000000000', { vtdType: 2, vtdGranularity: 1 }],
  ['encodeIotlb', [2, 7, 0n, 0, 0], '00000000000700e2 0000000000000000', { vtdGranularity: 2, vtdDomain: 7 }],
  ['encodeIotlb', [3, 3, 0xfffdfn, 0, 0], '00000000000300f2 00000000fffdf000', { vtdPage: 0xfffdf, vtdHint: 0 }],
  ['encodeIotlb', [3, 3, 0xffffdn, 0, 1], '00000000000300f2 00000000ffffd040', { vtdHint: 1, vtdAddressMask: 0 }],
  ['encodeIotlb', [3, 7, 0x40200n, 9, 1], '00000000000700f2 0000000040200049', { vtdAddressMask: 9 }],
  ['encodeIotlb', [3, 1, 0x1fffffffffffn, 0, 0], '00000000000100f2 01fffffffffff000', { vtdPage: 0x1fffffffffff }],
  ['encodeDeviceTlb', [0x100, 0, 0xffffan, 0], '0000010000000003 00000000ffffa000', { vtdSource: 0x100, vtdOrder: 0 }],
  ['encodeDeviceTlb', [0x100, 0, 0n, 52], '0000010000000003 7ffffffffffff001', { vtdOrder: 52, vtdFirstPage: 0 }],
  [
    'encodeDeviceTlb',
    [0x300, 16, 0x12344n, 1],
    '0000030000100003 0000000012344001',
    { vtdOrder: 1, vtdQueueDepth: 16 },
  ],
  ['encodeDeviceTlb', [0x300, 31, 0x40000n, 9], '00000300001f0003 00000000400ff001', { vtdFirstPage: 0x40000 }],
  [
    'encodeDeviceTlb',
    [0x300, 0, 0x12345n, 2],
    '0000030000000003 0000000012345001',
    { vtdFirstPage: 0x12344, vtdQueueDepth: 32 },
  ],
  // Vector vtd-wait-03.
  ['encodeFence', [], '0000000200000045 0000000000000000', { vtdType: 5, vtdWaitFence: 1, vtdWaitWrites: 0 }],
  ['encodeWait', [0x100040n, 2], '0000000200000025 0000000000100040', { vtdType: 5 }],
  [
    'encodeExtendedIotlb',
    [0, 3, 0, 0n, 0, 0, 0],
    '0000000000030006 0000000000000000',
    { vtdType: 6, vtdGranularity: 0 },
  ],
  ['encodeExtendedIotlb', [2, 1, 0xabcde, 0n, 0, 0, 0], '000abcde00010026 0000000000000000', { vtdPasid: 0xabcde }],
  [
    'encodeExtendedIotlb',
    [3, 3, 9, 0x7f0000001n, 0, 0, 0],
    '0000000900030036 00007f0000001000',
    { vtdPasid: 9, vtdDomain: 3 },
  ],
  ['encodeExtendedIotlb', [3, 1, 5, 0x7f0012345n, 0, 1, 0], '0000000500010036 00007f0012345040', { vtdHint: 1 }],
  // Not aligned to AM, as Linux 4.9 to 5.4 emitted it.
  [
    'encodeExtendedIotlb',
    [3, 1, 5, 0x12345n, 1, 0, 1],
    '0000000500010036 0000000012345081',
    { vtdPage: 0x12345, vtdAddressMask: 1 },
  ],
  [
    'encodeExtendedDeviceTlb',
    [0x300, 0x42, 4, 0x7f0000001n, 0],
    '0000004203000048 00007f0000001000',
    { vtdSource: 0x300, vtdQueueDepth: 4 },
  ],
  [
    'encodeExtendedDeviceTlb',
    [0x300, 0x42, 16, 0x7f0000010n, 4],
    '0000004203000108 00007f0000017800',
    { vtdOrder: 4, vtdPasid: 0x42 },
  ],
  ['encodeExtendedDeviceTlb', [0x300, 0x42, 31, 0n, 52], '00000042030001f8 7ffffffffffff800', { vtdOrder: 52 }],
  ['encodeAmdWait', [0x12345678n, 0xcafef00ddeadbeefn], '1000000012345679 cafef00ddeadbeef', { amdOpcode: 1 }],
  ['encodeAmdWait', [0xffffffffffff8n, 3n], '100ffffffffffff9 0000000000000003', {}],
  ['encodeAmdDeviceEntry', [0xffff], '200000000000ffff 0000000000000000', { amdOpcode: 2, amdDevice: 0xffff }],
  [
    'encodeAmdPages',
    [5, 0, 0x12345n, 0, 0, 0],
    '3000000500000000 0000000012345000',
    { amdOpcode: 3, amdDomain: 5, amdOrder: 0 },
  ],
  [
    'encodeAmdPages',
    [5, 0, 0x12344n, 1, 0, 0],
    '3000000500000000 0000000012344001',
    { amdOrder: 1, amdFirstPage: 0x12344 },
  ],
  [
    'encodeAmdPages',
    [5, 0, 0x40000n, 9, 0, 0],
    '3000000500000000 00000000400ff001',
    { amdOrder: 9, amdFirstPage: 0x40000 },
  ],
  [
    'encodeAmdPages',
    [5, 0, 0x12347n, 4, 0, 0],
    '3000000500000000 0000000012347001',
    { amdOrder: 4, amdFirstPage: 0x12340 },
  ],
  [
    'encodeAmdPages',
    [0x1234, 0, 0n, 52, 1, 0],
    '3000123400000000 7ffffffffffff003',
    { amdOrder: 52, amdPde: 1, amdGuest: 0 },
  ],
  ['encodeAmdPages', [5, 0, 0n, 40, 0, 0], '3000000500000000 0007fffffffff001', { amdOrder: 52 }],
  ['encodeAmdPages', [5, 0, 0n, 41, 0, 0], '3000000500000000 7ffffffffffff001', { amdOrder: 52, amdFirstPage: 0 }],
  ['encodeAmdPages', [5, 0, 0n, 1, 0, 0], '3000000500000000 0000000000000001', { amdOrder: 1, amdFirstPage: 0 }],
  [
    'encodeAmdPages',
    [5, 7, 0xffff800000001n, 0, 0, 1],
    '3000000500000007 ffff800000001004',
    { amdPasid: 7, amdGuest: 1 },
  ],
  [
    'encodeAmdIotlbPages',
    [0x310, 32, 0, 0x12345n, 0, 0],
    '4000031020000310 0000000012345000',
    { amdDevice: 0x310, amdPending: 32 },
  ],
  ['encodeAmdIotlbPages', [0x310, 8, 0, 0n, 52, 0], '4000031008000310 7ffffffffffff001', { amdOrder: 52 }],
  [
    'encodeAmdIotlbPages',
    [0x310, 32, 0xbeef, 0x7f0000001n, 0, 1],
    '40ef031020be0310 00007f0000001004',
    { amdPasid: 0xbeef, amdGuest: 1 },
  ],
  [
    'encodeAmdIotlbPages',
    [0x310, 4, 0xabcde, 0x7f0000001n, 0, 1],
    '4ade031004bc0310 00007f0000001004',
    { amdPasid: 0xabcde },
  ],
  ['encodeAmdAll', [], '8000000000000000 0000000000000000', { amdOpcode: 8 }],
  [
    'encodePageResponse',
    [0x300, 0x42, 0x55, 0],
    '0000004203000019 2a80000000000000',
    { vtdType: 9, vtdResponseGroup: 0x55, vtdResponseCode: 0 },
  ],
  ['encodePageResponse', [0x300, 1, 511, 15], '0000000103000019 ff8000000000000f', { vtdResponseCode: 15 }],
  // Vector amd-ppr-01.
  [
    'encodeAmdPageResponse',
    [0x310, 0x42, 0x55, 0],
    '7000004200000310 0000005500000004',
    { amdOpcode: 7, amdResponseGroup: 0x55, amdResponseCode: 0 },
  ],
  ['encodeAmdPageResponse', [0x310, 0, 511, 1], '7000000000000310 000011ff00000004', { amdResponseCode: 1 }],
];
// Slots of the page request queue: vectors st-11 and st-12, a stop marker; st-20 of a guest and last in its group.
const REQUESTS: typeof ROWS = [
  [
    'encodeVtdRequest',
    [0x300, 0x42, 0x7f0000001n, 3, 0x55, 1],
    '0000004203000101 00007f00000012af',
    { requestedPage: 0x7f0000001 },
  ],
  ['encodeVtdRequest', [0x300, 0x42, 0n, 0, 0, 1], '0000004203000101 0000000000000004', {}],
  [
    'encodeAmdRequest',
    [0x310, 0x42, 0x7f0000001n, 3, 0x55, 1],
    '1124025500420310 00007f0000001000',
    { requestedPage: 0x7f0000001 },
  ],
  ['encodeAmdRequest', [0x310, 0xabcde, 1n, 1, 0, 0], '11042800bcde0310 0000000000001000', {}],
];

describe('commands, bit for bit', () => {
  test.each([...ROWS, ...REQUESTS])('%s, row %#', (encoder, args, words, fields) => {
    expect(encode(encoder, args)).toBe(words);
    const decoded = Object.fromEntries(Object.keys(fields).map((name) => [name, decode(name)]));
    expect(decoded).toEqual(fields);
  });
});

/** Value of an exported constant. */
const number = (name: string): number => constant(exports[name]);

/** Rows of the table of bits.ts. */
function readTable(): [number, number, number, number, number, number][] {
  const rowAt = exports.rowAt as (index: number) => number;
  const row = (_: unknown, i: number) => [...new Uint8Array(memory.buffer, rowAt(i), number('ROW_BYTES'))];
  return Array.from({ length: number('ROWS') }, row) as never;
}

/** A field of the words at `at`, by that table; AMD's PASID is put together from three rows. */
function fieldOf(descriptor: string, field: string): bigint {
  const words = new BigUint64Array(memory.buffer, at, 2);
  const [kind, name] = [number(`DESC_${descriptor}`), number(`FIELD_${field}`)];
  table ??= readTable();
  let value = 0n;
  for (const [ofKind, ofName, word, low, high, shift] of table) {
    if (ofKind !== kind || ofName !== name) continue;
    value |= BigInt.asUintN(high - low + 1, words[word]! >> BigInt(low)) << BigInt(shift);
  }
  return value;
}

// accessor of the timed machine, field, descriptors it is for: number of the type or opcode, and its name in the table
const ACCESSORS: [string, string, Record<number, string>][] = [
  ['vtdGranularity', 'G', { 1: 'VTD_CC_INV', 2: 'VTD_IOTLB_INV', 6: 'VTD_ECS_P_IOTLB_INV' }],
  ['vtdDomain', 'DID', { 1: 'VTD_CC_INV', 2: 'VTD_IOTLB_INV', 6: 'VTD_P_IOTLB_INV' }],
  ['vtdSource', 'SID', { 1: 'VTD_CC_INV', 3: 'VTD_DEV_TLB_INV', 8: 'VTD_ECS_P_DEV_TLB_INV' }],
  ['vtdFunctionMask', 'FM', { 1: 'VTD_CC_INV' }],
  ['vtdPasid', 'PASID', { 6: 'VTD_ECS_P_IOTLB_INV', 8: 'VTD_P_DEV_TLB_INV' }],
  ['vtdAddressMask', 'AM', { 2: 'VTD_IOTLB_INV', 6: 'VTD_ECS_P_IOTLB_INV' }],
  ['vtdHint', 'IH', { 2: 'VTD_IOTLB_INV', 6: 'VTD_P_IOTLB_INV' }],
  ['vtdWaitDrains', 'PD', { 5: 'VTD_INV_WAIT' }],
  ['vtdResponseGroup', 'PRGI', { 9: 'VTD_ECS_PAGE_GRP_RESP' }],
  ['vtdResponseCode', 'RC', { 9: 'VTD_ECS_PAGE_GRP_RESP' }],
  ['amdResponseGroup', 'TAG', { 7: 'AMD_COMPLETE_PPR_REQUEST' }],
  ['amdResponseCode', 'STATUS', { 7: 'AMD_COMPLETE_PPR_REQUEST' }],
  ['amdDevice', 'DEVID', { 2: 'AMD_INVALIDATE_DEVTAB_ENTRY', 4: 'AMD_INVALIDATE_IOTLB_PAGES' }],
  ['amdDomain', 'DOMID', { 3: 'AMD_INVALIDATE_IOMMU_PAGES' }],
  ['amdPasid', 'PASID', { 3: 'AMD_INVALIDATE_IOMMU_PAGES', 4: 'AMD_INVALIDATE_IOTLB_PAGES' }],
  ['amdWaitStores', 'S', { 1: 'AMD_COMPLETION_WAIT' }],
  ['amdWaitInterrupt', 'I', { 1: 'AMD_COMPLETION_WAIT' }],
  ['amdWaitFence', 'F', { 1: 'AMD_COMPLETION_WAIT' }],
  ['amdWaitStore', 'STORE_ADDR', { 1: 'AMD_COMPLETION_WAIT' }],
  ['amdWaitData', 'DATA', { 1: 'AMD_COMPLETION_WAIT' }],
  ['vtdWaitWrites', 'SW', { 5: 'VTD_INV_WAIT' }],
  ['vtdWaitInterrupt', 'IF', { 5: 'VTD_INV_WAIT' }],
  ['vtdWaitFence', 'FN', { 5: 'VTD_INV_WAIT' }],
  ['vtdWaitAddress', 'SADDR', { 5: 'VTD_INV_WAIT' }],
  ['vtdWaitData', 'SDATA', { 5: 'VTD_INV_WAIT' }],
  ['amdPde', 'PDE', { 3: 'AMD_INVALIDATE_IOMMU_PAGES' }],
  ['amdGuest', 'GN', { 3: 'AMD_INVALIDATE_IOMMU_PAGES', 4: 'AMD_INVALIDATE_IOTLB_PAGES' }],
];

describe('the timed machine reads commands as the table says', () => {
  test.each(ACCESSORS)('%s is %s', (accessor, field, descriptors) => {
    const words = new BigUint64Array(memory.buffer, at, 2);
    for (const [code, descriptor] of Object.entries(descriptors)) {
      const [mask, shift] = accessor.startsWith('amd') ? [~(15n << 60n), 60n] : [~0xe0fn, 0n];
      fc.assert(
        fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (bits) => {
          words[0] = (BigInt.asUintN(64, bits) & mask) | (BigInt(code) << shift);
          words[1] = bits >> 64n;
          expect(BigInt.asUintN(64, BigInt((exports[accessor] as Decoder)(at)))).toBe(fieldOf(descriptor, field));
        }),
        { numRuns: 30, seed: 1 },
      );
    }
  });

  test.each([
    ['VTD_DEV_TLB_INV', 3, 1n],
    ['VTD_P_DEV_TLB_INV', 8, 1n << 11n],
  ] as const)('%s: depth of the queue, size', (descriptor, type, size) => {
    const words = new BigUint64Array(memory.buffer, at, 2);
    for (const depth of [0n, 1n, 31n]) {
      words[0] = BigInt(type) | (depth << (type === 3 ? 16n : 4n));
      words[1] = 0x12347000n | size;
      expect(decode('vtdQueueDepth')).toBe(Number(fieldOf(descriptor, 'MIP')) || 32);
      expect(fieldOf(descriptor, 'S')).toBe(1n);
      expect([decode('vtdOrder'), decode('vtdFirstPage')]).toEqual([4, 0x12340]);
    }
  });

  test('AMD: requests outstanding, 0 is no limit', () => {
    const words = new BigUint64Array(memory.buffer, at, 2);
    for (const pending of [0n, 1n, 32n, 255n]) {
      words[0] = (4n << 60n) | (pending << 24n);
      expect(fieldOf('AMD_INVALIDATE_IOTLB_PAGES', 'MAXPEND')).toBe(pending);
      expect(decode('amdPending')).toBe(Number(pending) || 255);
    }
  });

  test.each(ROWS)('what drivers write is valid: %s, row %#', (encoder, args) => {
    encode(encoder, args);
    const vtd = number('CAP_ECS') | 18;
    const amd = number('CAP_GTSUP') | number('CAP_IASUP') | number('CAP_PPRSUP');
    const error = encoder.includes('Amd')
      ? (exports.amdError as (...args: number[]) => number)(at, amd)
      : (exports.vtdError as (...args: number[]) => number)(at, 128, vtd);
    expect(error).toBe(0);
  });
});

// first page, pages, covering order, rounded order, order of the first aligned block
const RANGES: [bigint, bigint, number, number, number][] = [
  [0x12345n, 1n, 0, 0, 0],
  [0x12344n, 2n, 1, 1, 1],
  [0x12345n, 2n, 2, 1, 0],
  [0x12345n, 3n, 2, 2, 0],
  [0x12347n, 3n, 4, 2, 0],
  [0x12340n, 32n, 5, 5, 5],
  [0x12340n, 33n, 6, 6, 5],
  [0xfffe0n, 32n, 5, 5, 5],
  [0n, 5n, 3, 3, 2],
  [0xfffn, 2n, 13, 1, 0],
];

test.each(RANGES)('range %#', (page, pages, covering, rounded, aligned) => {
  const order = (name: string, ...args: bigint[]): number => (exports[name] as (...a: bigint[]) => number)(...args);
  expect(order('coveringOrder', page, pages)).toBe(covering);
  expect(order('roundedOrder', pages)).toBe(rounded);
  expect(order('alignedOrder', page, pages)).toBe(aligned);
});
