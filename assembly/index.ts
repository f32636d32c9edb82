// The ABI: exports only. i32, u32, f64 and blocks of memory; no u64 crosses.
export * from './recordings';
export { CHUNK_RECORDS, HEAD_OP, HEAD_SHIFT, HEAD_STRADDLE, OP_EVENT } from './layout';
export {
  L1D, L1I, L2, tlbCountsRuns, tlbDropped, tlbInit, tlbInvalidate, tlbMisses, tlbPages, tlbPlace, tlbRun,
} from './tlb';
export {
  LACKEY_BEHIND, LACKEY_BYTES, LACKEY_RECORDS, lackeyDatas, lackeyFetches, lackeyHeads, lackeyInit, lackeyLine, lackeyLines,
  lackeyOpen, lackeyPages, lackeyRecords, lackeyRestart, lackeyScan, lackeySettle,
} from './lackey';
export { freeFrameCount } from './frame';
export { endCpu, eventsAt, feedCpu, headsAt, postsAt } from './program';
export { LIST_WORDS, listsAt } from './path';
export { registersAt } from './registers';
export { statusAt } from './ring';
export { eventHead, eventLogAt, eventTail, restartEventLog, setEventHead } from './eventlog';
export { pasidStateAt } from './pasid';
export { MAX_CONSUMERS } from './bank';
export { attend } from './device';
export {
  addConsumer, agents, definePage, defineTable, elapsed, firstAgent, GOES_ROUND, init, IS_OVER, IS_STUCK, quantilesAt, run, wantingCpu,
  WANTS_RECORDS,
} from './engine';
export {
  ORDER_ATTACH, ORDER_DMA, ORDER_DMA_RAW, ORDER_EVENT_WORDS, ORDER_HOLD, ORDER_IOMMU, ORDER_LAZY, ORDER_MAP, ORDER_OTHER,
  ORDER_SUBMIT, ORDER_TIMER, ORDER_UNMAP, orderInit, orderRun, POLICY_LAZY, POLICY_RECORDED, POLICY_STRICT,
} from './order';
export {
  orderDrain, orderRows, ROW_DESCRIPTOR, ROW_FAULT, ROW_FILL, ROW_FULL_RESET, ROW_HIT, ROW_IOVA_FREE, ROW_WAIT, ROW_WORDS,
  WHY_ATTACH, WHY_ENABLE, WHY_MAP, WHY_NONE, WHY_QUEUE_FULL, WHY_STRICT, WHY_TIMER,
} from './prediction';
export { DROPS_BLOCK, DROPS_DOMAIN, DROPS_LOW_BYTE } from './emulated';
export { SCRIPT_ACTIONS, scriptsAt } from './actor';
export {
  raceAgents, raceElapsed, raceEnabled, raceInit, raceNext, raceOver, racePrice, raceRun, raceScripts, raceStep, raceTurn,
} from './race';
export {
  countersGrown, MAX_WATCHED, scheduleAt, scheduleSteps, search, SEARCH_BOUNDED, SEARCH_BROKEN, SEARCH_GOES_ON, SEARCH_HOLDS, SEARCH_STUCK,
  searchInit, searchStart, statesSeen, stepsTaken, watchedAt,
} from './search';
export { stateAt, stateBytes } from './snapshot';
export * from './log';
export { MODE_BACK, MODE_FRAME, MODE_REUSE, MODE_ZERO } from './execution';
export { DOMAIN_LOCK, IOVA_LOCK, MMAP_LOCK, PAGE_TABLE_LOCK, QUEUE_LOCK, WALKERS } from './lock';
export * from './fields';
export { ROW_BYTES, ROWS } from './bits';
export {
  ERROR_AM_EXCEEDS_MAMV, ERROR_GN_WITHOUT_GTSUP, ERROR_INVAL_PDT_WITHOUT_DV, ERROR_INVALID_FUNC3, ERROR_INVALID_OPCODE,
  ERROR_INVALID_TYPE, ERROR_NEEDS_256BIT_QUEUE, ERROR_PID_WITH_INVAL_DDT, ERROR_PSCV_WITH_GVMA, ERROR_RESERVED_BITS,
  ERROR_RESERVED_GRANULARITY, ERROR_UNSUPPORTED_BY_EFR, ERROR_UNSUPPORTED_TYPE, rowAt,
} from './descriptor';
export * from './codec';
export {
  ENTRY_ABSENT, ENTRY_BAD_LEVEL, ENTRY_LEAF, ENTRY_RESERVED, ENTRY_TABLE, GRANTS_EXECUTE, GRANTS_READ, GRANTS_USER, GRANTS_WRITE, HAS_1G,
  HAS_2M, HAS_DEVICE_TLB, HAS_SNOOP, HAS_XD, MARK_ACCESSED, MARK_COHERENT, MARK_DIRTY, MARK_EXECUTE, MARK_EXTENDED, MARK_GLOBAL,
  MARK_PAT, MARK_SNOOP, MARK_TRANSIENT, MARK_USED, PROTECTS_SUPERVISOR, SETS_ACCESSED, SETS_DIRTY,
} from './format';
export { NO_PASID } from './block';
export { ANY } from './tagged';
export { trailAt, TRAIL_READS } from './walk';
export {
  WALK_ABSENT, WALK_BAD_LEVEL, WALK_BEYOND, WALK_DENIED, WALK_DENIED_USER, WALK_OK, WALK_RESERVED, WALK_SKIPPED, WALK_UNMARKABLE,
  WALK_UNREACHABLE,
} from './walk';
export {
  AT_AMD, AT_CPU, AT_VTD, IN_CONTEXTS, IN_DEVICES, IN_PASIDS, IN_TLB, NO_CONTEXT, translate, translateCapabilities,
  translateCommand, translateDecode, translateFill, translateFormat, translateHolds, translateInit, translateKnows, translateWrite,
} from './translate';
export {
  unitAnswer, unitClear, unitClearWaited, unitDefer, unitDisable, unitHead, unitInit, unitRestart, unitRun, unitSlot, unitTail,
} from './unit';
