import type { Argv } from 'yargs';
import { INVALIDATES, parseGeometry, REPLACEMENTS, STRADDLES, type TlbConfig } from '../model/tlb.ts';
import { PAGE_SIZES, type PageSize } from '../model/units.ts';

/** What `tlbOptions` adds to the arguments of a command. */
export interface TlbArgs extends Pick<TlbConfig, 'replacement' | 'straddle' | 'invalidate' | 'dataOnly'> {
  readonly l1: string;
  readonly l1i?: string;
  readonly l2: string;
  readonly pageSize: PageSize;
}

const sizes = Object.keys(PAGE_SIZES) as PageSize[];
const geometry = { type: 'string', requiresArg: true } as const;
const choice = { requiresArg: true } as const;

/** Geometry of the TLBs, and what counts as an access. */
export function tlbOptions<T>(y: Argv<T>) {
  return y
    .option('l1', { ...geometry, default: '16x4', describe: 'First-level data TLB, SETSxWAYS' })
    .option('l1i', { ...geometry, describe: 'First-level fetch TLB; as --l1 if not given' })
    .option('l2', { ...geometry, default: '128x12', describe: 'Shared second level, or none' })
    .option('replacement', { ...choice, choices: REPLACEMENTS, default: 'lru', describe: 'Which entry makes room' })
    .option('page-size', { ...choice, choices: sizes, default: '4K', describe: 'Size of all pages' })
    .option('data-only', { type: 'boolean', default: false, describe: 'Leave instruction fetches out' })
    .option('straddle', {
      ...choice,
      choices: STRADDLES,
      default: 'both',
      describe: 'Pages touched by an access across two',
    })
    .option('invalidate', { ...choice, choices: INVALIDATES, default: 'none', describe: 'Changes that drop entries' });
}

/** The configuration that the arguments describe. */
export function tlbConfig({ l1, l1i, l2, pageSize, ...rest }: TlbArgs): TlbConfig {
  const { replacement, dataOnly, straddle, invalidate } = rest;
  const l1d = parseGeometry(l1, '--l1');
  return {
    l1d,
    l1i: l1i === undefined ? l1d : parseGeometry(l1i, '--l1i'),
    l2: l2 === 'none' ? { sets: 0, ways: 0 } : parseGeometry(l2, '--l2'),
    ...{ replacement, dataOnly, straddle, invalidate, pageShift: PAGE_SIZES[pageSize] },
  };
}
