import { MAP_FLAG, type TraceEvent } from '../model/trace.ts';

/** What is behind a page: the numbers that the engine uses (assembly/ops.ts KIND_*). */
export const KIND = { unknown: 0, anonymous: 1, file: 2, shared: 3, hugetlb: 5, huge: 6 } as const;

interface Mapping {
  readonly first: number;
  readonly end: number;
  readonly kind: number;
}

/** Kind of memory that an mmap event maps. */
export function kindOfMapping(flags: number): number {
  if ((flags & MAP_FLAG.hugetlb) !== 0) return KIND.hugetlb;
  if ((flags & MAP_FLAG.file) === 0) return (flags & MAP_FLAG.huge) !== 0 ? KIND.huge : KIND.anonymous;
  return (flags & MAP_FLAG.shared) !== 0 ? KIND.shared : KIND.file;
}

/** What has been mapped where in each space, by the events so far: the kind of a page that is used for the first time. */
export class Mappings {
  private readonly spaces: Mapping[][] = [];

  /** Takes an event in; only changes of mappings matter. */
  apply(event: TraceEvent): void {
    const [space, first, end, , flags] = event.fields as [number, number, number, number, number];
    if (event.op === 'mmap') this.set(space, { first, end, kind: kindOfMapping(flags) });
    else if (event.op === 'brk' && end > first) this.set(space, { first, end, kind: KIND.anonymous });
    else if (event.op === 'munmap') this.cut(space, first, end);
    else if (event.op === 'exit') this.spaces[space] = [];
    else if (event.op === 'mremap') {
      const [, , , newFirst, newEnd] = event.fields as [number, number, number, number, number];
      const kind = this.kindOf(space, first);
      this.cut(space, first, end);
      this.set(space, { first: newFirst, end: newEnd, kind });
    }
  }

  kindOf(space: number, vpn: number): number {
    return this.spaces[space]?.find(({ first, end }) => vpn >= first && vpn < end)?.kind ?? KIND.unknown;
  }

  private set(space: number, mapping: Mapping): void {
    this.cut(space, mapping.first, mapping.end);
    this.spaces[space]!.push(mapping);
  }

  private cut(space: number, from: number, to: number): void {
    this.spaces[space] = (this.spaces[space] ?? []).flatMap(({ first, end, kind }) => {
      if (end <= from || first >= to) return [{ first, end, kind }];
      const left = first < from ? [{ first, end: from, kind }] : [];
      return end > to ? [...left, { first: to, end, kind }] : left;
    });
  }
}
