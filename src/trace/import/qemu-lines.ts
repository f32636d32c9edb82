import { MAX_VPN } from '../../model/limits.ts';
import { halves, splitHex } from './address.ts';

/** What one line of a QEMU recording says. Numbers only; which mapping or domain it is about is for the reader. */
export type QemuLine =
  | (At & Mapping & { readonly kind: 'map'; readonly frame: number; readonly prot: number })
  | (At & Mapping & { readonly kind: 'unmap' })
  | (At & { readonly kind: 'iovaFree'; readonly iovad: string; readonly page: number; readonly pages: number })
  | (At & { readonly kind: 'queueFlush'; readonly iovad: string })
  | (At & Access & { readonly kind: 'hit' | 'fill'; readonly frame: number; readonly known: readonly number[] })
  | (At & Access & { readonly kind: 'fault'; readonly reason: number; readonly write: boolean | undefined })
  | (At & { readonly kind: 'context'; readonly source: number; readonly domain: number; readonly ats: boolean })
  | (At & { readonly kind: 'descriptor' | 'command'; readonly values: readonly number[] })
  | (At & { readonly kind: 'waitDone' | 'reset' })
  | { readonly kind: 'ignored'; readonly rule: string }
  | { readonly kind: 'rejected'; readonly expected: string };

/** Host stamp in picoseconds since the epoch of the file; undefined where the line has none. */
interface At {
  readonly stamp: number | undefined;
}

interface Mapping {
  /** The kernel's pointer to the domain, in hexadecimal. */
  readonly domain: string;
  readonly page: number;
  readonly pages: number;
  /** Guest time-stamp counter, undefined behind the end of the guest's own tracing. */
  readonly tsc: number | undefined;
}

interface Access {
  readonly thread: string;
  readonly source: number;
  readonly page: number;
  readonly offset: number;
}

/** Pages of one mapping: 16 GiB. A line that says more is not from a kernel. */
const MAX_MAPPED = 1 << 22;

/** Thread and time are there with `-msg timestamp=on` only. */
const EVENT = /^(?:(\d+)@(\d+)\.(\d{6}):|(?=vtd_|amdvi_|pci_nvme_))(\w+) ?(.*)$/;
const MAP =
  /^K map domain=([0-9a-f]{1,16}) iova=0x([0-9a-f]{1,16}) paddr=0x([0-9a-f]{1,16}) pgsize=0x([0-9a-f]{4,13}) pgcount=(\d{1,7}) prot=0x([0-9a-f]{1,8})(?: tsc=(\d{1,15}))?(?: t=(\d+)\.(\d{6}))?$/;
const UNMAP =
  /^K unmap domain=([0-9a-f]{1,16}) iova=0x([0-9a-f]{1,16}) pgsize=0x([0-9a-f]{4,13}) pgcount=(\d{1,7})(?: tsc=(\d{1,15}))?(?: t=(\d+)\.(\d{6}))?$/;
const IOVA_FREE = /^K iova_free iovad=([0-9a-f]{1,16}) pfn=0x([0-9a-f]{1,13}) npages=(\d{1,7})$/;
const QUEUE_FLUSH = /^K fq_flush_iotlb cookie=([0-9a-f]{1,16})$/;
/** `pte` since QEMU 9; HyperSIO's QEMU prints a mask and a level besides. */
const VTD_ACCESS =
  /^IOTLB page (?:hit|update) sid 0x([0-9a-f]{1,4}) iova 0x([0-9a-f]{1,16})(?: pmask 0x[0-9a-f]{1,16})? (?:sl)?pte 0x([0-9a-f]{1,16})(?: level 0x[0-9a-f]{1,2})? domain 0x([0-9a-f]{1,4})$/;
const VTD_FAULT = /^sid 0x([0-9a-f]{1,4}) fault (\d{1,3}) addr 0x([0-9a-f]{1,16}) write ([01])$/;
const VTD_CONTEXT =
  /^IOTLB context update bus 0x([0-9a-f]{1,2}) devfn 0x([0-9a-f]{1,2}) high 0x([0-9a-f]{1,16}) low 0x([0-9a-f]{1,16}) /;
const VTD_DESCRIPTOR = /^invalidate desc type \S+ high 0x([0-9a-f]{1,16}) low 0x([0-9a-f]{1,16})$/;
const AMD_ACCESS =
  /^ ?(?:hit iotlb|update iotlb domid 0x([0-9a-f]{1,4})) devid:? ([0-9a-f]{1,2}):([0-9a-f]{2})\.([0-7]) gpa 0x([0-9a-f]{1,16}) hpa 0x([0-9a-f]{1,16})$/;
const AMD_RESULT = /^devid: ([0-9a-f]{1,2}):([0-9a-f]{2})\.([0-7]) gpa 0x([0-9a-f]{1,16}) hpa 0x([0-9a-f]{1,16})$/;
const AMD_DEVICE = /devid: ([0-9a-f]{1,2}):([0-9a-f]{2})\.([0-7]) /;
const AMD_PAGES = /domain 0x([0-9a-f]{1,4}) /;
const AMD_WAIT = /store address 0x([0-9a-f]{1,16}) and store data 0x([0-9a-f]{1,16})$/;

/** Opcodes of the AMD commands that QEMU prints (48882, section 2.4). */
const AMD_OPCODE: Readonly<Record<string, number>> = {
  amdvi_completion_wait: 1,
  amdvi_devtab_inval: 2,
  amdvi_pages_inval: 3,
  amdvi_iotlb_inval: 4,
  amdvi_intr_inval: 5,
  amdvi_prefetch_pages: 6,
  amdvi_all_inval: 8,
};

/** Trace events that say nothing new, and why. */
const IGNORED: Readonly<Record<string, string>> = {
  vtd_dmar_translate: 'result of the translation above',
  vtd_iotlb_cc_hit: 'context cache',
  vtd_context_cache_reset: 'context cache',
  vtd_switch_address_space: 'address space of a device',
  vtd_dmar_enable: 'control register',
  vtd_inv_qi_tail: 'queue register',
  vtd_inv_qi_head: 'queue register',
  vtd_inv_qi_setup: 'queue register',
  vtd_inv_qi_enable: 'queue register',
  vtd_inv_desc_cc_global: 'descriptor above, decoded',
  vtd_inv_desc_cc_devices: 'descriptor above, decoded',
  vtd_inv_desc_cc_device: 'descriptor above, decoded',
  vtd_inv_desc_iotlb_global: 'descriptor above, decoded',
  vtd_inv_desc_iotlb_domain: 'descriptor above, decoded',
  vtd_inv_desc_iotlb_pages: 'descriptor above, decoded',
  vtd_frr_new: 'fault record',
  amdvi_command_exec: 'queue register',
  amdvi_control_status: 'control register',
  amdvi_command_error: 'command buffer off',
  pci_nvme_read: 'nvme command',
  pci_nvme_write: 'nvme command',
  pci_nvme_rw_complete_cb: 'nvme command',
};

/** Whether a line looks like one of these recordings: what `sniff` asks. */
export function isQemuLine(text: string): boolean {
  return MAP.test(text) || UNMAP.test(text) || /^(?:\d+@\d+\.\d{6}:)?(?:vtd|amdvi)_\w+/.test(text);
}

/** Bus, device and function as in `lspci`: 0x0130 is 01:06.0. */
export function sourceName(source: number): string {
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  return `${hex(source >> 8)}:${hex((source >> 3) & 31)}.${source & 7}`;
}

/** Reads lines one after another; keeps the first second of the file, and which translations await their result. */
export class QemuLines {
  private epoch: number | undefined;
  /** Threads of QEMU whose AMD translation hit or was filled: the result that follows says nothing new. */
  private readonly translated = new Set<string>();

  read(text: string): QemuLine {
    if (text.startsWith('K ')) return this.kernel(text);
    if (text.startsWith('# ')) return { kind: 'ignored', rule: 'footer' };
    const event = EVENT.exec(text);
    if (!event) {
      return text.trim() === ''
        ? { kind: 'ignored', rule: 'empty line' }
        : { kind: 'rejected', expected: 'a trace event or a K line' };
    }
    const [, thread = '', seconds, micros, name, rest] = event as unknown as (string | undefined)[];
    const rule = IGNORED[name!];
    if (rule !== undefined) return { kind: 'ignored', rule };
    const stamp = seconds === undefined ? undefined : this.stampOf(seconds, micros!);
    const line = name!.startsWith('amdvi_')
      ? this.amdLine(name!, rest!, thread, stamp)
      : vtdLine(name!, rest!, thread, stamp);
    return line ?? { kind: 'rejected', expected: 'a trace event that is known' };
  }

  private amdLine(name: string, rest: string, thread: string, stamp: number | undefined): QemuLine | undefined {
    if (name !== 'amdvi_translation_result') {
      const line = amdLine(name, rest, thread, stamp);
      if (line?.kind === 'hit' || line?.kind === 'fill') this.translated.add(thread);
      return line;
    }
    const found = AMD_RESULT.exec(rest);
    if (!found) return undefined;
    const [, bus, device, fn, gpa, hpa] = found as unknown as string[];
    if (this.translated.delete(thread)) return { kind: 'ignored', rule: 'result of the translation above' };
    if (!/^0+$/.test(hpa!)) return { kind: 'ignored', rule: 'device that is not remapped' };
    const access = { thread, source: sourceOf(bus!, device!, fn!), ...splitHex(gpa!) };
    return { kind: 'fault', stamp, ...access, reason: 0, write: undefined };
  }

  private kernel(text: string): QemuLine {
    const map = MAP.exec(text);
    if (map) {
      const [, domain, iova, paddr, pgsize, count, prot, tsc, seconds, micros] = map as unknown as string[];
      const frame = splitHex(paddr!).page;
      const mapping = this.mapping(domain!, iova!, pgsize!, count!, tsc, seconds, micros);
      if (!mapping || !(frame <= MAX_VPN)) return { kind: 'rejected', expected: 'a mapping below 2^57' };
      return { kind: 'map', ...mapping, frame, prot: Number.parseInt(prot!, 16) & 3 };
    }
    const unmap = UNMAP.exec(text);
    if (unmap) {
      const [, domain, iova, pgsize, count, tsc, seconds, micros] = unmap as unknown as string[];
      const mapping = this.mapping(domain!, iova!, pgsize!, count!, tsc, seconds, micros);
      return mapping ? { kind: 'unmap', ...mapping } : { kind: 'rejected', expected: 'a mapping below 2^57' };
    }
    const free = IOVA_FREE.exec(text);
    if (free) {
      const [, iovad, pfn, pages] = free as unknown as string[];
      return {
        kind: 'iovaFree',
        stamp: undefined,
        iovad: iovad!,
        page: Number.parseInt(pfn!, 16),
        pages: Number(pages),
      };
    }
    const flush = QUEUE_FLUSH.exec(text);
    // The cookie begins with its type; the IOVA domain is the next member (dma-iommu.c, struct iommu_dma_cookie).
    if (flush) return { kind: 'queueFlush', stamp: undefined, iovad: addHex(flush[1]!, 8) };
    return { kind: 'rejected', expected: 'a K line that is known' };
  }

  private mapping(
    domain: string,
    iova: string,
    pgsize: string,
    count: string,
    tsc: string | undefined,
    seconds: string | undefined,
    micros: string | undefined,
  ): (Mapping & At) | undefined {
    const { page, offset } = splitHex(iova);
    const pages = (Number.parseInt(pgsize, 16) / 4096) * Number(count);
    if (offset !== 0 || !Number.isInteger(pages) || pages < 1 || pages > MAX_MAPPED || page + pages > MAX_VPN) return;
    const stamp = seconds === undefined ? undefined : this.stampOf(seconds, micros!);
    return { domain, page, pages, tsc: tsc === undefined ? undefined : Number(tsc), stamp };
  }

  private stampOf(seconds: string, micros: string): number {
    this.epoch ??= Number(seconds);
    return (Number(seconds) - this.epoch) * 1e12 + Number(micros) * 1e6;
  }
}

function vtdLine(name: string, rest: string, thread: string, stamp: number | undefined): QemuLine | undefined {
  if (name === 'vtd_iotlb_page_hit' || name === 'vtd_iotlb_page_update') {
    const found = VTD_ACCESS.exec(rest);
    if (!found) return undefined;
    const [, sid, iova, slpte, domain] = found as unknown as string[];
    const entry = splitHex(slpte!);
    const known = [Number.parseInt(domain!, 16), entry.offset & 3];
    const kind = name === 'vtd_iotlb_page_hit' ? 'hit' : 'fill';
    return { kind, stamp, thread, source: Number.parseInt(sid!, 16), ...splitHex(iova!), frame: entry.page, known };
  }
  if (name === 'vtd_inv_desc') {
    const found = VTD_DESCRIPTOR.exec(rest);
    if (!found) return undefined;
    const low = halves(found[2]!);
    return { kind: 'descriptor', stamp, values: [low[0] & 15, ...low, ...halves(found[1]!)] };
  }
  if (name === 'vtd_inv_desc_wait_sw') return { kind: 'waitDone', stamp };
  if (name === 'vtd_iotlb_reset') return { kind: 'reset', stamp };
  if (name === 'vtd_dmar_fault') {
    const found = VTD_FAULT.exec(rest);
    if (!found) return undefined;
    const [, sid, reason, iova, write] = found as unknown as string[];
    const access = { thread, source: Number.parseInt(sid!, 16), ...splitHex(iova!) };
    return { kind: 'fault', stamp, ...access, reason: Number(reason), write: write === '1' };
  }
  if (name === 'vtd_iotlb_cc_update') {
    const found = VTD_CONTEXT.exec(rest);
    if (!found) return undefined;
    const [, bus, devfn, high, low] = found as unknown as string[];
    const source = Number.parseInt(bus!, 16) * 256 + Number.parseInt(devfn!, 16);
    // Context entry: domain id in bits 23:8 of the high word, translation type in bits 3:2 of the low one, 1 = ATS.
    const domain = (halves(high!)[0] >>> 8) & 0xffff;
    return { kind: 'context', stamp, source, domain, ats: ((halves(low!)[0] >>> 2) & 3) === 1 };
  }
  return undefined;
}

function amdLine(name: string, rest: string, thread: string, stamp: number | undefined): QemuLine | undefined {
  if (name === 'amdvi_iotlb_hit' || name === 'amdvi_cache_update') {
    const found = AMD_ACCESS.exec(rest);
    if (!found) return undefined;
    const [, domain, bus, device, fn, gpa, hpa] = found as unknown as (string | undefined)[];
    const known = domain === undefined ? [] : [Number.parseInt(domain, 16)];
    const access = { thread, source: sourceOf(bus!, device!, fn!), ...splitHex(gpa!), frame: splitHex(hpa!).page };
    return { kind: name === 'amdvi_iotlb_hit' ? 'hit' : 'fill', stamp, ...access, known };
  }
  if (name === 'amdvi_iotlb_reset') return { kind: 'reset', stamp };
  const opcode = AMD_OPCODE[name];
  return opcode === undefined ? undefined : { kind: 'command', stamp, values: [opcode, ...amdNames(opcode, rest)] };
}

/** What QEMU prints of a command: of opcode 1 both words, of opcode 3 the word with the domain, of others the device. */
function amdNames(opcode: number, rest: string): number[] {
  const wait = opcode === 1 ? AMD_WAIT.exec(rest) : null;
  if (wait) {
    const [low, high] = halves(wait[1]!);
    return [(low | 1) >>> 0, ((1 << 28) | high) >>> 0, ...halves(wait[2]!)];
  }
  const pages = opcode === 3 ? AMD_PAGES.exec(rest) : null;
  if (pages) return [0, ((3 << 28) | Number.parseInt(pages[1]!, 16)) >>> 0];
  const device = AMD_DEVICE.exec(rest);
  return device ? [sourceOf(device[1]!, device[2]!, device[3]!), (opcode << 28) >>> 0] : [];
}

function sourceOf(bus: string, device: string, fn: string): number {
  return Number.parseInt(bus, 16) * 256 + Number.parseInt(device, 16) * 8 + Number(fn);
}

/** A hexadecimal pointer plus a few bytes; the low six digits are enough to carry into. */
function addHex(hex: string, bytes: number): string {
  const low = (Number.parseInt(hex.slice(-6), 16) + bytes).toString(16).padStart(Math.min(6, hex.length), '0');
  return hex.slice(0, -6) + low;
}
