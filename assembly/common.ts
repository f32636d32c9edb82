// Settings that are 0 in most runs of DMA recordings. A second build of the same sources, `common`, has no code for them: its
// settings are constants, so that the compiler leaves out what they ask about, and keeps in registers what is left. Asked for each
// at its place they take a quarter of a run. A run that wants one of them has the build with everything.
import {
  SET_ATS, SET_BATCH_COMMANDS, SET_BLOCKS, SET_CACHES_ABSENT, SET_COMMANDS, SET_DEFERRAL, SET_DOMAIN_LOCK, SET_EACH_DEVICE, SET_HAZARDS, SET_IDEAL,
  SET_LOSES, SET_MALFORMS, SET_ONE_QUEUE, SET_OWN_SETS, SET_PRI, SET_REPEATS, SET_RETRY, SET_SHADOWED, SET_SPLIT,
  SET_SPLIT_WALKS, SET_STEPWISE,
} from './ops';

/** Whether this is that build. */
export const IS_COMMON: bool = isDefined(BUILDS_COMMON);

/** Whether the build has no code for the setting. Of a constant it is a constant. */
@inline
export function isLeftOut(index: u32): bool {
  return (
    IS_COMMON &&
    (index == SET_ATS || index == SET_BATCH_COMMANDS || index == SET_BLOCKS || index == SET_CACHES_ABSENT || index == SET_COMMANDS ||
      index == SET_DEFERRAL || index == SET_DOMAIN_LOCK || index == SET_EACH_DEVICE || index == SET_HAZARDS || index == SET_IDEAL ||
      index == SET_LOSES || index == SET_MALFORMS || index == SET_ONE_QUEUE || index == SET_OWN_SETS || index == SET_PRI ||
      index == SET_REPEATS || index == SET_RETRY || index == SET_SHADOWED || index == SET_SPLIT ||
      index == SET_SPLIT_WALKS || index == SET_STEPWISE)
  );
}
