import { OrderEngine } from '../src/engine/order.ts';
import type { OrderMachine, OrderPolicy, Prediction } from '../src/model/order.ts';
import { OrderReference } from '../src/reference/order.ts';
import type { Trace } from '../src/trace/reader.ts';
import { recordsOf } from '../src/trace/records.ts';

/** What an engine predicts of a recording in its order. */
export function engineRows(
  module: WebAssembly.Module,
  trace: Trace,
  machine: OrderMachine,
  policy: OrderPolicy,
): Prediction[] {
  const engine = new OrderEngine(module, machine, policy, trace.meta);
  return [...trace.chunks()].flatMap((chunk) => engine.feed(chunk));
}

/** The same of the reference. */
export function referenceRows(trace: Trace, machine: OrderMachine, policy: OrderPolicy): Prediction[] {
  const reference = new OrderReference(machine, policy);
  let record = 0;
  for (const chunk of trace.chunks()) {
    for (const entry of recordsOf(chunk, [])) {
      if ('event' in entry) reference.event(record, entry.event);
      record++;
    }
  }
  return reference.predictions;
}
