// Where the program is, and which pages it lost lately: what a device that answers late looks at.
import { region } from './layout';

const LENGTH: u32 = 64; // a power of two
let state: usize = 0; // u64 cursor, u32 next place, u32 news since last asked
let ring: usize = 0; //  LENGTH of u64 cursor, u32 page + 1, u32 0

export function initRecent(): void {
  state = region(16);
  ring = region(<usize>LENGTH << 4);
}
/** Records that the first CPU has executed, as of its last step that others can see. */
@inline
export function cursor(): u64 {
  return load<u64>(state);
}
@inline
export function publish(records: u64): void {
  store<u64>(state, records);
}

/** The page has just been unmapped. */
export function noteUnmapped(page: u32): void {
  const at = ring + (<usize>load<u32>(state, 8) << 4);
  store<u64>(at, cursor());
  store<u32>(at, page + 1, 8);
  store<u32>(state, (load<u32>(state, 8) + 1) & (LENGTH - 1), 8);
  store<u32>(state, 1, 12);
}

/** Whether a page was unmapped since this was last asked. */
export function takeNews(): bool {
  const news = load<u32>(state, 12) != 0;
  store<u32>(state, 0, 12);
  return news;
}

/** Page id + 1 of a page of `wanted` (u8 per page) unmapped at most `records` ago, newest first; each but once. Or 0. */
export function takeUnmapped(records: u64, wanted: usize): u32 {
  for (let back: u32 = 1; back <= LENGTH; back++) {
    const at = ring + (<usize>((load<u32>(state, 8) - back) & (LENGTH - 1)) << 4);
    // What lies behind is older still: the program never goes back.
    if (load<u64>(at) + records < cursor()) return 0;
    const page = load<u32>(at, 8);
    if (page == 0 || load<u8>(wanted + page - 1) == 0) continue;
    store<u32>(at, 0, 8);
    return page;
  }
  return 0;
}
