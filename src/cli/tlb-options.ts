import type { Argv } from 'yargs';
import { loadCpu } from '../catalog/catalog.ts';
import { MAX_SEED, parseWhole } from '../model/run.ts';
import {
  DEFAULT_LEVELS,
  INVALIDATES,
  type LevelTexts,
  levelsOf,
  REPLACEMENTS,
  STRADDLES,
  type TlbConfig,
} from '../model/tlb.ts';
import { PAGE_SIZES, type PageSize } from '../model/units.ts';

/** What `tlbOptions` adds to the arguments of a command. */
export interface TlbArgs extends LevelTexts, Pick<TlbConfig, 'straddle' | 'invalidate' | 'dataOnly'> {
  readonly cpu?: string;
  readonly seed: string;
  readonly pageSize: PageSize;
}

const { l1, l2, replacement } = DEFAULT_LEVELS;
const sizes = Object.keys(PAGE_SIZES) as PageSize[];
const geometry = { type: 'string', requiresArg: true } as const;
const choice = { requiresArg: true } as const;
const REPLACEMENT = { ...choice, choices: REPLACEMENTS, describe: 'Which entry makes room' } as const;

/** Geometry of the TLBs, and what counts as an access. */
export function tlbOptions<T>(y: Argv<T>) {
  return y
    .option('cpu', { ...geometry, describe: 'TLBs of a CPU: a name (see list cpus) or a YAML file' })
    .option('l1', { ...geometry, defaultDescription: l1, describe: 'First-level data TLB, SETSxWAYS' })
    .option('l1i', { ...geometry, describe: 'First-level fetch TLB; that of --cpu, or as --l1' })
    .option('l2', { ...geometry, defaultDescription: l2, describe: 'Shared second level, or none' })
    .option('replacement', { ...REPLACEMENT, defaultDescription: replacement })
    .option('seed', { ...geometry, default: '1', describe: 'Seed of random replacement' })
    .option('page-size', { ...choice, choices: sizes, default: '4K', describe: 'Size of all pages' })
    .option('data-only', { type: 'boolean', default: false, describe: 'Leave instruction fetches out' })
    .option('straddle', {
      ...choice,
      choices: STRADDLES,
      default: 'both',
      describe: 'Pages of an access across two',
    })
    .option('invalidate', { ...choice, choices: INVALIDATES, default: 'none', describe: 'Changes that drop entries' });
}

/** The configuration that the arguments describe. */
export function tlbConfig({ cpu, seed, pageSize, dataOnly, straddle, invalidate, ...levels }: TlbArgs): TlbConfig {
  return {
    ...levelsOf(levels, cpu === undefined ? undefined : loadCpu(cpu).cpu),
    seed: parseWhole(seed, '--seed', 0, MAX_SEED),
    ...{ dataOnly, straddle, invalidate, pageShift: PAGE_SIZES[pageSize] },
  };
}
