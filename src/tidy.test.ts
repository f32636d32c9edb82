import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from '../testing/cli.ts';
import { EVENT_NAMES, EVENTS, OUTCOMES } from './model/trace.ts';

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const under = (folder: string): string[] =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => join(folder, file))
    .sort();
const code = [...under('src'), ...under('assembly')].filter((file) => !file.endsWith('.test.ts'));

/** Paths a file imports: relative to the root of the package, or the name of a module. */
function importsOf(file: string): string[] {
  const found = read(file).matchAll(
    /^(?:import|export|\}).*?from '([^']+)';?$|^import '([^']+)';?$|\bimport\('([^']+)'\)/gm,
  );
  return [...found].map((match) => {
    const name = (match[1] ?? match[2] ?? match[3])!;
    return name.startsWith('.') ? relative(ROOT, join(ROOT, dirname(file), name)) : name;
  });
}

/** Packages that a file needs before it can run: what is imported on the way, or as a type, is not among them. */
function packagesOf(file: string, seen = new Set<string>()): string[] {
  if (seen.has(file)) return [];
  seen.add(file);
  const needed = read(file).matchAll(/^(?:import (?!type\b)|export (?!type\b)|\}).*?from '([^']+)';$/gm);
  return [...needed].flatMap(([, name]) => {
    if (name!.startsWith('.')) return packagesOf(join(dirname(file), name!), seen);
    return name!.startsWith('node:') ? [] : [name!];
  });
}

test('a command starts soon: what takes long to load is loaded where it is wanted', () => {
  for (const name of ['main', 'compare', 'decode']) expect(packagesOf(`src/cli/${name}.ts`), name).toEqual([]);
});

test('what compares in a browser needs no Node, and no package', () => {
  expect(packagesOf('src/browser.ts')).toEqual([]);
  const reached = new Set(['src/browser.ts']);
  for (const file of reached) for (const name of importsOf(file)) if (name.startsWith('src')) reached.add(name);
  const others = new Set([...reached].flatMap(importsOf).filter((name) => !/^(src|build)\//.test(name)));
  // Its types.
  expect([...others]).toEqual(['yaml']);
  expect(reached.size).toBeGreaterThan(50);
});

test('the command line calls what the library has', () => {
  /** Values that a file names in imports or exports from a module below, by their names there. */
  const taken = (file: string) =>
    [...read(file).matchAll(/^(?:import|export) \{([^}]*)\} from '\.\.?\/([^']+)';$/gm)].flatMap(([, names, from]) =>
      names!
        .split(',')
        .map((name) => name.trim().split(' as ')[0]!)
        .filter((name) => name !== '' && !name.startsWith('type '))
        .map((name) => `${name} of ${from!.replace('./', '')}`),
    );
  const library = new Set(taken('src/index.ts'));
  // Names of things, and a file's text.
  const words = /^([A-Z_]+|readText|isRecording|parse[A-Z]\w+|openOutput|discardUnfinished) of /;
  const calls = under('src/cli')
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap(taken)
    .filter((name) => / of (jobs|explore|verify|calibrate|catalog|trace)\//.test(name) && !words.test(name));
  expect(calls.length).toBeGreaterThan(15);
  expect(calls.filter((name) => !library.has(name))).toEqual([]);
});

describe('import ranks of ARCHITECTURE.md', () => {
  /** `src/trace/text.ts` -> `src/trace`; `src/index.ts` -> `src/index`; `assembly/tlb.ts` -> `assembly/tlb`. */
  const unit = (path: string): string => path.split('/').slice(0, 2).join('/').replace(/\.ts$/, '');
  const ranks = new Map<string, number>();
  for (const [, tree, list] of read('ARCHITECTURE.md').matchAll(/```ranks (\w+)\n(.*?)```/gs)) {
    for (const line of list!.trim().split('\n')) {
      const [rank, ...names] = line.trim().split(/\s+/);
      for (const name of names) ranks.set(`${tree}/${name}`, Number(rank));
    }
  }

  test('every file and folder has one, and every one has a file or folder', () => {
    expect([...ranks.keys()].sort()).toEqual([...new Set(code.map(unit))].sort());
  });

  test('no import goes up', () => {
    const wrong = code.flatMap((file) =>
      importsOf(file).flatMap((target) => {
        if (!/^(src|assembly)\//.test(target)) return [];
        const [from, to] = [unit(file), unit(target)];
        const mine = file.startsWith('src/') && from === to;
        return mine || ranks.get(from)! > ranks.get(to)! ? [] : [`${file} -> ${target}`];
      }),
    );
    expect(wrong).toEqual([]);
  });

  test('the table is being read: the engine imports the model', () => {
    expect(importsOf('src/engine/tlb.ts')).toContain('src/model/tlb.ts');
    expect(importsOf('assembly/tlb.ts')).toContain('assembly/cache');
    expect(ranks.size).toBeGreaterThan(15);
  });

  test('report and reference know the model only, and charts their scales and shapes', () => {
    const charts = ['d3-scale', 'd3-shape'];
    const strange = code
      .filter((file) => /^src\/(report|reference)\//.test(file))
      .flatMap((file) =>
        importsOf(file).filter(
          (target) =>
            unit(target) !== unit(file) &&
            unit(target) !== 'src/model' &&
            !(file.startsWith('src/report/page/') && charts.includes(target)),
        ),
      );
    expect(strange).toEqual([]);
  });
});

test('what the engine imports it uses, and it exports no name twice', () => {
  // No linter looks at AssemblyScript.
  const named = (text: string, word: string): string[] =>
    [...text.matchAll(new RegExp(`^${word} \\{([^}]*)\\} from`, 'gm'))].flatMap(
      ([, list]) => list!.replaceAll(/\w+ as /g, '').match(/\w+/g) ?? [],
    );
  const unused = under('assembly').flatMap((file) => {
    const text = read(file).replaceAll(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
    const words = new Set(text.replaceAll(/^(import|export) \{[^}]*\} from/gm, '').match(/\w+/g));
    return named(text, 'import').flatMap((name) => (words.has(name) ? [] : [`${file}: ${name}`]));
  });
  expect(unused).toEqual([]);
  const exported = ['assembly/recordings.ts', 'assembly/index.ts'].flatMap((file) => named(read(file), 'export'));
  expect(exported.length).toBeGreaterThan(200);
  expect(exported.filter((name, i) => exported.indexOf(name) < i)).toEqual([]);
});

test('node: is imported by jobs, calibrate, sweep, cli, and the files below them that touch files', () => {
  const allowed =
    /^src\/(jobs|calibrate|sweep|cli)\/|^src\/trace\/(input|output|decompress|module)\.ts$|^src\/catalog\/(races|gathered)\.ts$/;
  const strange = code.filter(
    (file) => !allowed.test(file) && importsOf(file).some((name) => name.startsWith('node:')),
  );
  expect(strange).toEqual([]);
});

test('console, process and the clock are used by the command line only, and the clock by what measures the host', () => {
  const strange = code.filter((file) => {
    const uses = /\b(console|process)\.\w|\bDate\.now\(|\bperformance\.now\(|\bMath\.random\(/.test(read(file));
    // The name of a part file holds the process id, so that two imports do not share one.
    return uses && !/^src\/(cli|calibrate)\//.test(file) && file !== 'src/trace/output.ts';
  });
  expect(strange).toEqual([]);
});

/** Lines that are neither blank, nor comments, nor imports. */
function linesOfCode(file: string): number {
  const text = read(file)
    .replace(/^import [^;]*;$/gms, '')
    .replace(/\/\*\*.*?\*\//gs, '');
  return text.split('\n').filter((line) => !/^\s*($|\/\/)/.test(line)).length;
}

test('a command is a short file: it describes, and delegates', () => {
  const long = code.filter((file) => /^src\/cli\/(?!main\.ts)/.test(file) && linesOfCode(file) > 40);
  expect(long.map((file) => `${file}: ${linesOfCode(file)}`)).toEqual([]);
});

test('a file has at most 450 lines', () => {
  const long = [...code, ...under('testing')].filter((file) => read(file).split('\n').length > 451);
  expect(long.map((file) => `${file}: ${read(file).split('\n').length - 1}`)).toEqual([]);
});

test('every exported function, class, type of src has a docstring', () => {
  const bare = code
    .filter((file) => file.startsWith('src/'))
    .flatMap((file) => {
      const lines = read(file).split('\n');
      const seen = new Set<string>();
      return lines.flatMap((line, i) => {
        const name =
          /^export (?:default )?(?:abstract )?(?:async )?(?:function\*?|class|interface|type|enum) (\w+)/.exec(
            line,
          )?.[1];
        // Overloads share one; a type that lists what the constant above it holds needs none.
        if (name === undefined || seen.has(name) || /= \(?(keyof )?typeof /.test(line)) return [];
        seen.add(name);
        return /(\*\/|^\/\/.*)$/.test(lines[i - 1] ?? '') ? [] : [`${file}: ${name}`];
      });
    });
  expect(bare).toEqual([]);
});

const PROSE = [
  ...['README.md', 'ARCHITECTURE.md', 'GLOSSARY.md', 'CHANGELOG.md', 'package.json', 'build.mjs', '.ci/run'],
  ...readdirSync(join(ROOT, 'traces')).flatMap((file) => (file.endsWith('.md') ? [`traces/${file}`] : [])),
];

test('nothing is left to do in a comment, and nothing names a place on one machine', () => {
  const words = new RegExp(
    ['TO' + 'DO', 'FIX' + 'ME', 'XX' + 'X\\b', 'HA' + 'CK\\b', '/wo' + 'rk/', '/ro' + 'ot/', '@ts-ig' + 'nore'].join(
      '|',
    ),
  );
  const strange = [...code, ...PROSE].filter((file) => words.test(read(file)));
  expect(strange).toEqual([]);
});

test('tests are never left out', () => {
  const left = /\b(?:test|it|describe)\.(?:on[l]y|sk[i]p|to[d]o)\b/;
  expect([...under('src'), ...under('testing')].filter((file) => left.test(read(file)))).toEqual([]);
});

test('traces/FORMAT.md lists the events, their fields and the outcomes in the order of their codes', () => {
  const rows = [...read('traces/FORMAT.md').matchAll(/^\| *(\d+) \| `(\w+)` \|([^|]*)\|/gm)];
  const table = rows.map(([, code, name, fields]) => [Number(code), name, (fields ?? '').match(/\w+/g) ?? []]);
  expect(table).toEqual(EVENT_NAMES.map((name, code) => [code, name, [...EVENTS[name]]]));
  const outcomes = /The kinds of outcomes, from 0: (.*?)\./s.exec(read('traces/FORMAT.md'))![1]!;
  expect(outcomes.match(/\w+/g)).toEqual([...OUTCOMES]);
});
