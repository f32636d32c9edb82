import { type Decoded, type DescriptorRange, hex } from '../model/descriptor.ts';
import { bdf } from './field.ts';
import { count } from './grid.ts';

/**
 * What hardware must remove for a valid descriptor, in words: VT-d specification 6.5.2 and 6.2, AMD 48882 section 2.4.
 * It may remove more. Nothing for descriptors that remove nothing.
 */
export function removedBy(decoded: Decoded): string[] {
  if (decoded.error !== undefined) return [];
  const { arch } = decoded;
  return arch === 'vtd' ? vtd(decoded) : arch === 'amd' ? amd(decoded) : others(decoded);
}

/** Value of a field; 0 if the descriptor has none of that name. */
function numberOf({ fields }: Decoded, name: string): bigint {
  return fields.find((field) => field.name === name)?.value ?? 0n;
}

function vtd(decoded: Decoded): string[] {
  const { granularity, range } = decoded;
  const field = (name: string): bigint => numberOf(decoded, name);
  const domain = `of domain ${hex(field('DID'))}`;
  const pasid = `of PASID ${hex(field('PASID'))} in domain ${hex(field('DID'))}`;
  const upper = field('IH') === 0n ? 'paging-structure-cache entries' : undefined;
  switch (decoded.kind) {
    case 'cc_inv': {
      const whose =
        granularity === 'global' ? 'all' : granularity === 'domain' ? `those ${domain}` : `those of ${device(decoded)}`;
      return [`context-cache entries: ${whose}; IOTLB entries stay until software asks for them too`];
    }
    case 'iotlb_inv':
      if (granularity === 'global') return ['all IOTLB entries, all paging-structure-cache entries'];
      if (granularity === 'domain') {
        return [`all IOTLB entries ${domain}, those of its PASIDs too`, `paging-structure-cache entries ${domain}`];
      }
      return [
        `second-stage IOTLB entries ${domain} ${within(range)}`,
        `all first-stage and nested IOTLB entries ${domain}: they cannot be matched by this address`,
        ...(upper === undefined ? [] : [`second-stage ${upper} ${domain}`]),
      ];
    case 'p_iotlb_inv':
    case 'ecs_p_iotlb_inv':
      if (granularity === 'all_in_domain_ecs') return [`IOTLB entries of all PASIDs ${domain}, global ones too`];
      if (granularity === 'nonglobal_in_domain_ecs') return [`IOTLB entries of all PASIDs ${domain}, but global ones`];
      if (granularity === 'pasid') return [`first-stage and nested IOTLB and paging-structure-cache entries ${pasid}`];
      return [
        `first-stage and nested IOTLB entries ${pasid} ${within(range)}`,
        ...(upper === undefined ? [] : [`${upper} ${pasid}`]),
      ];
    case 'pasid_cache_inv':
    case 'ecs_pasid_cache_inv': {
      const whose = granularity === 'global' ? 'all' : granularity === 'domain' ? `those ${domain}` : `those ${pasid}`;
      return [`PASID-cache entries: ${whose}; IOTLB entries stay until software asks for them too`];
    }
    case 'iec_inv': {
      const entries =
        range?.what === 'entries' ? `${count(Number(range.count))} from index ${hex(range.base)} on` : 'all';
      return [`interrupt-entry-cache entries: ${entries}`];
    }
    case 'dev_tlb_inv':
      return [`entries of the TLB of device ${bdf(field('SID'))} ${within(range)}`];
    case 'p_dev_tlb_inv':
    case 'ecs_p_dev_tlb_inv': {
      const whose = field('G') === 1n ? 'of all PASIDs' : `of PASID ${hex(field('PASID'))}`;
      return [`entries ${whose} of the TLB of device ${bdf(field('SID'))} ${within(range)}`];
    }
    default:
      return [];
  }
}

/** Functions of a device that a context-cache invalidation names. */
function device(decoded: Decoded): string {
  const mask = Number(numberOf(decoded, 'FM'));
  return (
    bdf(numberOf(decoded, 'SID')) + (mask === 0 ? '' : ` and the functions that differ in its low bits (FM ${mask})`)
  );
}

function amd(decoded: Decoded): string[] {
  const field = (name: string): bigint => numberOf(decoded, name);
  const guest = field('GN') === 1n;
  const source = bdf(field('DEVID'));
  switch (decoded.kind) {
    case 'invalidate_devtab_entry':
      return [`the cached device table entry of ${source} and its guest table pointers`];
    case 'invalidate_iommu_pages': {
      const whose = `of domain ${hex(field('DOMID'))}${guest ? `, PASID ${hex(field('PASID'))}` : ''}`;
      const which = guest ? 'guest translations' : 'host translations, and all nested ones,';
      const upper = field('PDE') === 1n ? [`cached upper levels (PDEs) ${whose}`] : [];
      return [`cached ${which} ${whose} ${within(decoded.range)}`, ...upper];
    }
    case 'invalidate_iotlb_pages': {
      const whose = guest ? ` of PASID ${hex(field('PASID'))}` : '';
      return [`entries${whose} of the TLB of device ${source} ${within(decoded.range)}`];
    }
    case 'invalidate_interrupt_table':
      return [`cached interrupt remapping entries of ${source}`];
    case 'invalidate_iommu_all':
      return ['everything: translations, device table entries, interrupt remapping entries'];
    default:
      return [];
  }
}

/** SMMUv3 and RISC-V: what their range says; the kind says the rest. */
function others({ range }: Decoded): string[] {
  return range === undefined ? [] : [`entries ${within(range)}`];
}

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB'];

function within(range: DescriptorRange | undefined): string {
  if (range === undefined || range.what === 'all') return 'at any address';
  const bytes = range.count << BigInt(range.shift);
  const last = range.base + bytes - 1n;
  let unit = 0;
  let size = bytes;
  while (size % 1024n === 0n && unit < UNITS.length - 1) {
    size /= 1024n;
    unit++;
  }
  const pages = `${count(Number(range.count))} ${range.count === 1n ? 'page' : 'pages'}`;
  return `in ${hex(range.base)}..${hex(last)} (${pages}, ${size} ${UNITS[unit]})`;
}
