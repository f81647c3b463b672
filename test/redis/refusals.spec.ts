import { describe, expect, it } from 'vitest';
import { isNoScript, isReadOnly, isRefusal, wordOf } from '../../lib/backends/redis/refusals.js';

describe('what an error of Redis says', () => {
  it.each([
    ['READONLY', "READONLY You can't write against a read only replica."],
    ['READONLY', "READONLY You can't write against a read only replica. script: 3f…, on @user_script:7."],
    [
      'READONLY',
      "ERR Error running script (call to f_3f): @user_script:7: @user_script: 7: -READONLY You can't write against a read only replica.",
    ],
    ['READONLY', "@user_script: 7: -READONLY You can't write against a read only replica."],
    [
      'OOM',
      "ERR Error running script (call to f_3f): @user_script:7: @user_script: 7: -OOM command not allowed when used memory > 'maxmemory'.",
    ],
    ['NOSCRIPT', 'NOSCRIPT No matching script. Please use EVAL.'],
    ['ERR', 'ERR max number of clients reached'],
  ])('is %s: %s', (word, message) => {
    expect(wordOf(new Error(message))).toBe(word);
  });

  it.each([
    [new Error('Connection is closed.')],
    [new Error('The client is closed')],
    [Object.assign(new Error('ECONNREFUSED 127.0.0.1'), { code: 'ECONNREFUSED' })],
    ['READONLY'],
  ])('is nothing where the server did not say it: %s', (error) => {
    expect([isRefusal(error), isReadOnly(error), isNoScript(error)]).toEqual([false, false, false]);
  });
});
