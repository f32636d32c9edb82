import { describe, expect, test } from 'vitest';
import { iommulator, shell, withFolder } from '../../testing/cli.ts';

describe('words that a shell is offered', () => {
  // The line so far, words that are among those offered, and one that is not.
  const CASES: [line: string, offered: string[], never: string][] = [
    ['iommulator ', ['compare', 'timeline', 'report', 'completion'], 'sqlite'],
    ['iommulator compare s', ['sqlite', 'vtd-edu-stale-lazy-icount'], 'compare'],
    ['iommulator compare sqlite --policies strict,l', ['strict,lazy', 'strict,linux-6.6'], 'lazy'],
    ['iommulator compare constructor --f', ['--format', '--fail-on'], 'sqlite'],
    ['iommulator compare sqlite --set a --set b --f', ['--format', '--fail-on'], 'sqlite'],
    ['iommulator difference under-lock r', ['range-end'], 'sqlite'],
    ['iommulator difference under-lock range-end s', ['sqlite'], 'strict'],
    ['iommulator list policies s', ['strict', 'lazy'], 'amd-v2'],
    ['iommulator gen n', ['nic-rx', 'nvme'], 'sqlite'],
    ['iommulator explore cow-stale-read m', ['all', 'thread', 'madv-free-discard'], 'sqlite'],
  ];
  for (const [line, offered, never] of CASES) {
    test(line, () => {
      const { code, stdout, stderr } = iommulator(['--get-yargs-completions', ...line.split(' ')]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      const words = stdout.split('\n').map((word) => word.split(':')[0]);
      expect(words).toEqual(expect.arrayContaining(offered));
      expect(words).not.toContain(never);
    });
  }
});

test('the script is one that bash takes', () =>
  withFolder((folder) => {
    const { code, stdout, stderr } = shell(
      `source <(iommulator completion); complete -p iommulator; COMP_WORDS=(iommulator compare sqlite --policy laz); COMP_CWORD=4; _iommulator_yargs_completions; echo "\${COMPREPLY[@]}"`,
      folder,
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^complete .*-F _iommulator_yargs_completions iommulator\nlazy( lazy-\S+)+\n$/);
  }));
