/** Bad input: a trace or a foreign recording that cannot be read. `place` is `file`, `file:line` or `file: chunk n`. */
export class TraceError extends Error {
  override readonly name = 'TraceError';
  constructor(
    readonly place: string,
    message: string,
  ) {
    super(`${place}: ${message}`);
  }
}

/** Bad command, option, policy, machine or cost: what was read and what was expected. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The user interrupted the work; what had been written in part is gone. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}
