import { basename } from 'node:path';
import type { CommandModule } from 'yargs';
import { readText } from '../catalog/file.ts';
import { vectorGrid, vectorText } from '../report/vectors.ts';
import { engineModule } from '../trace/module.ts';
import { verifyVectors } from '../verify/vectors/vectors.ts';
import { EXIT } from './errors.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';

interface Args extends OutputArgs {
  file: string;
}

/** The file of 270 vectors has 156 KB. */
const VECTOR_FILE = { what: 'a JSON file of vectors', most: 1 << 24 };
/** Columns of each side of a check; CSV has all of it. */
const WIDTH = { table: 32, md: 17, csv: Number.POSITIVE_INFINITY, json: 0 } as const;

export const vectors: CommandModule<object, Args> = {
  command: 'vectors <file>',
  describe: 'Descriptors, table entries, structures, ranges and walks: words in, what hardware must say of them',
  builder: (y) =>
    y
      .positional('file', { type: 'string', demandOption: true, describe: 'A JSON file of vectors' })
      .options(OUTPUT_OPTIONS)
      .example('$0 verify vectors iommu-vectors.json', 'one check per vector')
      .example('$0 verify vectors iommu-vectors.json --format json', 'the same for scripts') as never,
  handler: async ({ file, ...output }) => {
    const name = basename(file);
    const result = verifyVectors(readText(file, file, VECTOR_FILE), name, engineModule());
    const { checks, failed } = result;
    const text = vectorText(name, checks, WIDTH.table);
    await print({ json: { file: name, ...result }, grid: vectorGrid(checks, WIDTH[output.format]), text }, output);
    if (failed > 0) process.exitCode = EXIT.gate;
  },
};
