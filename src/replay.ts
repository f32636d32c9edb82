/**
 * What replays a trace, without Node: for a browser's worker, or any place that has WebAssembly. `planComparison` of the
 * library says which jobs a comparison is made of, `runPass` does them here, and the plan makes results of what comes
 * back: the same bytes as `compare`. The engine is `build/release.wasm`; a `Codec` is Brotli and CRC-32 of that place.
 */
export type { Job, ResultOf } from './jobs/job.ts';
export { type OnChunk, runPass } from './jobs/pass.ts';
export type { Codec } from './trace/format.ts';
export { type ByteSource, openTrace } from './trace/reader.ts';
