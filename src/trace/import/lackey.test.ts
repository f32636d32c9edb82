import { readdirSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MAX_LINE } from '../../model/limits.ts';
import { type EventName, RUN_OPS } from '../../model/trace.ts';
import { HEAD_OP, HEAD_STRADDLE } from '../format.ts';
import { codec } from '../input.ts';
import { type RunColumns, TraceWriter } from '../writer.ts';
import { lackey } from './lackey.ts';

/** Keeps what reaches a writer: `fetch 401`, `read 1fff+` (a second half), `munmap 0 483c 4846`; numbers in hexadecimal. */
class Recorder extends TraceWriter {
  readonly seen: string[] = [];

  constructor() {
    // Every access a record.
    super({ write: () => {} }, codec, true);
  }

  override merged(agent: number, columns: RunColumns, records: number): void {
    super.merged(agent, columns, records);
    for (let i = 0; i < records; i++) {
      const head = columns.heads[i]!;
      const half = (head & HEAD_STRADDLE) === 0 ? '' : '+';
      this.seen.push(`${RUN_OPS[head & HEAD_OP]} ${columns.pages[i]!.toString(16)}${half}`);
    }
  }

  override event(agent: number, op: Exclude<EventName, 'switch'>, fields: readonly number[], gap: number): void {
    super.event(agent, op, fields, gap);
    this.seen.push([op, ...fields.slice(1).map((field) => field.toString(16))].join(' '));
  }
}

interface Outcome {
  readonly records: string[];
  /** `lines = accepted + rejected + ignored` */
  readonly sum: string;
  readonly rules: Readonly<Record<string, number>>;
  readonly inferred: readonly string[];
}

async function read(blocks: Iterable<Uint8Array>, strict: boolean): Promise<Outcome> {
  const out = new Recorder();
  const input = {
    file: 't',
    async *blocks() {
      yield* blocks;
    },
  };
  const { tally, inferred } = await lackey.read(input, out, { strict });
  const { lines, accepted, rejected, ignored, rules } = tally;
  expect(lines).toBe(accepted + rejected + ignored);
  return { records: out.seen, sum: `${lines} = ${accepted} + ${rejected} + ${ignored}`, rules, inferred };
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const sample = (file: string): Uint8Array =>
  readFileSync(new URL(`../../../traces/samples/lackey/${file}`, import.meta.url));

/** All of an outcome as one string, errors included. */
async function show(blocks: Iterable<Uint8Array>, strict: boolean): Promise<string> {
  try {
    return JSON.stringify(await read(blocks, strict), null, 1);
  } catch (error) {
    return String(error);
  }
}

/** What `text` adds to a first line that is always there: records, then the rules that ignored lines; or the error. */
async function added(text: string): Promise<string> {
  try {
    const { records, rules } = await read([bytesOf(`I  0,1\n${full(text)}`)], true);
    return [...records.slice(1), ...Object.entries(rules).map(([rule, count]) => `[${count} ${rule}]`)].join('; ');
  } catch (error) {
    return (error as Error).message.replace(/^t:(\d+): ".*" is not /, 'line $1 is not ');
  }
}

/** Writes out `{11}`, the start of a line about system call 11, and `{11 1,2}`, the same of process 1, thread 2. */
const full = (text: string): string =>
  text.replace(/\{(\d+)(?: (\d+,\d+))?\}/g, (_, number, thread = '1,1') => `SYSCALL[${thread}](${number}) `);
const brk = (address: string): string => `{12}sys_brk ( ${address} ) --> [pre-success] Success(${address}) \n`;
const mmap = (args: string, result: string): string =>
  `{9}sys_mmap ( ${args} ) --> [pre-success] Success(${result}) \n`;
const mremap = (args: string, result: string): string => `{25}sys_mremap ( ${args} ) --> [pre-success] ${result} \n`;

const NO_EFFECT = 'system call without effect on the address space';
const NOT_FOLLOWED = 'system call whose effect on the address space is not followed';
const FAILED = 'system call that failed';
const UNFINISHED = 'system call whose result is on a later line';
const ORPHAN = 'result whose system call is not in the recording';
const [CALL, RESULT] = ['line 2 is not a call of munmap with 2 numbers', 'line 2 is not the result of a system call'];
const TOO_FAR = 'an access of 1 to 65536 bytes below 2^57';

const ACCESSES: [name: string, input: string, expected: string][] = [
  ['fetch', 'I  0401ab70,3\n', 'fetch 401a'],
  ['load', ' L 1fff000768,8\n', 'read 1fff000'],
  ['store', ' S 0401ab70,8\n', 'write 401a'],
  ['modify is one write', ' M 0401ab70,8\n', 'write 401a'],
  ['first page, no padding', ' L 10,1\n', 'read 0'],
  ['last byte of a page', ' L 00002fff,1\n', 'read 2'],
  ['last byte fits', ' L 00002ffc,4\n', 'read 2'],
  ['page split', ' L 00002ffe,4\n', 'read 2; read 3+'],
  ['split fetch', 'I  00002ffe,5\n', 'fetch 2; fetch 3+'],
  ['two splits', ' S 00002fff,4098\n', 'write 2; write 3+; write 4+'],
  [
    'largest size',
    ' L 00001000,65536\n',
    `read 1${Array.from({ length: 15 }, (_, i) => `; read ${(i + 2).toString(16)}+`).join('')}`,
  ],
  ['nine digits', ' L 123456789,1\n', 'read 123456'],
  ['eleven digits', ' L 123456789ab,1\n', 'read 12345678'],
  ['57-bit address', ' L 1ffffffffffffff,1\n', 'read 1fffffffffff'],
  ['57-bit address, padded', ' L 00ff0000000001000,8\n', `line 2 is not ${TOO_FAR}`],
  ['58-bit address', ' L 200000000000000,1\n', `line 2 is not ${TOO_FAR}`],
  ['split over 2^57', ' L 1ffffffffffffff,2\n', `line 2 is not ${TOO_FAR}`],
  ['vsyscall page', 'I  ffffffffff600000,9\n', `line 2 is not ${TOO_FAR}`],
  ['size 0', ' L 00001000,0\n', `line 2 is not ${TOO_FAR}`],
  ['size too large', ' L 00001000,65537\n', `line 2 is not ${TOO_FAR}`],
  ['CRLF', ' L 00001000,8\r\nI  00002000,1\r\n', 'read 1; fetch 2'],
  ['no newline at the end', ' L 00001000,8', 'read 1'],
  ['CRLF, cut', ' L 00001000,8\r', 'read 1'],
  ['cut in the address', ' L 0000', 'line 2 is not a lackey record'],
  ['cut before the size', ' L 00001000,', 'line 2 is not a lackey record'],
  ['upper case', ' L 0000ABCD,8\n', 'line 2 is not a lackey record'],
  ['no digits', ' L zz,8\n', 'line 2 is not a lackey record'],
  ['no address', ' L ,8\n', 'line 2 is not a lackey record'],
  ['one space after I', 'I 0401ab70,3\n', 'line 2 is not a lackey record'],
  ['no space before L', 'L 0401ab70,3\n', 'line 2 is not a lackey record'],
  ['unknown letter', ' X 0401ab70,3\n', 'line 2 is not a lackey record'],
  ['text behind', ' L 0401ab70,3 x\n', 'line 2 is not a lackey record'],
  ['lone return', ' L 0401ab70,3\rx\n', 'line 2 is not a lackey record'],
  ['garbage', '\0\xff\n', 'line 2 is not a lackey record'],
];

const OTHERS: [name: string, input: string, expected: string][] = [
  ['empty line', '\n', '[1 empty line]'],
  ['empty line, CRLF', '\r\n \r\n', '[2 empty line]'],
  ['message', '==42== Lackey, an example Valgrind tool\n==42== \n==42==\n', '[3 valgrind message]'],
  ['debug message', '--42-- Reading syms\n', '[1 valgrind message]'],
  ['client message', '**42** hello\n', '[1 valgrind message]'],
  ['message with a time', '==00:00:00:01.234 42== \n', '[1 valgrind message]'],
  ['superblock', 'SB 04001000\n', '[1 superblock]'],
  ['program output', 'hello\n', 'line 2 is not a lackey record'],
];

const CALLS: [name: string, input: string, expected: string][] = [
  ['munmap rounds outward', '{11}sys_munmap ( 0x483c000, 40887 )[sync] --> Success(0x0) \n', 'munmap 483c 4846'],
  ['munmap, CRLF', '{11}sys_munmap ( 0x1000, 1 )[sync] --> Success(0x0) \r\n', 'munmap 1 2'],
  ['munmap of nothing', '{11}sys_munmap ( 0x1800, 0 )[sync] --> Success(0x0) ', `[1 ${NO_EFFECT}]`],
  ['munmap fails', '{11}sys_munmap ( 0x1000, 1 )[sync] --> Failure(0x16) ', `[1 ${FAILED}]`],
  ['mprotect', '{10}sys_mprotect ( 0x10b000, 4096, 1 )[sync] --> Success(0x0) ', 'mprotect 10b 10c 1'],
  ['mprotect rounds outward', '{10}sys_mprotect ( 0x10bfff, 2, 5 )[sync] --> Success(0x0) ', 'mprotect 10b 10d 5'],
  ['mprotect, odd bits', '{10}sys_mprotect ( 0x1000, 1, 16777219 )[sync] --> Success(0x0) ', 'mprotect 1 2 3'],
  ['pkey_mprotect', '{329}sys_pkey_mprotect ( 0x1000, 1, 2, -1 )[sync] --> Success(0x0) ', 'mprotect 1 2 2'],

  ['mmap of memory', mmap('0x0, 8192, 3, 34, 4294967295, 0', '0x4835000'), 'mmap 4835 4837 3 0'],
  ['mmap of memory, fd -1', mmap('0x0, 8192, 3, 0x22, -1, 0', '0x4835000'), 'mmap 4835 4837 3 0'],
  ['mmap of a file', mmap('0x0, 40887, 1, 2, 5, 0', '0x483c000'), 'mmap 483c 4846 1 2'],
  ['mmap of a file, fixed', mmap('0x4838000, 4096, 5, 2066, 5, 4096', '0x4838000'), 'mmap 4838 4839 5 3'],
  ['mmap, fixed', mmap('0x484f000, 136, 3, 50, 4294967295, 0', '0x484f000'), 'mmap 484f 4850 3 1'],
  ['mmap, shared file', mmap('0x0, 4096, 1, 1, 5, 0', '0x5000'), 'mmap 5 6 1 6'],
  ['mmap, shared memory', mmap('0x0, 4096, 1, 33, 5, 0', '0x5000'), 'mmap 5 6 1 4'],
  ['mmap, shared and validated', mmap('0x0, 4096, 1, 3, 5, 0', '0x5000'), 'mmap 5 6 1 6'],
  ['mmap never replaces', mmap('0x5000, 4096, 1, 1048610, -1, 0', '0x5000'), 'mmap 5 6 1 0'],
  ['mmap never replaces, both flags', mmap('0x5000, 4096, 1, 1048626, -1, 0', '0x5000'), 'mmap 5 6 1 0'],
  ['mmap without access', mmap('0x0, 134217728, 0, 16418, 4294967295, 0', '0x6203000'), 'mmap 6203 e203 0 0'],
  ['mmap of a 32-bit program', mmap('0x0, 4096, 3, 34, -1, 0', '0x5000').replace('mmap', 'mmap2'), 'mmap 5 6 3 0'],
  ['mmap fails', '{9}sys_mmap ( 0x0, 0, 3, 34, 4294967295, 0 ) --> [pre-fail] Failure(0x16) ', `[1 ${FAILED}]`],
  ['mmap below 2^57', mmap('0x0, 4096, 3, 34, -1, 0', '0x1fffffffffff000'), 'mmap 1fffffffffff 200000000000 3 0'],
  ['mmap at 2^57', mmap('0x0, 8192, 3, 34, -1, 0', '0x1fffffffffff000'), 'line 2 is not a range of pages below 2^57'],

  ['mremap moves', mremap('0x4e11000, 700416, 802816, 0x1', 'Success(0x5e11000)'), 'mremap 4e11 4ebc 5e11 5ed5'],
  ['mremap, five arguments', mremap('0x1000, 4096, 4096, 0x3, 0x9000', 'Success(0x9000)'), 'mremap 1 2 9 a'],
  ['mremap grows', mremap('0x1000, 4096, 8192, 0x1', 'Success(0x1000)'), 'mremap 1 2 1 3'],
  ['mremap shrinks', mremap('0x1000, 8192, 1, 0x1', 'Success(0x1000)'), 'munmap 2 3'],
  ['mremap changes nothing', mremap('0x1000, 4095, 4096, 0x1', 'Success(0x1000)'), `[1 ${NO_EFFECT}]`],
  ['mremap makes a copy', mremap('0x1000, 0, 4096, 0x1', 'Success(0x9000)'), `[1 ${NOT_FOLLOWED}]`],
  ['mremap fails', '{25}sys_mremap ( 0x1000, 1, 4096, 0x0 ) --> [pre-fail] Failure(0xc) ', `[1 ${FAILED}]`],

  ['the first brk tells the break', brk('0x4035000'), `[1 ${NO_EFFECT}]`],
  ['brk grows', brk('0x4035000') + brk('0x4056000'), `brk 4035 4056; [1 ${NO_EFFECT}]`],
  ['brk grows by a byte', brk('0x4036000') + brk('0x4036001'), `brk 4036 4037; [1 ${NO_EFFECT}]`],
  ['brk grows within a page', brk('0x4035001') + brk('0x4036000'), `[2 ${NO_EFFECT}]`],
  ['brk shrinks', brk('0x4056000') + brk('0x4035000'), `brk 4056 4035; [1 ${NO_EFFECT}]`],
  ['brk is refused', `${brk('0x4000')}${brk('0x9000').replace('(0x9', '(0x4')}`, `[2 ${NO_EFFECT}]`],

  [
    'madvise in two lines',
    '{28}sys_madvise ( 0x8aab000, 262144, 4 ) --> [async] ... \n L 1000,1\n{28}... [async] --> Success(0x0) \n',
    `read 1; madvise 8aab 8aeb 4; [1 ${UNFINISHED}]`,
  ],
  [
    'madvise in two lines fails',
    '{28}sys_madvise ( 0x8aab000, 262144, 4 ) --> [async] ... \n{28}... [async] --> Failure(0x16) \n',
    `[1 ${UNFINISHED}]; [1 ${FAILED}]`,
  ],
  ['madvise, free', '{28}sys_madvise ( 0x1000, 4096, 8 )[sync] --> Success(0x0) ', 'madvise 1 2 8'],
  ['madvise, will need', '{28}sys_madvise ( 0x1000, 4096, 3 )[sync] --> Success(0x0) ', `[1 ${NO_EFFECT}]`],
  ['madvise, page out', '{28}sys_madvise ( 0x1000, 4096, 21 )[sync] --> Success(0x0) ', `[1 ${NOT_FOLLOWED}]`],
  [
    'threads and processes cross',
    '{28}sys_madvise ( 0x1000, 4096, 4 ) --> [async] ... \n{11 1,2}sys_munmap ( 0x2000, 4096 ) --> [async] ... \n' +
      '{11 2,1}sys_munmap ( 0x3000, 4096 ) --> [async] ... \n{11 1,2}... [async] --> Success(0x0) \n' +
      '{28}... [async] --> Success(0x0) \n{11 2,1}... [async] --> Failure(0x16) \n',
    `munmap 2 3; madvise 1 2 4; [3 ${UNFINISHED}]; [1 ${FAILED}]`,
  ],
  ['late result without a call', '{28}... [async] --> Success(0x0) \n', `[1 ${ORPHAN}]`],
  [
    'late result of another call',
    '{28}sys_madvise ( 0x1000, 4096, 4 ) --> [async] ... \n{11}... [async] --> Success(0x0) \n',
    'line 3 is not the result of system call 28',
  ],
  ['bare result without a call', ' --> [pre-success] Success(0x0) \n', `[1 ${ORPHAN}]`],
  [
    'broken call',
    '{11}sys_munmap ( 0x1000, 4096 )==1== Warning: oops\n --> [pre-success] Success(0x0) \n',
    `munmap 1 2; [1 ${UNFINISHED}]`,
  ],
  [
    'broken call, two messages',
    '{11}sys_munmap ( 0x1000, 4096 )==1== Warning:\n==1== more\n[sync] --> Success(0x0) \n',
    `munmap 1 2; [1 ${UNFINISHED}]; [1 valgrind message]`,
  ],
  [
    'broken call, late result',
    '{28}sys_madvise ( 0x1000, 4096, 4 )--1-- hm\n --> [async] ... \n{28}... [async] --> Success(0x0) \n',
    `madvise 1 2 4; [2 ${UNFINISHED}]`,
  ],
  [
    'broken call fails',
    '{11}sys_munmap ( 0xffffffffffffffff, 131072 )==1== Warning\n --> [pre-fail] Failure(0x16) \n',
    `[1 ${UNFINISHED}]; [1 ${FAILED}]`,
  ],
  [
    'not implemented',
    '{334}unimplemented (by the kernel) syscall: 334! (ni_syscall)\n --> [pre-fail] Failure(0x26) \n',
    `[2 ${NO_EFFECT}]`,
  ],
  [
    'fork',
    '{56}sys_clone ( 1200011 )   clone(fork): process 1 created child 2\n --> [pre-success] Success(0x2) \n',
    `[2 ${NO_EFFECT}]`,
  ],
  ['no result to write', '{15}sys_rt_sigreturn ( ) --> [pre-success] NoWriteResult \n', `[1 ${NO_EFFECT}]`],
  ['no arguments', '{39}sys_getpid ()[sync] --> Success(0x1) \n', `[1 ${NO_EFFECT}]`],
  ['without sys_', '{231}exit_group( 0 ) --> [pre-success] Success(0x0) \n', `[1 ${NO_EFFECT}]`],
  ['odd name', "{72}sys_fcntl[ARG3=='lock'] ( 3, 5, 0x1ffe )[sync] --> Success(0x0) \n", `[1 ${NO_EFFECT}]`],
  [
    'a path like a result',
    '{2}sys_open ( 0x1(a --> Success(0x1) b), 0 )[sync] --> Failure(0x2) \n',
    `[1 ${NO_EFFECT}]`,
  ],
  ['shmat', '{30}sys_shmat ( 1, 0x0, 0 )[sync] --> Success(0x5000) \n', `[1 ${NOT_FOLLOWED}]`],
  ['shmat fails', '{30}sys_shmat ( 1, 0x0, 0 )[sync] --> Failure(0x16) \n', `[1 ${NO_EFFECT}]`],

  [
    'glued fetch',
    '{56}sys_clone ( 3d0f00, 0x1 ) --> [pre-success] Success(0x1f3e) I  0532eb42,3\n\n',
    'fetch 532e; [1 empty line]',
  ],
  ['glued fetch, CRLF', '{56}sys_clone ( 3d0f00 ) --> [pre-success] Success(0x1f3e) I  0532eb42,3\r\n', 'fetch 532e'],
  ['glued fetch at the end', '{56}sys_clone ( 3d0f00 ) --> [pre-success] Success(0x1f3e) I  0532eb42,3', 'fetch 532e'],
  ['glued fetch, split', '{24}sys_sched_yield()[sync] --> Success(0x0) I  00001fff,2\n', 'fetch 1; fetch 2+'],
  ['glued fetch, wrong', '{24}sys_sched_yield()[sync] --> Success(0x0) I  0532eb42,0\n', `line 2 is not ${TOO_FAR}`],
  [
    'glued call',
    '{11 1,2}sys_munmap ( 0x1000, 1 ) --> [async] ... \n' +
      '{24}sys_sched_yield()[sync] --> Success(0x0) {11 1,2}... [async] --> Success(0x0) \n',
    `munmap 1 2; [1 ${UNFINISHED}]`,
  ],
  ['glued message', '{24}sys_sched_yield()[sync] --> Success(0x0) ==1== \n', `[1 ${NO_EFFECT}]`],

  ['cut in the thread', 'SYSCALL[1,', 'line 2 is not a system call'],
  ['cut in the arguments', '{11}sys_munmap ( 0x483c000, 40', CALL],
  ['cut before the result', '{11}sys_munmap ( 0x483c000, 40 )', `[1 ${UNFINISHED}]`],
  ['cut in the result', '{11}sys_munmap ( 0x483c000, 40 )[sync] --> Succ', RESULT],
  ['text instead of a result', '{11}sys_munmap ( 0x1000, 1 ) hello', RESULT],
  ['text before the result', '{11}sys_munmap ( 0x1000, 1 ) --> x --> Success(0x0) ', RESULT],
  ['words instead of numbers', '{11}sys_munmap ( x, 1 )[sync] --> Success(0x0) ', CALL],
];

describe.each([
  ['access', ACCESSES],
  ['other line', OTHERS],
  ['system call', CALLS],
])('lackey, %s', (_kind, rows) => {
  test.each(rows)('%s', async (_name, input, expected) => {
    expect(await added(input)).toBe(expected);
  });
});

const FILES: [name: string, text: string, strict: boolean, expected: string][] = [
  ['empty', '', false, 'TraceError: t: holds no record'],
  ['no record', '==1== \n', false, 'TraceError: t: holds no record'],
  ['a line in a hundred', `${' L 0,1\n'.repeat(99)}x\n`, false, '100 = 99 + 1 + 0'],
  [
    'too many lines',
    `${' L 0,1\n'.repeat(98)}x\n`,
    false,
    'TraceError: t: 1 of 99 lines (1.0 %) were not understood; first, line 99: "x" is not a lackey record',
  ],
  ['strict', `${' L 0,1\n'.repeat(99)}x\n`, true, 'TraceError: t:100: "x" is not a lackey record'],
  ['longest line', ` L 0,1\n==1== ${'x'.repeat(MAX_LINE - 7)}\n`, false, '2 = 1 + 0 + 1'],
  ['longer line', ` L 0,1\n==1== ${'x'.repeat(MAX_LINE - 6)}\n`, false, 'TraceError: t:2: is longer than 65536 bytes'],
  [
    'longer line without an end',
    ` L 0,1\n${'x'.repeat(MAX_LINE)}`,
    false,
    'TraceError: t:2: is longer than 65536 bytes',
  ],
];

test.each(FILES)('lackey, whole file: %s', async (_name, text, strict, expected) => {
  const bytes = bytesOf(text);
  const tell = async (blocks: Uint8Array[]) => read(blocks, strict).then(({ sum }) => sum, String);
  expect(await tell([bytes])).toBe(expected);
  expect(await tell([bytes.subarray(0, bytes.length >> 1), new Uint8Array(), bytes.subarray(bytes.length >> 1)])).toBe(
    expected,
  );
});

const SAMPLES: [file: string, sum: string, records: string][] = [
  [
    'plain.lk',
    '24 = 14 + 0 + 10',
    `fetch 401; read 1ffefff; fetch 401; write 1ffefff; fetch 401; write 40c; fetch 401; fetch 402+; read 40c; read 40d+;
     fetch 402; write 1ffeffe; write 1ffefff+; write 1ffeffe; write 1ffefff+; fetch 402; read 0; read 1fe000000000;
     read 1fe000000001+`,
  ],
  [
    'threads.lk',
    '26 = 17 + 0 + 9',
    `fetch 4001; mmap 5a00 6201 3 0; fetch 4001; mprotect 5a00 5a01 0; fetch 532e; fetch 532e; fetch 532e; fetch 532e;
     read 6200; madvise 5a01 5a04 4; fetch 4001; read 1ffefff; fetch 4001; fetch 4001; fetch 4001; munmap 5a00 6201;
     fetch 4001`,
  ],
  [
    'broken.lk',
    '38 = 20 + 0 + 18',
    `fetch 4001; fetch 4001; brk 4035 4057; fetch 4001; brk 4057 4040; fetch 4001; fetch 4001; fetch 4001;
     mmap 4a00 4a06 5 2; fetch 4001; fetch 4001; munmap 4a02 4a06; fetch 4001; mremap 4a00 4a02 4a00 4a03; fetch 4001;
     mremap 4a00 4a03 4b00 4b10; fetch 4001; fetch 4001; fetch 4001; fetch 4001`,
  ],
  [
    'crlf.lk',
    '15 = 8 + 0 + 7',
    'fetch 401; read 1ffefff; fetch 401; write 1ffefff; fetch 401; write 40c; munmap 483c 4846; fetch 532e',
  ],
  ['truncated.lk', '121 = 120 + 1 + 0', Array(120).fill('fetch 401').join('; ')],
  ['garbage.lk', '131 = 130 + 1 + 0', Array(130).fill('fetch 401').join('; ')],
];

test.each(SAMPLES)('lackey, sample %s', async (file, sum, records) => {
  const outcome = await read([sample(file)], false);
  expect(outcome.records.join('; ')).toBe(records.replace(/\s+/g, ' '));
  expect(outcome.sum).toBe(sum);
});

test('lackey: every sample has a row', () => {
  const files = readdirSync(new URL('../../../traces/samples/lackey', import.meta.url));
  expect(files.sort()).toEqual(SAMPLES.map(([file]) => file).sort());
});

const INFERRED: [name: string, text: string, expected: RegExp, present: boolean][] = [
  ['no system call', ' L 0,1\n', /No system call was recorded/, true],
  ['a system call', ` L 0,1\n${brk('0x1000')}`, /No system call was recorded/, false],
  ['two threads', ` L 0,1\n${brk('0x1')}{39 1,2}sys_getpid ()[sync] --> Success(0x1)`, /one agent.*\(2 seen/, true],
  ['two processes', ` L 0,1\n${brk('0x1')}{39 2,1}sys_getpid ()[sync] --> Success(0x1)`, /of 2 processes/, true],
  ['one process', ` L 0,1\n${brk('0x1000')}`, /processes act on one space/, false],
  ['a fork', ' L 0,1\n{57}sys_fork ( )   fork: process 1 created child 2\n', /\(1 forks seen\)/, true],
  ['no fork', ' L 0,1\n', /\(0 forks seen\)/, true],
  ['no result', ' L 0,1\n{28}sys_madvise ( 0x1000, 4096, 4 ) --> [async] ... \n', /result.*\(1 of them\)/, true],
  ['all results', ` L 0,1\n${brk('0x1000')}`, /without a recorded result/, false],
  ['no newline', ' L 0,1', /last line does not end/, true],
  ['newline', ' L 0,1\n', /last line does not end/, false],
];

test.each(INFERRED)('lackey, inferred: %s', async (_name, text, expected, present) => {
  const { inferred } = await read([bytesOf(full(text))], true);
  expect(inferred.some((sentence) => expected.test(sentence))).toBe(present);
});

const HEADS: [name: string, head: string | Uint8Array, known: boolean][] = [
  ['a recording', sample('plain.lk'), true],
  ['CRLF', sample('crlf.lk'), true],
  ['no banner', sample('threads.lk'), true],
  ['banner alone', '==42== Lackey, an example Valgrind tool\n', true],
  ['banner with a time', '==00:00:00:00.001 42== Lackey, an example Valgrind tool\n', true],
  ['behind program output', 'hello\n L 1fff000768,8\n', true],
  ['head cut in a line', 'I  0401ab70,3\nI  0401', true],
  ['another valgrind tool', '==42== Memcheck, a memory error detector\n', false],
  ['dinero', '2 0401ab70\n0 1fff000768\n1 1fff000768\n', false],
  ['dinero, letters', 'r 401ab70 4\nw 1fff0 8\n', false],
  ['pin', '0x401ab70: R 0x7fff0768\n0x401ab74: W 0x7fff0768\n', false],
  ['perf script', 'sh  1234 [000] 12.345: mem-loads: 7fff0768\n', false],
  ['text', 'I, L and S\n L\n', false],
  ['a record far down', `${'x\n'.repeat(200)} L 0,1\n`, false],
  ['nothing', '', false],
  ['zeros', new Uint8Array(1000), false],
  ['all bytes', Uint8Array.from({ length: 256 }, (_, i) => i), false],
];

test.each(HEADS)('lackey, sniff: %s', (_name, head, known) => {
  expect(lackey.sniff(typeof head === 'string' ? bytesOf(head) : head)).toBe(known);
});

test('lackey: sniff never throws', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (head) => typeof lackey.sniff(head) === 'boolean'));
});

/** `bytes` in blocks that end at `cuts`. */
function blocksOf(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const borders = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return borders.slice(1).map((end, i) => bytes.slice(borders[i], end));
}

test.each(SAMPLES)('lackey: a block border anywhere in %s changes nothing', async (file) => {
  const bytes = sample(file);
  const whole = await show([bytes], false);
  for (let cut = 1; cut < bytes.length; cut++) expect(await show(blocksOf(bytes, [cut]), false)).toBe(whole);
  const single = Array.from(bytes, (byte) => Uint8Array.of(byte));
  expect(await show(single, false)).toBe(whole);
});

test('lackey: blocks change nothing, whatever the lines', async () => {
  const pool = [...ACCESSES, ...OTHERS, ...CALLS].map(([, input]) => full(input));
  const lines = fc.array(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...pool) }, fc.string({ unit: 'binary' })), {
    maxLength: 20,
  });
  const cuts = fc.array(fc.nat(2000), { maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(lines, cuts, fc.boolean(), async (parts, at, strict) => {
      const bytes = bytesOf(` L 0,1\n${parts.join('')}`.repeat(strict ? 1 : 3));
      expect(await show(blocksOf(bytes, at), strict)).toBe(await show([bytes], strict));
    }),
  );
});
