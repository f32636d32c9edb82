import { basename } from 'node:path';
import type { CommandModule } from 'yargs';
import { measureHost } from '../calibrate/host.ts';
import { measureRecording } from '../calibrate/recorded.ts';
import { costsYaml, loadCosts } from '../catalog/catalog.ts';
import { readText } from '../catalog/file.ts';
import { judge, measuredCosts } from '../model/calibration.ts';
import { calibrationGrid } from '../report/calibration.ts';
import { emit } from './emit.ts';
import { interrupted } from './interrupt.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';
import { startProgress } from './progress.ts';

interface Args extends OutputArgs {
  recording?: string;
  quiet: boolean;
}

/** ftrace's text of a minute of a busy queue. */
const RECORDING = { what: 'text of dmar_perf_latency or of function_graph', most: 1 << 28 };
const WHAT = 'Text of dmar_perf_latency or of function_graph with qi_submit_sync: costs of the IOMMU from it';
const OPTIONS = {
  format: OUTPUT_OPTIONS.format,
  output: { ...OUTPUT_OPTIONS.output, describe: 'Write the costs that could be measured to a YAML file' },
} as const;

export const calibrate: CommandModule<object, Args> = {
  command: 'calibrate [recording]',
  describe: 'Costs of this host, as far as they can be measured, as a file for --costs',
  builder: (y) =>
    y
      .positional('recording', { type: 'string', describe: WHAT })
      .options(OPTIONS)
      .example('$0 calibrate -o mine.yaml', 'loads, atomics and copies of this host')
      .example('$0 compare sqlite --costs mine.yaml', 'with them')
      .example('$0 calibrate dmar_perf_latency.txt -o iommu.yaml', 'of an IOMMU, as its kernel counted') as never,
  handler: async ({ recording, format, output, quiet }) => {
    const costs = loadCosts();
    const measured =
      recording === undefined
        ? await host(quiet)
        : measureRecording(readText(recording, recording, RECORDING), basename(recording), costs);
    const figures = measured.map(judge);
    if (output !== undefined) await emit(costsYaml(measuredCosts(figures, costs)), output);
    await print({ json: { figures }, grid: calibrationGrid(figures, costs) }, { format });
  },
};

async function host(quiet: boolean) {
  const progress = startProgress('measuring', quiet);
  const options = { signal: interrupted, onProgress: (done: number) => progress.update(done) };
  return measureHost(options).finally(() => progress.end());
}
