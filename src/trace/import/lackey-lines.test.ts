import { Readable } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CHUNK_RECORDS, MAX_RUN } from '../../model/limits.ts';
import { codec } from '../input.ts';
import { FETCH, READ, TraceWriter, WRITE } from '../writer.ts';
import { lackey } from './lackey.ts';

/** A trace and how many lines of a text became accesses of it. */
type Outcome = readonly [accepted: number, trace: string];

/** The outcome of what `fill` writes. */
async function outcomeOf(interleaved: boolean, fill: (out: TraceWriter) => Promise<number> | number): Promise<Outcome> {
  const parts: Buffer[] = [];
  const out = new TraceWriter({ write: (bytes) => void parts.push(Buffer.from(bytes)) }, codec, interleaved);
  const accepted = await fill(out);
  const tally = { lines: 0, accepted: 0, rejected: 0, ignored: 0, rules: {} };
  out.finish({ source: { format: 'lackey', file: 't' }, tally, inferred: [] });
  return [accepted, Buffer.concat(parts).toString('base64')];
}

const imported = (text: string, interleaved: boolean, size: number): Promise<Outcome> =>
  outcomeOf(interleaved, async (out) => {
    const bytes = Buffer.from(text);
    const blocks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    const { tally } = await lackey.read({ file: 't', blocks: () => Readable.from(blocks) }, out, {
      strict: false,
      maxRejected: 1,
    });
    return tally.accepted;
  });

/** The same, line by line and access by access. */
const one = (text: string, interleaved: boolean): Promise<Outcome> =>
  outcomeOf(interleaved, (out) => {
    const space = out.space('mm', 'mm');
    const agent = out.agent('cpu0', 'cpu', space);
    let accepted = 0;
    for (const line of text.split('\n')) {
      const [, kind, digits, size] = /^(I {2}| [LSM] )([0-9a-f]{1,16}),([0-9]{1,5})\r?$/.exec(line) ?? [];
      if (line === UNMAP.trimEnd()) out.event(agent, 'munmap', [space, 1, 2]);
      else if (kind === undefined || Number(size) < 1 || Number(size) > 65_536) continue;
      else {
        const first = BigInt(`0x${digits}`);
        const last = (first + BigInt(size!) - 1n) >> 12n;
        if (last >= 1n << 45n) continue;
        const access = kind === 'I  ' ? FETCH : kind === ' L ' ? READ : WRITE;
        out.touch(agent, access, Number(first >> 12n), Number(last - (first >> 12n)));
      }
      accepted++;
    }
    return accepted;
  });

const UNMAP = 'SYSCALL[1,1](11) sys_munmap ( 0x1000, 4096 )[sync] --> Success(0x0)\n';

const seldom = (usual: string, ...others: string[]): fc.Arbitrary<string> =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, fc.constantFrom(...others));
const line = fc
  .tuple(
    seldom(' L ', ' S ', ' M ', 'I  ', 'I L', ' I ', ' X ', 'xL ', ' L0'),
    seldom(
      '1ffefff',
      '1ffeffe',
      '1efefff',
      '0ffefff',
      '04001',
      '4001',
      '7fffffff0',
      '123456789a',
      'fedcba987',
      '1fffffffffff',
      '1fgefff',
    ),
    fc.constantFrom('000', '008', 'ff8', 'fff', 'ABC', 'a,0', '0g0', '00g', 'g00'),
    seldom(
      ',8\n',
      ',9\n',
      ',1\n',
      ',16\n',
      ',8\r\n',
      ',0\n',
      ', \n',
      ';8\n',
      ',8;\n',
      ',65536\n',
      ',4098\n',
      ',00008\n',
      ',000008\n',
      '\n',
    ),
  )
  .map((parts) => parts.join(''));

test('an access line is what the format says, whatever the line before it was', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof({ weight: 20, arbitrary: line }, fc.constantFrom(UNMAP, '\n', '==1== x\n')), { maxLength: 60 }),
      fc.boolean(),
      fc.constantFrom(7, 40, 4096),
      async (lines, interleaved, size) => {
        const text = `I  00000000,1\n${lines.join('')}`;
        expect(await imported(text, interleaved, size)).toEqual(await one(text, interleaved));
      },
    ),
    { numRuns: 200 },
  );
});

test('runs end with their chunk, and where their count is full; a block may hold more records than there is room for', async () => {
  const alternate = (n: number): string => 'I  00401000,1\nI  00402000,1\n'.repeat(n / 2);
  const borders = [-3, -2, -1, 0].map((at) => alternate(CHUNK_RECORDS + at - ((CHUNK_RECORDS + at) % 2)));
  const texts = [
    ...borders.map(
      (text) => ` L 1ffefff008,8\n${text} L 1ffefff010,8\nI  00402ffe,4\n L 1ffefff018,8\n${UNMAP}${alternate(4)}`,
    ),
    `${alternate(CHUNK_RECORDS)}${UNMAP}${alternate(CHUNK_RECORDS - 4)} S 00002fff,65536\n L 00002000,1\n`,
    `I  00401000,1\n${' L 1ffefff008,8\n'.repeat(MAX_RUN + 2)}I  00401000,1\n`,
    alternate(2).replaceAll('\n', '\n L 1ffefff008,8\n').repeat(CHUNK_RECORDS),
  ];
  for (const text of texts) expect(await imported(text, false, 1 << 21)).toEqual(await one(text, false));
});
