import { expect } from 'vitest';
import { UsageError } from '../src/model/errors.ts';

/** The one line of the UsageError that `action` ends in. */
export function complaintOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    const { message } = error as Error;
    expect(message).not.toContain('\n');
    expect(message.length).toBeLessThan(1000);
    return message;
  }
  return 'no error';
}
