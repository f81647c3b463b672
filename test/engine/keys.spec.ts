import { describe, expect, it } from 'vitest';
import { LockConfigurationError, LockKeyError } from '../../lib/lock/errors.js';
import { canonicalKeys, checkedPrefix, joined } from '../../lib/engine/options/keys.js';

describe('keys', () => {
  it('several are taken in the one order that everybody follows, and each once', () => {
    expect(canonicalKeys('a')).toEqual(['a']);
    expect(canonicalKeys(['b', 'a', 'b'])).toEqual(['a', 'b']);
    expect(canonicalKeys(['é', 'z', 'Z', '10', '9'])).toEqual(canonicalKeys(['9', 'Z', '10', 'é', 'z']));
    expect(joined(['a', 'b'])).toBe('a + b');
  });

  it('the list that was handed in stays as it was', () => {
    const keys = Object.freeze(['b', 'a']);
    canonicalKeys(keys);
    expect(keys).toEqual(['b', 'a']);
  });

  it.each<[unknown, RegExp]>([
    [null, /an array of at least one; this is null\.$/],
    [undefined, /this is undefined/],
    [5, /this is number/],
    [{}, /this is object/],
    [[], /this is an empty array/],
    [['a', null], /^A key is a string; this is null\.$/],
    [['a', undefined], /^A key is a string; this is undefined\.$/],
    [['a', ['b']], /^A key is a string; this is object\.$/],
    ['', /^The key is empty, so every caller would lock the same\. Name what is locked\.$/],
    [['a', ''], /^The key is empty/],
    ['k'.repeat(8_193), /^The key 'k{40}…' has 8193 bytes, and a key has at most 8192\. Lock a hash of it instead\.$/],
    ['é'.repeat(4_097), /has 8194 bytes/],
    ['order:\ud800', /has half a surrogate pair, which no server can store\.$/],
  ])('%j is refused', (key, message) => {
    expect(() => canonicalKeys(key as string)).toThrow(LockKeyError);
    expect(() => canonicalKeys(key as string)).toThrow(message);
  });

  it('any other text is a key', () => {
    for (const key of [' ', '\0', '{}', '😀', 'a'.repeat(8_192), '\u{1F469}\u200D\u{1F4BB}'])
      expect(canonicalKeys(key)).toEqual([key]);
  });

  it('a prefix is text that a server can store; none is fine', () => {
    expect(checkedPrefix('')).toBe('');
    expect(checkedPrefix('lock:')).toBe('lock:');
    expect(() => checkedPrefix('\udc00')).toThrow(LockConfigurationError);
    expect(() => checkedPrefix(5 as unknown as string)).toThrow("`prefix` is 5; it is a string, such as 'lock:'.");
  });
});
