import { TraceError } from '../../model/errors.ts';
import { PROT } from '../../model/trace.ts';
import type { Input } from '../input.ts';
import { eachLine } from '../lines.ts';
import { TraceWriter } from '../writer.ts';
import { halves } from './address.ts';
import { type At, DmaEvents, USED } from './ftrace-dma.ts';
import {
  addressOf,
  bareAddressOf,
  FtraceLines,
  fieldsOf,
  isFtraceLine,
  sizeOf,
  type TracedEvent,
} from './ftrace-lines.ts';
import { MmEvents } from './ftrace-mm.ts';
import {
  ACCEPTED,
  type Fate,
  type Importer,
  type ImportOptions,
  ignored,
  linesOfHead,
  rejected,
  Tally,
} from './importer.ts';

/**
 * The trace buffer of a Linux kernel as text: tracefs `trace`, `trace-cmd report`, `perf script`. Kernels 4.14 to 7.0. Read
 * twice: which maps end together is known at their unmap only.
 */
export const ftrace: Importer = {
  name: 'ftrace',
  summary:
    'Linux tracepoints: ftrace, trace-cmd report, perf script (iommu, intel_iommu, dma, page faults, mmu_notifiers)',
  source: 'Linux 4.14..7.0 include/trace/events/{iommu,intel_iommu,dma,tlb}.h',

  sniff: (head) => linesOfHead(head).some(isFtraceLine),

  async read(input, out, options) {
    const first = await record(input, rehearsal(), { strict: false }, new Set());
    const { tally, recorder } = await record(input, out, options, first.recorder.dma.together);
    if (tally.lines !== first.tally.lines) throw new TraceError(input.file, 'changed while it was read');
    return { tally: tally.finish(), inferred: recorder.inferred() };
  },
};

async function record(input: Input, out: TraceWriter, options: ImportOptions, joins: ReadonlySet<number>) {
  const tally = new Tally(input.file, options);
  const recorder = new Recorder(out, tally, joins);
  await eachLine(input, (text) => tally.take(text, recorder.read(text)));
  recorder.dma.settle();
  return { tally, recorder };
}

/** A writer that keeps nothing: what the first reading, which finds out what ends together, writes to. */
function rehearsal(): TraceWriter {
  const nothing = new Uint8Array(0);
  const codec = { compress: () => nothing, decompress: () => nothing, crc32: () => 0 };
  return new TraceWriter({ write: () => {} }, codec);
}

const OTHER: Readonly<Record<string, Fate>> = {
  heading: ignored('heading'),
  empty: ignored('empty line'),
  lost: ignored('events were lost'),
  chain: ignored('call chain'),
  unknown: rejected('an event of a trace buffer'),
};

/** `dir` of the DMA API: what the device may do. By number in kprobes, by name in the `dma` events. */
const DIRECTIONS: ReadonlyMap<string, number> = new Map([
  ['0', PROT.read | PROT.write],
  ['BIDIRECTIONAL', PROT.read | PROT.write],
  ['1', PROT.read],
  ['TO_DEVICE', PROT.read],
  ['2', PROT.write],
  ['FROM_DEVICE', PROT.write],
]);

/** Reasons of `tlb:tlb_flush` by their number; the words changed between kernels. */
const FLUSH_REASONS = [
  'task switch',
  'remote shootdown',
  'local shootdown',
  'local mm shootdown',
  'remote ipi send',
  'remote wrong CPU',
];

const NAMED = ignored('call of the DMA API: it names the device of a map or unmap');
const NOT_REMAPPED = ignored('DMA mapping whose address is physical: it is not remapped');
const CHANGE_OF_POLICY = ignored('step of the recorded policy');
const NO_MAP = rejected('a map with iova, paddr and size');
const NO_UNMAP = rejected('an unmap with iova and size');
const NO_DESCRIPTOR = rejected('a descriptor of four words');
const NO_RANGE = rejected('a flush of a range');
const NO_FAULT = rejected('a fault with device, iova and flags');
const NO_CPU = rejected('an event with its CPU');

/** Events of pages that change, for which a trace has no word, and what they are. */
const LEFT_OUT: readonly (readonly [name: RegExp, rule: string])[] = [
  [/^(mm_migrate_pages|set_migration_p|remove_migration_p)/, 'page migration'],
  [/^mm_vmscan_/, 'reclaim'],
  [/^(mm_collapse_|mm_khugepaged_|hugepage_)/, 'huge page'],
  [
    /^(kvm_|mm_page_|mmap_lock_|vm_unmapped_area|rss_stat|swiotlb_|ipi_|page_ref_)/,
    'memory management without an address change',
  ],
  [/^(iova_|fq_|flush_|cache_tag_(un)?assign|(add|remove)_device|(at|de)tach_device)/, 'IOMMU, without a map or unmap'],
];

class Recorder {
  readonly dma: DmaEvents;
  private readonly mm: MmEvents;
  private readonly lines = new FtraceLines();
  /** The core's map events are there: those of the DMA API only name their devices. */
  private core = false;
  private descriptors = 0;
  private ranges = 0;

  constructor(
    private readonly out: TraceWriter,
    private readonly tally: Tally,
    joins: ReadonlySet<number>,
  ) {
    this.dma = new DmaEvents(out, joins);
    this.mm = new MmEvents(out);
  }

  read(text: string): Fate {
    const event = this.lines.read(text);
    if (typeof event === 'object') return this.event(event);
    if (event === 'lost') this.dma.lose();
    return OTHER[event]!;
  }

  private event(event: TracedEvent): Fate {
    const { name, payload } = event;
    const call = /^sys_(?:(enter|exit)_)?(\w+)$/.exec(name);
    if (call) return this.call(event, call[1], call[2]!);
    if (name === 'page_fault_user') return this.mm.fault(event);
    if (/^(page|minor|major)-faults$/.test(name)) return this.mm.sample(event);
    if (NOTIFIER.test(name)) return name.endsWith('_start') ? this.mm.range(event) : CHANGE_OF_POLICY;
    if (name === 'tlb_flush') {
      const reason = FLUSH_REASONS[Number(/\((\d+)\)\s*$/.exec(payload)?.[1])];
      return ignored(`TLB flush, which names no page: ${reason ?? 'unknown reason'}`);
    }
    if (event.cpu === undefined) return DMA_NAMES.test(name) ? NO_CPU : leftOut(name);
    return this.dmaEvent(event, { cpu: event.cpu, time: event.time }) ?? leftOut(name);
  }

  private call(event: TracedEvent, what: string | undefined, name: string): Fate {
    const ends = what === 'exit' || (what === undefined && event.payload.startsWith('->'));
    return (
      (ends ? this.mm.exit(event, name) : this.mm.enter(event, name)) ?? ignored('system call on no address space')
    );
  }

  private dmaEvent({ name, payload }: TracedEvent, at: At): Fate | undefined {
    switch (name) {
      case 'map':
        this.core = true;
        return this.map(at, payload);
      case 'unmap':
        this.core = true;
        return this.unmap(at, payload);
      case 'map_single':
      case 'map_sg':
      case 'bounce_map_single':
        return this.oldMap(at, payload);
      case 'unmap_single':
      case 'unmap_sg':
      case 'bounce_unmap_single':
        return this.oldUnmap(at, payload);
      case 'io_page_fault':
        return this.fault(at, payload);
      case 'qi_submit':
        return this.descriptor(at, payload);
      case 'cache_tag_flush_range':
      case 'cache_tag_flush_range_np':
        return this.range(at, payload);
      case 'iova_alloc':
        return CHANGE_OF_POLICY;
      case 'iova_free':
        return this.free(at, payload);
      default:
        if (/^(fq_|flush_)/.test(name)) {
          this.dma.passed(at);
          return CHANGE_OF_POLICY;
        }
        return /^dma_(un)?map_|^dma_(alloc|free)/.test(name) ? this.api(at, name, payload) : undefined;
    }
  }

  private map(at: At, payload: string): Fate {
    const fields = fieldsOf(payload);
    const iova = addressOf(fields.get('iova'));
    const frame = addressOf(fields.get('paddr'));
    const size = sizeOf(fields.get('size'));
    if (!iova || !frame || size === undefined) return NO_MAP;
    return this.dma.map(at, { page: iova.page, pages: pagesOf(iova.offset, size), frame: frame.page });
  }

  private unmap(at: At, payload: string): Fate {
    const fields = fieldsOf(payload);
    const iova = addressOf(fields.get('iova'));
    const size = sizeOf(fields.get('unmapped_size') ?? fields.get('size'));
    if (!iova || size === undefined) return NO_UNMAP;
    return this.dma.unmap(at, iova.page, pagesOf(iova.offset, size));
  }

  /** `intel_iommu` of 5.4 to 5.10, which did not go through the core: with the device. */
  private oldMap(at: At, payload: string): Fate {
    const fields = fieldsOf(payload);
    const iova = addressOf(fields.get('dev_addr'));
    const frame = addressOf(fields.get('phys_addr'));
    const size = sizeOf(fields.get('size'));
    const device = fields.get('dev');
    if (!iova || !frame || size === undefined || device === undefined) return NO_MAP;
    return this.dma.map(at, { page: iova.page, pages: pagesOf(iova.offset, size), frame: frame.page, device });
  }

  private oldUnmap(at: At, payload: string): Fate {
    const fields = fieldsOf(payload);
    const iova = addressOf(fields.get('dev_addr'));
    const size = sizeOf(fields.get('size'));
    if (!iova || size === undefined) return NO_UNMAP;
    const device = fields.get('dev');
    if (device !== undefined) this.dma.name(device, iova.page, undefined);
    return this.dma.unmap(at, iova.page, pagesOf(iova.offset, size));
  }

  /** Calls of the DMA API: maps and unmaps themselves where the core's events were not recorded. */
  private api(at: At, name: string, payload: string): Fate {
    const fields = fieldsOf(payload);
    const list = (key: string): (string | undefined)[] =>
      fields.get(`${key}s`)?.replace(/[{}]/g, '').split(',').filter(Boolean) ?? [fields.get(key)];
    // kprobes print `dev="0000:00:04.0" iova=0x..`, the events `0000:00:04.0 dir=.. dma_addr=..`.
    const device = fields.get('dev') ?? /^\S+/.exec(payload)?.[0];
    const iovas = fields.has('iova') ? [addressOf(fields.get('iova'))] : list('dma_addr').map(bareAddressOf);
    const sizes = list('size').map(sizeOf);
    const prot = DIRECTIONS.get(fields.get('dir') ?? '');
    const [iova] = iovas;
    if (device === undefined || !iova) return name.includes('unmap') || name.includes('free') ? NO_UNMAP : NO_MAP;
    if (this.core || fields.has('iova')) {
      this.dma.name(device, iova.page, prot);
      return NAMED;
    }
    if (/unmap|free/.test(name)) {
      const size = sizes[0];
      if (size === undefined) return NO_UNMAP;
      this.dma.name(device, iova.page, prot);
      return this.dma.unmap(at, iova.page, pagesOf(iova.offset, size));
    }
    const frames = list('phys_addr').map(bareAddressOf);
    if (frames[0]?.page === iova.page) return NOT_REMAPPED;
    let fate: Fate = NO_MAP;
    for (let i = 0; i < iovas.length; i++) {
      const [place, size, frame] = [iovas[i], sizes[i], frames[i]];
      if (!place || size === undefined || !frame) return NO_MAP;
      fate = this.dma.map(at, {
        page: place.page,
        pages: pagesOf(place.offset, size),
        frame: frame.page,
        device,
        prot,
      });
    }
    return fate;
  }

  private fault(at: At, payload: string): Fate {
    const found = /^IOMMU:\s?(?:\S* )?(\S+) iova=0x([0-9a-f]{1,16}) flags=0x([0-9a-f]{1,8})/.exec(payload);
    const iova = addressOf(found ? `0x${found[2]}` : undefined);
    if (!found || !iova || iova.page > 2 ** 45) return NO_FAULT;
    const fate = this.dma.deny(at, found[1]!, iova.page, iova.offset, (Number.parseInt(found[3]!, 16) & 1) === 1);
    if (fate === ACCEPTED) this.out.outcome('fault', this.line, [0, iova.page]);
    return fate;
  }

  /** A descriptor is printed word by word, before the doorbell; the wait behind it is not. */
  private descriptor(at: At, payload: string): Fate {
    const found = /^\S+ \S+: 0x([0-9a-f]{1,16}) 0x([0-9a-f]{1,16})/.exec(payload);
    if (!found) return NO_DESCRIPTOR;
    const low = halves(found[1]!);
    this.dma.settle();
    this.out.outcome('descriptor', this.line, [low[0] & 15, ...low, ...halves(found[2]!)]);
    this.descriptors++;
    this.dma.passed(at);
    return ACCEPTED;
  }

  private range(at: At, payload: string): Fate {
    const found = / did (\d{1,10}) \[0x([0-9a-f]{1,16})-0x([0-9a-f]{1,16})\].*? mask 0x([0-9a-f]{1,4})/.exec(payload);
    const [first, last] = [
      addressOf(found ? `0x${found[2]}` : undefined),
      addressOf(found ? `0x${found[3]}` : undefined),
    ];
    if (!found || !first || !last) return NO_RANGE;
    this.dma.settle();
    this.out.outcome('rangeEvent', this.line, [
      Number(found[1]),
      first.page,
      last.page,
      Number.parseInt(found[4]!, 16),
    ]);
    this.ranges++;
    this.dma.passed(at);
    return ACCEPTED;
  }

  private free(at: At, payload: string): Fate {
    const fields = fieldsOf(payload);
    const pfn = sizeOf(fields.get('pfn'));
    const pages = sizeOf(fields.get('npages'));
    if (pfn === undefined || pages === undefined) return rejected('a freed IOVA with pfn and npages');
    this.dma.settle();
    this.out.outcome('iovaFree', this.line, [pfn, pages]);
    this.dma.passed(at);
    return ACCEPTED;
  }

  /** Number of the line in hand: it is counted when it has its fate. */
  private get line(): number {
    return this.tally.lines + 1;
  }

  inferred(): string[] {
    const { dma, mm } = this;
    const sentences: string[] = [];
    if (dma.count > 0) {
      sentences.push(
        `A map does not say its domain: mappings share one unless their IOVAs overlap, or the DMA API names their devices (${dma.count} domains; ${dma.ambiguous} unmaps fit several).`,
        `Device accesses are not in the recording: a device is taken to have used each page of a mapping once, up to ${USED} pages, just before its unmap (${dma.used} accesses put in).`,
        'Where no direction is recorded a mapping allows both, and accesses are reads.',
        'Maps that follow one another and end in one unmap are pieces of one mapping.',
      );
      if (dma.lost > 0) sentences.push(`${dma.lost} mappings were made anew without an unmap: it was lost.`);
    }
    if (this.descriptors > 0)
      sentences.push(`${this.descriptors} descriptors are kept as outcomes; the waits behind them are not printed.`);
    if (this.ranges > 0) sentences.push(`${this.ranges} flushes of cache tags are kept as outcomes.`);
    if (mm.count > 0)
      sentences.push(
        `Threads are agents, ${mm.count} of them. A page fault is one access; accesses without a fault are not in the recording.`,
      );
    if (mm.ranges > 0)
      sentences.push(
        `${mm.ranges} ranges of mmu_notifiers: unmapped ones are munmaps; cleared ones are discarded (MADV_DONTNEED), whether by reclaim, a copy or the program; changes of protection are NUMA hints, and write protection is that of clear_refs.`,
      );
    sentences.push(
      this.lines.ticks
        ? 'Time stamps count ticks of a clock whose rate is not in the file: they are taken as nanoseconds (`--time-scale` corrects).'
        : 'Time between the events of a CPU is think time, but for that up to the last step of the recorded policy.',
    );
    return sentences;
  }
}

/** Probes of the callbacks of mmu_notifiers, which have no tracepoints: `record --kernel` prints how to set them. */
const NOTIFIER = /(^|_)invalidate_(range_(start|end)|secondary_tlbs)$/;

/** Events of maps and unmaps. */
const DMA_NAMES = /^(un)?map$|^(bounce_)?(un)?map_(single|sg)$/;

function leftOut(name: string): Fate {
  return ignored(LEFT_OUT.find(([names]) => names.test(name))?.[1] ?? 'other event');
}

/** Pages that `size` bytes from `offset` in a page touch. */
function pagesOf(offset: number, size: number): number {
  return Math.ceil((offset + size) / 4096);
}
