// What runs of DMA recordings take of the ABI: all of the build `common`, and a part of index.ts.
export * from './ops';
export { CONFIG_COSTS, CONFIG_WORDS, configAt, servesSettings } from './layout';
export * from './counters';
export { causesAt } from './clock';
export { openWindowCount } from './safety';
export { recipesAt } from './submit';
export { devicesAt } from './space';
export { framesAt, INSTANCE_BYTES, instancesAt } from './mapping';
export { giveRows, KIND_BITS, RECORD_ACCESS, RECORD_BYTES, RECORD_MAP, RECORD_RAW, RECORD_UNMAP, rowsAt, windowRows } from './recording';
export { STOP_ENDLESS, STOP_NO_IOVA, STOP_STARVED } from './progress';
export { dmaAgents, dmaElapsed, dmaInit, dmaPage, dmaRun } from './replay';
export { FIFO, LFU, LRU, PLRU, RANDOM, SRRIP } from './replacement';
export { CAP_DIT, CAP_ECS, CAP_GTSUP, CAP_IASUP, CAP_MAMV, CAP_NL, CAP_PDS, CAP_PPRSUP, CAP_PREFSUP, CAP_S, CAP_SMTS } from './descriptor';
export { FORMAT_AMD_V1, FORMAT_FIRST, FORMAT_SECOND, FORMAT_X86 } from './format';
export {
  HAZARD_ABORTED_WAIT_AS_DONE, HAZARD_ACTIVATION_WITHOUT_FLUSH, HAZARD_CLEAN_KEEPS_DEVICE_TLB, HAZARD_COMPLETION_BEFORE_POSTED_WRITES,
  HAZARD_DEVICE_WITHOUT_TAG,
  HAZARD_IOVA_BEFORE_FLUSH, HAZARD_LEAF_ONLY, HAZARD_NO_CALLER_REF, HAZARD_NO_DRAIN, HAZARD_NO_REQUEST_DRAIN, HAZARD_OVERTAKEN_WALK,
  HAZARD_OVERTAKING_COMPLETION, HAZARD_READ_THEN_SET, HAZARD_RELEASE_FLUSHES_OTHER_PASID, HAZARD_REUSE_BY_MAPCOUNT, HAZARD_REUSE_KEEPS_DEVICE_TLB, HAZARD_REUSE_KEEPS_PASID_ENTRY, HAZARD_SHARED_DOMAIN_ID,
  HAZARD_TRANSLATED_WHILE_IDLE,
} from './hazard';
