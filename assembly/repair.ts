// A command that the IOMMU refuses, and what its driver does then. The head stays on it and nothing is fetched. VT-d (Linux
// drivers/iommu/dmar.c qi_check_fault): who polls for a wait behind it copies the wait over it, clears FSTS.IQE, and returns
// -EINVAL at once, which no caller looks at. AMD: an event is logged and the command buffer stops; the driver puts a wait that
// does nothing in its place and starts the buffer again (48882, 2.4.11; Linux starts nothing, so that it is assumed). Both
// lose the command.
import { encodeAmdNothing } from './amdvi';
import { setWords, word0, word1 } from './command';
import { bump, N_REFUSED } from './counters';
import { readEvents } from './eventlog';
import { setting } from './layout';
import { SET_COMMANDS, SET_MALFORMS } from './ops';
import { clearFaults, FSTS_IQE, registers, restartCommands, STATUS_COMMAND_RUN } from './registers';
import { countSubmission, headSlot, leave, slotAt, slotBytes, slotCount } from './ring';

/** A bit that all descriptors of VT-d reserve which a driver here submits, and one of AMD's second words. */
const VTD_RESERVED: u64 = 1 << 12;
const AMD_RESERVED: u64 = 1 << 11;

/** Sets a reserved bit in the first command of every so-manieth submission. */
export function malform(at: usize): void {
  const every = setting(SET_MALFORMS);
  if (every == 0 || !countSubmission(every)) return;
  if (setting(SET_COMMANDS) != 0) setWords(at, word0(at), word1(at) | AMD_RESERVED);
  else setWords(at, word0(at) | VTD_RESERVED, word1(at));
}

/** Whether the head rests on a command of this submission that was refused. */
export function isRefused(first: u32, count: u32): bool {
  const stopped = (registers.fsts & FSTS_IQE) != 0 || (registers.status & STATUS_COMMAND_RUN) == 0;
  return stopped && (headSlot() + slotCount() - first) % slotCount() < count;
}

/**
 * The driver has a queue that stands still go on; it must be roused then. Returns whether it goes on waiting for its wait: on
 * VT-d it does not, and hardware owns the slots until both waits are over (Linux frees them at once, and has 256).
 */
export function repair(first: u32, count: u32): bool {
  bump(N_REFUSED);
  const at = slotAt(headSlot());
  if (setting(SET_COMMANDS) != 0) {
    readEvents();
    encodeAmdNothing(at);
    restartCommands();
    return true;
  }
  memory.copy(at, slotAt((first + count - 1) % slotCount()), slotBytes());
  clearFaults(FSTS_IQE);
  leave(first, count);
  return false;
}
