import { decompress } from 'brotli/decompress';
import { type CompareRequest, compare, Interrupted, openTrace, resultOf } from '../../src/browser.ts';

/** What a page sends to its worker. */
export interface CompareTask {
  readonly engine: Uint8Array<ArrayBuffer>;
  readonly trace: Uint8Array<ArrayBuffer>;
  /** Of a shipped trace. */
  readonly name: string;
  readonly request: CompareRequest;
  /** Stop once this share of the work is done; never, if not given. */
  readonly stopAt?: number;
}

/** What comes back: the result, or why there is none; and what was told of progress. */
export interface CompareReply {
  readonly result?: object;
  readonly error?: string;
  readonly interrupted?: boolean;
  readonly shares: readonly number[];
}

async function answer({ engine, trace, name, request, stopAt = 2 }: CompareTask): Promise<CompareReply> {
  const shares: number[] = [];
  const stop = new AbortController();
  const onProgress = (share: number): void => {
    shares.push(share);
    if (share >= stopAt) stop.abort();
  };
  try {
    const opened = await openTrace(trace, { file: `${name}.trace`, name, decompress });
    const options = { engine: new WebAssembly.Module(engine), signal: stop.signal, onProgress };
    return { result: resultOf(opened, await compare(opened, request, options)), shares };
  } catch (error) {
    return { error: (error as Error).message, interrupted: error instanceof Interrupted, shares };
  }
}

addEventListener('message', async ({ data }: MessageEvent<CompareTask>) => postMessage(await answer(data)));
