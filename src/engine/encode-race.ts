import type { RaceAction } from '../model/race.ts';
import type { Numbers } from './encode.ts';

/** Which list of a policy an action runs. */
const OCCASIONS: Partial<Record<RaceAction['word'], string>> = {
  munmap: 'AT_UNMAP',
  dontneed: 'AT_DISCARD',
  madv_free: 'AT_LAZYFREE',
  mprotect: 'AT_PROTECT',
  fork: 'AT_SHARE',
  clear_refs: 'AT_UNTRACK',
  unshare: 'AT_UNSHARE',
  migrate_vma: 'AT_COLLECT',
  numa_hint: 'AT_HINT',
  numa_migrate: 'AT_MISPLACED',
  thp_split: 'AT_SPLIT',
  thp_collapse: 'AT_COLLAPSE',
  exit: 'AT_EXIT',
  page_mkclean: 'AT_CLEAN',
  uprobe: 'AT_REPLACE',
  ksm_write_protect: 'AT_MERGE_PROTECT',
  ksm_replace: 'AT_MERGE',
  migrate: 'AT_MIGRATE',
  hwpoison: 'AT_POISON',
};

/** An action of a race as numbers: its ACT_*, then the operands. */
export function encodeAction({ word, pages, to, writable, flag }: RaceAction, n: Numbers): number[] {
  const [first = 0] = pages;
  switch (word) {
    case 'read':
      return [n('ACT_READ'), first];
    case 'write':
      return [n('ACT_WRITE'), first];
    case 'mremap':
      return [n('ACT_MOVE'), first, pages.length, to!];
    case 'page_mkclean':
    case 'uprobe':
    case 'ksm_write_protect':
    case 'ksm_replace':
    case 'migrate':
    case 'migrate_vma':
    case 'numa_migrate':
    case 'hwpoison':
      return [n('ACT_PAGE'), n(OCCASIONS[word]!), first];
    case 'mismatch':
      return [n('ACT_MARK'), first, pages.length, n('MARK_MISMATCH')];
    case 'unused':
      return [n('ACT_MARK'), first, pages.length, n('MARK_UNUSED')];
    case 'reclaim':
      return [n('ACT_RECLAIM'), first, pages.length];
    case 'ring':
      return [n('ACT_RING'), flag!];
    case 'await':
      return [n('ACT_AWAIT'), flag!];
    case 'activate':
      return [n('ACT_ACTIVATE')];
    case 'deactivate':
      return [n('ACT_DEACTIVATE')];
    case 'prefetch':
      return [n('ACT_PREFETCH'), first];
    case 'unbind':
      return [n('ACT_UNBIND')];
    case 'bind':
      return [n('ACT_BIND'), first];
    default:
      return [n('ACT_RANGE'), n(OCCASIONS[word]!), first, (pages.length << 1) | (writable ? 1 : 0)];
  }
}
