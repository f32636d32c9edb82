import { UsageError } from '../model/errors.ts';
import { type Command, drainsOnItsWay, type Machine, submission } from '../model/machine.ts';
import type { Numbers } from './encode.ts';

/** What a driver submits, as numbers: see assembly/submit.ts. */

/** Commands of an invalidation of one page, of a range, of the whole space, of what was mapped; of a page response; of a drain of page requests; each closed with END. */
export function encodeRecipes(machine: Machine, ats: boolean, numbers: Numbers): number[][] {
  const shown = ats ? machine : { ...machine, device: { ...machine.device, ats: false } };
  const ofResponse = ['COMMAND_PAGE_RESPONSE', 'COMMAND_WAIT', 'COMMAND_END'].map(numbers);
  const recipes = (['page', 'range', 'all', 'map'] as const).map((what) => {
    const words = submission(shown, what);
    if (words.length > 0 && words.at(-1) !== 'wait')
      throw new UsageError(`machine ${machine.name}: driver.${what} does not end in "wait"`);
    return [...words.map((word) => numbers(commandName(word))), numbers('COMMAND_END')];
  });
  return [...recipes, ofResponse, drainRecipe(machine, numbers)];
}

/** Behind the invalidation of a PASID that is given back: a fence, all of it once more, and a wait that drains page requests. */
function drainRecipe(machine: Machine, numbers: Numbers): number[] {
  const all = submission(machine, 'all').filter((word) => word !== 'wait');
  const words = drainsOnItsWay(machine) ? ['COMMAND_FENCE', ...all.map(commandName), 'COMMAND_WAIT'] : [];
  return [...words, 'COMMAND_END'].map(numbers);
}
function commandName(word: Command): string {
  return `COMMAND_${word.toUpperCase().replace('_TLB', '').replace('.', '_')}`;
}
