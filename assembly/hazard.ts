// Faults that a machine is given on purpose, so that the safety checks can be seen to catch them. Their names and where
// they come from are in src/model/hazard.ts.
import { setting } from './layout';
import { SET_HAZARDS } from './ops';

export const HAZARD_ACTIVATION_WITHOUT_FLUSH: u32 = 1;
export const HAZARD_READ_THEN_SET: u32 = 1 << 1;
export const HAZARD_TRANSLATED_WHILE_IDLE: u32 = 1 << 2;
export const HAZARD_COMPLETION_BEFORE_POSTED_WRITES: u32 = 1 << 3;
export const HAZARD_OVERTAKING_COMPLETION: u32 = 1 << 4;
export const HAZARD_NO_DRAIN: u32 = 1 << 5;
export const HAZARD_ABORTED_WAIT_AS_DONE: u32 = 1 << 6;
export const HAZARD_NO_CALLER_REF: u32 = 1 << 7;
export const HAZARD_CLEAN_KEEPS_DEVICE_TLB: u32 = 1 << 8;
export const HAZARD_SHARED_DOMAIN_ID: u32 = 1 << 9;
export const HAZARD_LEAF_ONLY: u32 = 1 << 10;
export const HAZARD_REUSE_KEEPS_DEVICE_TLB: u32 = 1 << 11;
export const HAZARD_REUSE_KEEPS_PASID_ENTRY: u32 = 1 << 12;
export const HAZARD_REUSE_BY_MAPCOUNT: u32 = 1 << 13;
export const HAZARD_IOVA_BEFORE_FLUSH: u32 = 1 << 14;
export const HAZARD_NO_REQUEST_DRAIN: u32 = 1 << 15;
export const HAZARD_OVERTAKEN_WALK: u32 = 1 << 16;
export const HAZARD_RELEASE_FLUSHES_OTHER_PASID: u32 = 1 << 17;
export const HAZARD_DEVICE_WITHOUT_TAG: u32 = 1 << 18;

/** Whether this machine has the fault. */
@inline
export function hazard(which: u32): bool {
  return (setting(SET_HAZARDS) & which) != 0;
}
