/**
 * The library: what the command line is made of. It prints nothing, ends no process, and handles no signal. What takes
 * long takes `onProgress`, told a share of 0..1, and a `signal`; once that is aborted, the promise rejects with
 * `Interrupted`. Bad input is a `TraceError` or a `UsageError` of one line; anything else is a bug. Policies, machines
 * and costs are names, paths of YAML files, or objects in the form of such files (`iommulator/schema/policy.schema.json`).
 */
export { measureHost } from './calibrate/host.ts';
export { measureRecording } from './calibrate/recorded.ts';
export {
  type CatalogKind,
  type CatalogRow,
  type CostsSpec,
  catalogYaml,
  costsYaml,
  describe,
  listCatalog,
  loadCosts,
  loadCpu,
  loadMachine,
  loadPolicy,
} from './catalog/catalog.ts';
export { loadExperiment } from './catalog/experiments.ts';
export { listRaces, loadRaces, shippedRaces } from './catalog/races.ts';
export { readResult } from './catalog/results.ts';
export { loadSweep } from './catalog/sweeps.ts';
export { counterexampleOf, saveSchedule, traceable } from './explore/as-trace.ts';
export { exploreRaces as explore, racesLeftOut, replayRace } from './explore/matrix.ts';
export { judgeThread } from './explore/thread.ts';
export { compareTrace as compare } from './jobs/compare.ts';
export { decodeDescriptor } from './jobs/decode.ts';
export { type Difference, differencesOf, ringTrace, tracesFor } from './jobs/difference.ts';
export { generateFile } from './jobs/generate.ts';
export { appendHistory, type History, readHistory, readHostTimes } from './jobs/history.ts';
export { importFile } from './jobs/import.ts';
export { type LocatedTrace, locateTrace as openTrace, shippedTraces, useTrace } from './jobs/locate.ts';
export { mergeFiles } from './jobs/merge.ts';
export type { PairRequest } from './jobs/pairs.ts';
export type { CompareRequest, Comparison } from './jobs/plan.ts';
export { countTlb, type PoolOptions } from './jobs/pool.ts';
export { countInvalidations } from './jobs/probe.ts';
export { profileTrace } from './jobs/profile.ts';
export { recordProgram } from './jobs/record.ts';
export { resultOf } from './jobs/result.ts';
export { recordTimeline } from './jobs/timeline.ts';
export { judgedOf, makeRecords, openHistory, sidesOf, type TrackRequest } from './jobs/track.ts';
export { drawComparisons } from './jobs/uncertainty.ts';
export { Interrupted, TraceError, UsageError } from './model/errors.ts';
export type { Exploration, RacesLeftOut, Replay } from './model/exploration.ts';
export { DEFAULT_LIMITS, type Finding, judgeHistory, type Limits } from './model/gates.ts';
export { type HistoryRecord, recordsOf as historyRecords } from './model/history.ts';
export type { Machine, MachineSpec } from './model/machine.ts';
export type { Policy, PolicySpec } from './model/policy.ts';
export { parseRace, type Race } from './model/race.ts';
export type { ComparisonResult, RunCost, RunResult, RunSafety, Verdict } from './model/result.ts';
export type { SweepSpec } from './model/sweep.ts';
export type { Stretch, Timeline } from './model/timeline.ts';
export { type LevelCounts, parseCache, type TlbConfig, type TlbResult, tlbConfigOf } from './model/tlb.ts';
export type { TraceMeta } from './model/trace.ts';
export { openSweep, type Sweep } from './sweep/grid.ts';
export { runSweep, type SweepOutcome } from './sweep/run.ts';
export { Store } from './sweep/store.ts';
export { rowsOf, type SweepRow } from './sweep/table.ts';
export { LeftOut } from './trace/export/exporter.ts';
export { EXPORTERS } from './trace/export/index.ts';
export { WORKLOADS, workloadNamed } from './trace/generate/index.ts';
export { parseSizes, type Sizes } from './trace/generate/workload.ts';
export { IMPORTERS } from './trace/import/index.ts';
export { engineModule } from './trace/module.ts';
export { type Trace, watchedTrace } from './trace/reader.ts';
export { recordsOf, type TraceRecord } from './trace/records.ts';
export { textOf } from './trace/text.ts';
export { verifyExperiment } from './verify/experiment.ts';
export { verifyTrace } from './verify/recording.ts';
export { verifyVectors } from './verify/vectors/vectors.ts';
