import type { CommandModule } from 'yargs';

export const completion: CommandModule = {
  command: 'completion',
  describe: 'Script that completes names in bash and zsh: source <(iommulator completion)',
  builder: (y) =>
    y
      .example('$0 completion > iommulator.bash', 'bash: a file to source')
      .example('$0 completion > _iommulator', 'zsh: a file in a folder of $fpath') as never,
  handler: async () => {
    const { default: yargs } = await import('yargs');
    yargs().scriptName('iommulator').showCompletionScript();
  },
};
