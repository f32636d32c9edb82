import type { Caps, DescriptorError } from '../model/descriptor.ts';
import { UsageError } from '../model/errors.ts';
import { capabilityBits, errorsByNumber } from './descriptor.ts';
import { type Numbers, numbersOf } from './encode.ts';
import { type Instance, instantiate } from './load.ts';

/** What the module exports for translations asked one at a time; see assembly/translate.ts. */
interface TranslationExports {
  translateInit(pages: number, memories: number, blocks: number, structures: number, ...ways: number[]): number;
  translateFormat(rules: number, levels: number, width: number, features: number): void;
  translateCapabilities(...numbers: number[]): void;
  translateWrite(): number;
  translateDecode(level: number): void;
  translate(who: number, asks: number, source: number, pasid: number): void;
  translateFill(where: number, domain: number, pasid: number, order: number, number: number): void;
  translateHolds(where: number, domain: number, pasid: number, order: number, number: number): number;
  translateKnows(where: number, source: number, pasid: number): number;
  translateCommand(who: number, width: number, caps: number): number;
  wordsAt(): number;
  trailAt(): number;
}

/** Page-table formats: x86-64 and AMD v2; VT-d first and second stage; AMD v1. */
export const FORMATS = ['x86', 'vtd_fs', 'vtd_ss', 'amd_v1', 'amd_v2'] as const;
export type Format = (typeof FORMATS)[number];
const RULES: Readonly<Record<Format, string>> = {
  x86: 'FORMAT_X86',
  amd_v2: 'FORMAT_X86',
  vtd_fs: 'FORMAT_FIRST',
  vtd_ss: 'FORMAT_SECOND',
  amd_v1: 'FORMAT_AMD_V1',
};

/** What of a format depends on the machine or on a context. Missing ones are as in most hardware. */
export interface FormatOptions {
  /** Bits of a physical address: MAXPHYADDR, HAW. 52. */
  readonly width?: number;
  /** EFER.NXE: bit 63 forbids execution, and is not reserved. True. */
  readonly nxe?: boolean;
  /** Leaves of 2 MiB, of 1 GiB. True. */
  readonly has2M?: boolean;
  readonly has1G?: boolean;
  /** ECAP.SC: bit 11 of a second-stage leaf is not reserved. False. */
  readonly snoop?: boolean;
  /** ECAP.DT: bit 62 of a second-stage leaf is not reserved. True. */
  readonly deviceTlb?: boolean;
}

/** One page-table entry, decoded. */
export interface Entry {
  readonly kind: 'not_present' | 'table' | 'leaf' | 'reserved_fault' | 'invalid_level';
  /** Of the next table, or first of the leaf. */
  readonly address: bigint;
  /** Of a leaf, bytes. */
  readonly size: number;
  /** Level of the next table; leaves of 4 KiB are at level 1. */
  readonly nextLevel: number;
  readonly grants: Grants;
  readonly marks: Marks;
}
/** What an entry, or a path of entries, grants. */
export interface Grants {
  readonly r: boolean;
  readonly w: boolean;
  readonly x: boolean;
  readonly u: boolean;
}
/** Accessed, dirty, global, PAT; extended access; snoop, transient, execute of a second stage; FC and U of AMD v1. */
export type Marks = Readonly<Record<keyof typeof MARKS, boolean>>;
const MARKS = {
  a: 'MARK_ACCESSED',
  d: 'MARK_DIRTY',
  g: 'MARK_GLOBAL',
  pat: 'MARK_PAT',
  ea: 'MARK_EXTENDED',
  snp: 'MARK_SNOOP',
  tm: 'MARK_TRANSIENT',
  x: 'MARK_EXECUTE',
  fc: 'MARK_COHERENT',
  used: 'MARK_USED',
} as const;
const KINDS = {
  ENTRY_ABSENT: 'not_present',
  ENTRY_TABLE: 'table',
  ENTRY_LEAF: 'leaf',
  ENTRY_RESERVED: 'reserved_fault',
  ENTRY_BAD_LEVEL: 'invalid_level',
} as const;

/** What became of a walk. `no_context`: the structures that name the tables refuse. */
export const STATUSES = {
  WALK_OK: 'ok',
  WALK_ABSENT: 'not_present',
  WALK_RESERVED: 'reserved',
  WALK_DENIED: 'permission',
  WALK_DENIED_USER: 'permission_user',
  WALK_BAD_LEVEL: 'invalid_level',
  WALK_BEYOND: 'beyond_tables',
  WALK_SKIPPED: 'skipped_va_nonzero',
  WALK_UNREACHABLE: 'no_memory',
  WALK_UNMARKABLE: 'unmarkable',
  NO_CONTEXT: 'no_context',
} as const;
export type WalkStatus = (typeof STATUSES)[keyof typeof STATUSES];

/** The answer to one request. */
export interface Answer {
  readonly status: WalkStatus;
  /** Physical address. */
  readonly address: bigint;
  /** Bytes of the smallest leaf that serves it; 0: no table was asked. */
  readonly size: number;
  readonly grants: Grants;
  /** Domain and PASID that tag what is cached of it; no PASID: undefined. */
  readonly domain: number;
  readonly pasid: number | undefined;
  /** #PF error code, VT-d fault reason, AMD event code; 0 with status ok. */
  readonly fault: number;
  /** Addresses of words read, in order. */
  readonly reads: readonly bigint[];
  /** Writes of accessed and dirty bits, in order. */
  readonly writes: readonly { readonly address: bigint; readonly value: bigint }[];
}

/** An access: what it does, and as whom. A request of a device without privilege is a user's. */
export interface Ask {
  readonly address: bigint;
  readonly access: 'r' | 'w' | 'x';
  readonly user?: boolean;
}

/** What an IOMMU can do, as far as tables depend on it. Missing ones are as in most hardware. */
export interface IommuCapabilities {
  /** HAW, or bits of a system physical address. 52. */
  readonly width?: number;
  /** CAP.SAGAW: levels of second-stage tables. 3, 4, 5. */
  readonly levels?: readonly number[];
  readonly first1G?: boolean;
  /** CAP.SLLPS. True. */
  readonly second2M?: boolean;
  readonly second1G?: boolean;
  readonly snoop?: boolean;
  readonly deviceTlb?: boolean;
  /** ECAP.SLADS: the second stage has A and D bits where a PASID entry asks for them. True. */
  readonly secondMarks?: boolean;
  /** CAP.FL5LP: first-stage tables may have 5 levels. True. */
  readonly fiveLevels?: boolean;
  /** EFR.GATS: levels of AMD v2 tables, 4 or 5. 4. */
  readonly guestLevels?: number;
  readonly passThrough?: boolean;
  /** Devices of AMD's device table. 65536. */
  readonly devices?: number;
}

/** Ways of the caches, which are fully associative. 0 is none. */
export interface TranslationCaches {
  readonly tlb: number;
  readonly walk: number;
  readonly context: number;
}
/** Nothing is cached. */
export const NO_CACHES: TranslationCaches = { tlb: 0, walk: 0, context: 0 };

/** Where a block can be cached: the TLB, the TLBs of devices, or the walk cache of tables of a level. */
export type Place = 'tlb' | 'device' | 1 | 2 | 3 | 4 | 5;
/** A tag: domain (PCID; in TLBs of devices the source) and PASID; none is undefined. */
export interface Tag {
  readonly domain: number;
  readonly pasid: number | undefined;
}
/** Different pages, pages with words, blocks, structures that one instance can hold. */
const LIMITS = { pages: 1 << 13, memories: 1 << 9, blocks: 1 << 13, structures: 1 << 11 } as const;
const FIELDS = [
  'status',
  'fault',
  'order',
  'grants',
  'domain',
  'pasid',
  'kind',
  'level',
  'marks',
  'reads',
  'writes',
] as const;
/** u64 of the exchange before the fields. */
const EXCHANGE_WORDS = 3;
const NO_ORDER = 255;

/** Hardware that translates one request at a time, against memory that is written word by word. */
export class Translation {
  private readonly instance: Instance<TranslationExports>;
  private readonly exchange: number;
  private readonly number: Numbers;
  private readonly errors: ReadonlyMap<number, DescriptorError>;

  constructor(module: WebAssembly.Module, caches: TranslationCaches = NO_CACHES) {
    this.instance = instantiate<TranslationExports>(module);
    this.number = numbersOf(this.instance.exports);
    this.errors = errorsByNumber(this.number);
    const { pages, memories, blocks, structures } = LIMITS;
    const { tlb, walk, context } = caches;
    this.exchange = this.instance.exports.translateInit(pages, memories, blocks, structures, tlb, walk, context);
    this.capabilities({});
  }

  /** Writes one aligned word of memory. */
  write(address: bigint, value: bigint): void {
    const words = this.words();
    words[0] = address;
    words[2] = value;
    if (this.instance.exports.translateWrite() === 0) {
      throw new UsageError(`memory image: more than ${LIMITS.memories} pages of 4 KiB`);
    }
  }

  /** One entry at a level, 1 .. 6. */
  decode(format: Format, level: number, entry: bigint, options: FormatOptions = {}): Entry {
    this.format(format, 6, options);
    this.words()[2] = entry;
    this.instance.exports.translateDecode(level);
    const { kind, order, level: nextLevel, grants, marks } = this.fields();
    const names = Object.keys(KINDS) as (keyof typeof KINDS)[];
    const read = Object.entries(MARKS).map(([key, name]) => [key, (marks & this.number(name)) !== 0]);
    return {
      kind: KINDS[names.find((name) => this.number(name) === kind)!],
      address: this.words()[0]!,
      size: 2 ** (12 + order),
      nextLevel,
      grants: this.grants(grants),
      marks: Object.fromEntries(read) as Marks,
    };
  }

  /** What the IOMMU can do from now on. */
  capabilities(can: IommuCapabilities): void {
    const { width = 52, levels = [3, 4, 5], first1G = true, fiveLevels = true, guestLevels = 4 } = can;
    const { passThrough = true, devices = 65536 } = can;
    const { second2M = true, second1G = true, snoop = false, deviceTlb = true, secondMarks = true } = can;
    const widths = levels.reduce((bits, count) => bits | (1 << (count - 2)), 0);
    const first = this.bits({ HAS_1G: first1G, HAS_XD: true });
    const second = this.bits({
      HAS_2M: second2M,
      HAS_1G: second1G,
      HAS_SNOOP: snoop,
      HAS_DEVICE_TLB: deviceTlb,
      SETS_ACCESSED: secondMarks,
      SETS_DIRTY: secondMarks,
    });
    const table = Math.ceil(devices / 128);
    const rest = [Number(fiveLevels), guestLevels, Number(passThrough), table];
    this.instance.exports.translateCapabilities(width, widths, first, second, ...rest);
  }

  /** A CPU's access under CR3, whose low bits are the PCID. */
  cpu(cr3: bigint, ask: Ask, options: FormatOptions & { readonly levels?: number } = {}): Answer {
    const { levels = 4 } = options;
    this.format('x86', levels, options, ['SETS_ACCESSED', 'SETS_DIRTY', 'PROTECTS_SUPERVISOR']);
    return this.ask('AT_CPU', cr3, ask, 0, undefined);
  }
  /** A device's request under a root-table address register. */
  vtd(root: bigint, ask: Ask, source: number, pasid?: number): Answer {
    return this.ask('AT_VTD', root, ask, source, pasid);
  }
  /** A device's request under a device table. */
  amd(table: bigint, ask: Ask, source: number, pasid?: number): Answer {
    return this.ask('AT_AMD', table, ask, source, pasid);
  }

  /** Puts a block into a cache, without a walk. `number` counts blocks of 2^order pages. */
  fill(place: Place, { domain, pasid }: Tag, order: number, number: number): void {
    this.instance.exports.translateFill(this.place(place), domain, this.pasid(pasid), order, number);
  }
  /** Whether a cache holds a block. */
  holds(place: Place, { domain, pasid }: Tag, order: number, number: number): boolean {
    return this.instance.exports.translateHolds(this.place(place), domain, this.pasid(pasid), order, number) !== 0;
  }
  /** Whether the context entry (DTE) of a source, or the entry of one of its PASIDs, is cached. */
  knows(source: number, pasid?: number): boolean {
    const { translateKnows } = this.instance.exports;
    if (pasid !== undefined) return translateKnows(this.number('IN_PASIDS'), source, pasid) !== 0;
    return translateKnows(this.number('IN_CONTEXTS'), source, this.number('ANY')) !== 0;
  }
  /** Carries out an invalidation command: its words, 2 of 128 bits or 4 of 256. Returns why it is invalid, if it is. */
  command(arch: 'vtd' | 'amd', words: readonly bigint[], caps: Caps = {}): DescriptorError | undefined {
    const { exports, memory } = this.instance;
    new BigUint64Array(memory.buffer, exports.wordsAt(), words.length).set(words);
    const who = this.number(arch === 'amd' ? 'AT_AMD' : 'AT_VTD');
    const error = exports.translateCommand(who, words.length * 64, capabilityBits(this.number, arch, caps));
    return this.errors.get(error);
  }

  private ask(
    who: string,
    root: bigint,
    { address, access, user = true }: Ask,
    source: number,
    pasid?: number,
  ): Answer {
    const words = this.words();
    words[0] = address;
    words[1] = root;
    const asks = { r: 'GRANTS_READ', w: 'GRANTS_WRITE', x: 'GRANTS_EXECUTE' }[access];
    const bits = this.bits({ [asks]: true, GRANTS_USER: user });
    this.instance.exports.translate(this.number(who), bits, source, this.pasid(pasid));
    const fields = this.fields();
    const names = Object.keys(STATUSES) as (keyof typeof STATUSES)[];
    return {
      status: STATUSES[names.find((name) => this.number(name) === fields.status)!],
      address: this.words()[0]!,
      size: fields.order === NO_ORDER ? 0 : 2 ** (12 + fields.order),
      grants: this.grants(fields.grants),
      domain: fields.domain,
      pasid: fields.pasid === this.pasid(undefined) >>> 0 ? undefined : fields.pasid,
      fault: fields.fault,
      ...this.trail(fields.reads, fields.writes),
    };
  }

  private trail(reads: number, writes: number): Pick<Answer, 'reads' | 'writes'> {
    const { memory, exports } = this.instance;
    const limit = this.number('TRAIL_READS');
    const trail = new BigUint64Array(memory.buffer, exports.trailAt(), limit + 2 * writes);
    const written = [...trail.slice(limit)];
    return {
      reads: [...trail.slice(0, reads)],
      writes: Array.from({ length: writes }, (_, i) => ({ address: written[2 * i]!, value: written[2 * i + 1]! })),
    };
  }

  private format(format: Format, levels: number, options: FormatOptions, sets: readonly string[] = []): void {
    const { width = 52, nxe = true, has2M = true, has1G = true, snoop = false, deviceTlb = true } = options;
    const features = this.bits({
      HAS_XD: nxe,
      HAS_2M: has2M,
      HAS_1G: has1G,
      HAS_SNOOP: snoop,
      HAS_DEVICE_TLB: deviceTlb,
      ...Object.fromEntries(sets.map((name) => [name, true])),
    });
    this.instance.exports.translateFormat(this.number(RULES[format]), levels, width, features);
  }

  private bits(flags: Readonly<Record<string, boolean>>): number {
    return Object.entries(flags).reduce((bits, [name, on]) => (on ? bits | this.number(name) : bits), 0);
  }
  private grants(bits: number): Grants {
    const has = (name: string): boolean => (bits & this.number(name)) !== 0;
    return { r: has('GRANTS_READ'), w: has('GRANTS_WRITE'), x: has('GRANTS_EXECUTE'), u: has('GRANTS_USER') };
  }
  private pasid(pasid: number | undefined): number {
    return pasid ?? this.number('NO_PASID');
  }
  private place(place: Place): number {
    return place === 'tlb' ? this.number('IN_TLB') : place === 'device' ? this.number('IN_DEVICES') : place;
  }
  private words(): BigUint64Array {
    return new BigUint64Array(this.instance.memory.buffer, this.exchange, EXCHANGE_WORDS);
  }
  private fields(): Record<(typeof FIELDS)[number], number> {
    const { memory } = this.instance;
    const numbers = new Uint32Array(memory.buffer, this.exchange + 8 * EXCHANGE_WORDS, FIELDS.length);
    return Object.fromEntries(FIELDS.map((name, i) => [name, numbers[i]!])) as Record<(typeof FIELDS)[number], number>;
  }
}
