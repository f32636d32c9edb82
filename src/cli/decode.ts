import type { CommandModule } from 'yargs';
import { decodeDescriptor } from '../jobs/decode.ts';
import { ARCHES, type Arch } from '../model/descriptor.ts';
import { descriptorGrid, descriptorJson, descriptorText } from '../report/descriptor.ts';
import { OUTPUT_OPTIONS, type OutputArgs, print } from './output.ts';

interface Args extends OutputArgs {
  arch: Arch;
  words: string[];
  caps?: string;
  width?: number;
}

export const decode: CommandModule<object, Args> = {
  command: 'decode <arch> <words..>',
  describe: 'An invalidation descriptor or command in words: its fields, what it removes, why it is invalid',
  builder: (y) =>
    y
      .positional('arch', { choices: ARCHES, demandOption: true, describe: 'Whose command set' })
      .positional('words', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: '64-bit words in hexadecimal, lowest address first',
      })
      .option('caps', {
        type: 'string',
        requiresArg: true,
        describe: 'What the hardware has: vtd MAMV=18,DIT,PDS,smts,ecs; amd PreFSup,PPRSup,GTSup,IASup; riscv NL,S',
      })
      .option('width', { choices: [128, 256], requiresArg: true, describe: 'Bits of a slot; by the number of words' })
      .options(OUTPUT_OPTIONS)
      .example('$0 decode vtd 0x70032 0x40200049', 'which pages of which domain does it drop?')
      .example('$0 decode vtd 0x500010026 0 0 0 --caps smts', 'a PASID of scalable mode, in 256 bits')
      .example('$0 decode amd 0x3000000500000000 0x12345001 --format json', 'the same for scripts') as never,
  handler: ({ arch, words, caps, width, ...output }) => {
    const decoded = decodeDescriptor({ arch, words, caps, width });
    return print(
      { json: descriptorJson(decoded), grid: descriptorGrid(decoded), text: descriptorText(decoded) },
      output,
    );
  },
};
