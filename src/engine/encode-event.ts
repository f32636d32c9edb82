import { MAX_VPN } from '../model/limits.ts';
import { ADVICE, PROT, type TraceEvent } from '../model/trace.ts';
import { kindOfMapping } from '../trace/mappings.ts';
import type { Numbers } from './encode.ts';

/** An address-space change as a row of numbers; other events are no work for a machine. */
export function encodeEvent(event: TraceEvent, numbers: Numbers): number[] {
  const [, first = 0, end = 0, third = 0, fourth = 0] = event.fields;
  const row = (name: string, ...fields: number[]): number[] => [numbers(name), ...fields];
  switch (event.op) {
    case 'mmap':
      return row('EVENT_MAP', first, end, kindOfMapping(fourth));
    case 'munmap':
      return row('EVENT_UNMAP', first, end);
    case 'brk':
      return end < first ? row('EVENT_UNMAP', end, first) : row('EVENT_MAP', first, end, 1);
    case 'mremap':
      return first === third ? row('EVENT_NONE') : row('EVENT_MOVE', first, end, third);
    case 'mprotect':
      return row('EVENT_PROTECT', first, end, (third & PROT.write) !== 0 ? 1 : 0);
    case 'madvise':
      return row(third === ADVICE.free ? 'EVENT_LAZYFREE' : 'EVENT_DISCARD', first, end);
    case 'fork':
      return row('EVENT_RANGE', first, end, numbers('AT_SHARE'));
    case 'reap':
      return row('EVENT_REAP');
    case 'clearRefs':
      return row('EVENT_RANGE', first, end, numbers('AT_UNTRACK'));
    case 'writeback':
      return row('EVENT_PAGES', first, end, numbers('AT_CLEAN'), 0);
    case 'uprobe':
      return row('EVENT_PAGES', first, end, numbers('AT_REPLACE'), 0);
    case 'merge':
      return row('EVENT_PAGES', first, end, numbers('AT_MERGE_PROTECT'), numbers('AT_MERGE'));
    case 'migrate':
      return row('EVENT_PAGES', first, end, numbers('AT_MIGRATE'), 0);
    case 'poison':
      return row('EVENT_PAGES', first, end, numbers('AT_POISON'), 0);
    case 'numaHint':
      return row('EVENT_RANGE', first, end, numbers('AT_HINT'));
    case 'numaMigrate':
      return row('EVENT_PAGES', first, end, numbers('AT_MISPLACED'), 0);
    case 'migrateVma':
      return row('EVENT_PAGES', first, end, numbers('AT_COLLECT'), 0);
    case 'split':
      return row('EVENT_RANGE', first, end, numbers('AT_SPLIT'));
    case 'collapse':
      return row('EVENT_RANGE', first, end, numbers('AT_COLLAPSE'));
    case 'unshare':
      return row('EVENT_RANGE', first, end, numbers('AT_UNSHARE'));
    case 'exit':
      return row('EVENT_RANGE', 0, MAX_VPN + 1, numbers('AT_EXIT'));
    case 'mismatch':
      return row('EVENT_MARK', first, end, numbers('MARK_MISMATCH'));
    case 'unused':
      return row('EVENT_MARK', first, end, numbers('MARK_UNUSED'));
    default:
      return row('EVENT_NONE');
  }
}
