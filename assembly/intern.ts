// Small dense ids for sparse numbers: an open hash table whose size is fixed when it is made.
import { region } from './layout';

/** One table. A key has two parts. */
@unmanaged
export class Intern {
  slots: usize; // {u64 key, u32 part, u32 id + 1}[]; id + 1 = 0 is an empty slot
  mask: u32;

  /** The slot of the key, or the empty one where it belongs. */
  @inline private slot(key: u64, part: u32): usize {
    let slot = <u32>(((key ^ (<u64>part << 40)) * 0x9e37_79b9_7f4a_7c15) >> 32) & this.mask;
    while (true) {
      const at = this.slots + (<usize>slot << 4);
      if (load<u32>(at, 12) == 0 || (load<u64>(at) == key && load<u32>(at, 8) == part)) return at;
      slot = (slot + 1) & this.mask;
    }
  }
  /** The id of the key, which is `next` if it has none yet. */
  id(key: u64, part: u32, next: u32): u32 {
    const at = this.slot(key, part);
    if (load<u32>(at, 12) != 0) return load<u32>(at, 12) - 1;
    store<u64>(at, key);
    store<u32>(at, part, 8);
    store<u32>(at, next + 1, 12);
    return next;
  }
  /** 1 + the id of the key, or 0 if it has none. */
  find(key: u64, part: u32): u32 {
    return load<u32>(this.slot(key, part), 12);
  }
}

/** A table with room for `count` keys. */
export function newIntern(count: u32): Intern {
  const slots: u32 = 1 << (33 - <u32>clz(count + 1));
  const table = changetype<Intern>(region(offsetof<Intern>()));
  table.mask = slots - 1;
  table.slots = region(<usize>slots << 4);
  return table;
}
