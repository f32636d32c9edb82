import { UsageError } from '../../model/errors.ts';
import { RUN_OPS } from '../../model/trace.ts';
import { accessesOf, itemsOf } from './accesses.ts';
import { type Exporter, PIECE } from './exporter.ts';

/** Comma-separated values, for spreadsheets and for cache simulators: one access a line. */
export const csv: Exporter = {
  name: 'csv',
  summary: 'agent, operation and page of each access, a line each; of devices, those of mappings by IOVA',

  *write(trace, left) {
    const { agents, counts } = trace.meta;
    if (counts.fetches + counts.datas + counts.dma === 0) throw new UsageError('the trace has no access');
    const names = agents.map(({ name }) => name.replace(/[,"\r\n]+/g, ' '));
    const iovas = new Map<number, number>();
    let out = 'agent,op,page\n';
    for (const item of itemsOf(trace)) {
      if ('run' in item) {
        if (item.run.second) left.add('mark of a second half, which is an access of its own');
        for (const { kind, vpn, times } of accessesOf(item.run, item.next))
          out += `${names[item.run.agent]},${RUN_OPS[kind]},${vpn}\n`.repeat(times);
      } else {
        const { op, agent, fields } = item.event;
        const [first, second, , fourth, , iova] = fields as [number, number, number, number, number, number];
        if (op === 'map') iovas.set(second, iova);
        const page = op === 'dma' ? iovas.get(first)! + second : second;
        if (op === 'dma' || op === 'dmaRaw') out += `${names[agent]},${fourth === 1 ? 'write' : 'read'},${page}\n`;
        else left.add(op);
      }
      if (out.length < PIECE) continue;
      yield out;
      out = '';
    }
    yield out;
  },
};
