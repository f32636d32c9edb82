import type { Decoded, FieldValue } from '../model/descriptor.ts';

/** What a field is; or what each of its values means, from 0; or a sentence made of the value. */
type Meaning = string | readonly string[] | ((value: bigint) => string);

/** Bus, device and function of a requester id: `03:02.0`. */
export function bdf(id: bigint): string {
  const part = (value: bigint): string => value.toString(16).padStart(2, '0');
  return `${part(id >> 8n)}:${part((id >> 3n) & 31n)}.${id & 7n}`;
}

const requester = (value: bigint): string => `requester ${bdf(value)}`;
const address = 'address';
const hint: Meaning = ['paging-structure caches go too', 'leaf entries only: paging-structure caches may stay'];
const sized: Meaning = ['one 4 KiB page', 'the size is in the address: 8 KiB << ones from bit 12 on'];
const response: Meaning = (value) =>
  ({ 0: 'success: the device asks again', 1: 'invalid request', 15: 'failure: the device stops page requests' })[
    Number(value)
  ] ?? 'reserved code';
const pending: Meaning = (value) => `at most ${value === 0n ? 32n : value} requests outstanding at the device`;
const used = (what: string): Meaning => [`${what} is not used`, `${what} is used`];

/** By field; by command set and field; by command set, descriptor and field: the last that is there counts. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ADDR: address,
  AM: (value) => `2^${value} pages; that many low bits of the page number are ignored`,
  AV: used('the address'),
  ASID: 'address space',
  BUS: 'bus of the requester',
  CS: ['no signal', 'interrupt: writes MSIDATA to MSIADDR', 'event (SEV)', 'reserved value'],
  DATA: 'data to store',
  DEVFN: 'device and function of the requester',
  DEVID: requester,
  DID: 'domain',
  DOMID: 'domain',
  DR: ['reads are not drained', 'reads in flight are drained first'],
  DSEG: 'segment of the device',
  DSV: ['the segment is that of the IOMMU', 'DSEG names the segment'],
  DV: ['all devices', 'of the device DID'],
  DW: ['writes are not drained', 'writes in flight are drained first'],
  F: ['later commands may start before', 'no later command starts before this completes'],
  FM: [
    'this function alone',
    'all functions that differ in bit 2',
    'that differ in bits 2:1',
    'that differ in bits 2:0',
  ],
  FN: ['later descriptors may start before', 'fence: no later descriptor starts before this completes'],
  GL: ['global entries stay', 'global entries go too'],
  GLOBAL: ['of this PASID', 'of all PASIDs'],
  GN: ['host translations, and nested ones', 'guest translations, of the PASID'],
  GRPID: 'index of the page request group',
  GSCID: 'guest',
  GV: used('the guest id'),
  I: ['no interrupt', 'raises Status.ComWaitInt when it completes'],
  IF: ['no interrupt', 'raises the invalidation event when it completes'],
  IH: hint,
  IIDX: 'index into the interrupt remapping table',
  IM: (value) => `2^${value} entries`,
  INVAL: ['no invalidation', 'invalidates before it fetches'],
  LEAF: hint,
  LPIG: ['more requests of the group follow', 'last of its group'],
  MAXPEND: (value) =>
    value === 0n ? 'no limit of requests outstanding' : `at most ${value} requests outstanding at the device`,
  MIP: pending,
  MSH: 'shareability of the write',
  MSIADDR: 'address that the interrupt writes to',
  MSIATTR: 'memory attributes of the write',
  MSIDATA: 'data that the interrupt writes',
  NL: ['leaf entries only', 'non-leaf entries go too'],
  NUM: (value) => `NUM + 1 = ${value + 1n}, times 2^SCALE granules`,
  PASID: 'PASID',
  PAYLOAD: 'body of the PCIe message',
  PD: ['page requests are not drained', 'page requests of the device are drained first'],
  PDE: ['leaf entries only: upper levels may stay', 'upper levels go too'],
  PFCOUNT: 'pages to fetch',
  PFSID: (value) => `physical function ${bdf(value)}, which owns the queue`,
  PID: 'process id',
  PP: ['without PASID', 'with PASID'],
  PR: ['earlier reads may still be under way', 'earlier reads are done first'],
  PRGI: 'index of the page request group',
  PRIVATE: 'private data of the request',
  PSCID: 'process address space',
  PSCV: used('the process address space'),
  PV: ['without PASID', 'with PASID'],
  PW: ['earlier writes may still be under way', 'earlier writes are done first'],
  QUEUEID: (value) => `function ${bdf(value)}, which owns the queue`,
  RANGE: (value) => (value === 31n ? 'the whole table' : `2^${value + 1n} stream ids`),
  RC: response,
  RESP: 'response code',
  RID: requester,
  S: sized,
  SADDR: 'address of the status write',
  SCALE: (value) => `times 2^${value}`,
  SDATA: 'data of the status write',
  SID: requester,
  SIZE: (value) => (value >= 52n ? 'everything' : `2^${value} pages`),
  SSID: 'PASID',
  SSV: ['without PASID', 'with PASID'],
  STAG: 'tag of the stalled transaction',
  STATUS: response,
  STORE_ADDR: 'address of the store',
  SW: ['no status write', 'writes SDATA to SADDR when it completes, before the interrupt'],
  TAG: 'tag of the page request group',
  TG: ['no range: one page', 'granule 4 KiB', 'granule 16 KiB', 'granule 64 KiB'],
  TTL: ['leaf at any level', 'leaf at level 1', 'leaf at level 2', 'leaf at level 3'],
  TYPE: 'type of invalidation',
  VMID: 'virtual machine',
  WSI: ['no interrupt', 'raises the fence interrupt'],
  'vtd.p_dev_tlb_inv.G': ['of this PASID', 'global: of all PASIDs'],
  'vtd.ecs_p_dev_tlb_inv.G': ['of this PASID', 'global: of all PASIDs'],
  'vtd.iec_inv.G': ['global', 'by index'],
  'amd.completion_wait.S': ['no store', 'stores DATA at STORE_ADDR when it completes'],
  'riscv.iodir.DID': 'device',
  'riscv.iofence.AV': ['no store', 'stores DATA at ADDR when it completes'],
  'riscv.FUNC3': 'function of the opcode',
  'riscv.iotinval.FUNC3': ['VMA: first stage', 'GVMA: second stage'],
  'riscv.iofence.FUNC3': ['C'],
  'riscv.iodir.FUNC3': ['INVAL_DDT: device directory', 'INVAL_PDT: process directory'],
  'riscv.ats.FUNC3': ['INVAL: invalidation', 'PRGR: page request group response'],
  'smmuv3.SID': 'stream',
};

/** What only an invalidation of pages looks at; others ignore it, and it is not reserved there (VT-d 6.5.2.3). */
const PAGE_FIELDS = new Set(['AM', 'IH', 'ADDR']);

/** What a field of a descriptor says, in words; undefined if nobody has said what it is. */
export function fieldMeaning(decoded: Decoded, { name, value, reserved }: FieldValue): string | undefined {
  const { arch, kind, granularity } = decoded;
  if (reserved) return 'reserved: the hardware lacks it (--caps)';
  if (PAGE_FIELDS.has(name) && granularity !== undefined && !granularity.startsWith('page')) return 'ignored';
  const keys = [`${arch}.${kind}.${name}`, `${arch}.${name}`, name];
  const found = keys.find((key) => Object.hasOwn(MEANINGS, key));
  const meaning = found === undefined ? undefined : MEANINGS[found]!;
  if (meaning === undefined) return name === 'G' ? (granularity ?? 'reserved value').replaceAll('_', ' ') : undefined;
  if (typeof meaning === 'string') return meaning;
  if (typeof meaning === 'function') return meaning(value);
  return meaning[Number(value)] ?? 'reserved value';
}
