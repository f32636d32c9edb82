import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { type Form, type GoldenCase, goldenFile } from './cases.ts';
import { type Change, changesOf, isResult, linesChanged, showChange } from './change.ts';

/** Most lines that are shown of one file that is no JSON, and of one case of which two twins say different things. */
const SHOWN = 12;

/** What the golden files are made from. */
export interface Golden {
  /** Folder of the package. */
  readonly root: string;
  readonly cases: readonly GoldenCase[];
  /** The model of the sources. */
  readonly model: number;
  readonly changelog: string;
  /** What the command prints now. */
  readonly outputOf: (golden: GoldenCase, form: Form) => string;
  /** Where the case and its twin say different things. */
  readonly disagreement: (golden: GoldenCase, result: unknown) => Promise<readonly Change[]>;
  readonly say: (line: string) => void;
}

interface Written {
  readonly file: string;
  readonly text: string;
}

/** The line of a changelog that gives the cause of a model. */
const causeOf = (changelog: string, model: number): boolean =>
  new RegExp(`^- Model ${model}: \\S`, 'm').test(changelog);

/**
 * Writes the golden files that are not what they were. A case with a twin is written only if both agree; a number that
 * changed wants a `model` above that of the files, and its cause in the changelog. If anything is refused, no file is
 * written. Returns whether nothing was.
 */
export async function updateGolden(golden: Golden): Promise<boolean> {
  const { root, cases, say } = golden;
  const recorded = modelOf(root, cases);
  const writes: Written[] = [];
  let refused = false;
  let results = 0;
  for (const one of cases) {
    const outputs = one.forms.map((form) => {
      const file = goldenFile(root, one, form);
      const old = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
      return { form, file, old, text: golden.outputOf(one, form) };
    });
    const changed = outputs.filter(({ old, text }) => old !== text);
    if (changed.length === 0) {
      say(`${one.name}: as it was`);
      continue;
    }
    for (const { form, old, text } of changed) {
      const changes =
        old === undefined
          ? []
          : form === 'json'
            ? changesOf(JSON.parse(old), JSON.parse(text))
            : linesChanged(old, text);
      results += changes.filter(isResult).length;
      say(`${one.name}.${form}: ${old === undefined ? 'new' : `${changes.length} changed`}`);
      showAll(form === 'json' ? changes.length : SHOWN, changes, say);
    }
    const json = outputs.find(({ form }) => form === 'json');
    const differ = await golden.disagreement(one, json === undefined ? undefined : JSON.parse(json.text));
    if (differ.length > 0) {
      refused = true;
      say(`${one.name}: ${differ.length} numbers are not those of its twin, which come first here`);
      showAll(SHOWN, differ, say);
    } else if (one.twin !== undefined) say(`${one.name}: its twin says the same, over the whole trace`);
    writes.push(...changed);
  }
  if (results > 0 && golden.model <= recorded) {
    refused = true;
    say(`${results} results changed: expected MODEL above ${recorded} in src/model/result.ts, read ${golden.model}`);
  } else if (results > 0 && !causeOf(golden.changelog, golden.model)) {
    refused = true;
    say(`${results} results changed: expected a line "- Model ${golden.model}: CAUSE" in CHANGELOG.md`);
  }
  say(refused ? 'nothing is written' : `${writes.length} files written`);
  if (!refused) for (const { file, text } of writes) writeFileSync(file, text);
  return !refused;
}

function showAll(most: number, changes: readonly Change[], say: Golden['say']): void {
  for (const change of changes.slice(0, most)) say(`  ${showChange(change)}`);
  if (changes.length > most) say(`  and ${changes.length - most} more`);
}

/** The highest model that a golden file names; 0 if none does. */
function modelOf(root: string, cases: readonly GoldenCase[]): number {
  const models = cases.flatMap((one) => {
    const file = goldenFile(root, one, 'json');
    if (!one.forms.includes('json') || !existsSync(file)) return [];
    const { model } = JSON.parse(readFileSync(file, 'utf8')) as { model?: number };
    return model === undefined ? [] : [model];
  });
  return Math.max(0, ...models);
}
