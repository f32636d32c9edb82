import { DescriptorCodec } from '../../engine/descriptor.ts';
import { CAPABILITIES, type Cover, hex } from '../../model/descriptor.ts';
import type { Section, Sides } from './section.ts';
import { optionalHex, type Value } from './value.ts';

/** Highest page number of the address space of one command. */
const LAST_PAGE = (1n << 52n) - 1n;
/** Pages left stale that a vector lists one by one; of more it may list the first. */
const MAX_LISTED = 64;

/** Ranges of pages: what commands cover them, and what Linux 4.13's shared memory left stale. */
export const ranges: Section = {
  name: 'ranges',
  start: (module) => {
    const codec = new DescriptorCodec(module);
    return (vector, both) => {
      const last = vector.need('last_pfn').number(LAST_PAGE);
      const first = vector.need('first_pfn').number(last);
      const cover = codec.cover(first, last);
      for (const [key, value] of vector.entries()) {
        if (key === 'cover') coverOf(value, cover, first, last, both);
        else if (key === 'vtd_iotlb') iotlb(value, cover, both);
        else if (key === 'vtd_devtlb_qw1') both.add(key, hex(value.number()), hex(cover.deviceWord));
        else if (key === 'amd_qw1') both.add(key, hex(value.number()), hex(cover.amdWord));
        else if (key === 'linux_4_13_intel_svm') linux(value, cover, first, last, both);
        else if (!IDENTITY.has(key)) both.add(key, 'tested', undefined);
      }
    };
  },
};

/** What a vector is about, as against what it expects. */
const IDENTITY = new Set(['id', 'note', 'src', 'first_pfn', 'last_pfn']);

function coverOf(value: Value, { order, base }: Cover, first: bigint, last: bigint, both: Sides): void {
  const pages = 1n << BigInt(order);
  const got: Record<string, bigint> = {
    base,
    order: BigInt(order),
    pages,
    over_invalidated_pages: pages - (last - first + 1n),
  };
  for (const [key, part] of value.entries()) numbers(key, part, got, both);
}

/** A VT-d IOTLB invalidation, or, above the largest address mask, one of the whole domain. */
function iotlb(value: Value, { order, base }: Cover, both: Sides): void {
  const fits = order <= CAPABILITIES.vtd.MAMV.otherwise;
  for (const [key, part] of value.entries()) {
    if (key === 'fallback') both.add(key, part.word(), fits ? undefined : 'domain_selective');
    // `why` is prose.
    else if (key !== 'why') numbers(key, part, fits ? { AM: BigInt(order), ADDR: base } : {}, both);
  }
}

function linux(value: Value, { rounded, roundedBase }: Cover, first: bigint, last: bigint, both: Sides): void {
  const begin = roundedBase >> 12n;
  const end = begin + (1n << BigInt(rounded));
  // The block is aligned downwards, so that it is the pages behind it that stay.
  const from = first > end ? first : end;
  const stale = last >= from ? last - from + 1n : 0n;
  const got = { AM: BigInt(rounded), effective_base: roundedBase, stale_count: stale };
  for (const [key, part] of value.entries()) {
    if (key !== 'pages_left_stale') numbers(key, part, got, both);
    else {
      const listed = part.items(0, MAX_LISTED).map((page) => hex(page.number()));
      const count = stale > BigInt(MAX_LISTED) ? listed.length : Number(stale);
      both.add(key, listed.join(','), Array.from({ length: count }, (_, i) => hex(from + BigInt(i))).join(','));
    }
  }
}

function numbers(key: string, value: Value, got: Readonly<Record<string, bigint>>, both: Sides): void {
  const found = Object.hasOwn(got, key) ? got[key] : undefined;
  both.add(key, hex(value.number()), optionalHex(found));
}
