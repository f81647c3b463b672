/** The parameters of a function as its source has them. */
export interface Parameters {
  /** `undefined` for one without a name of its own (destructured). */
  readonly names: readonly (string | undefined)[];
  /** Whether the last one is `...rest`. */
  readonly rest: boolean;
}

/**
 * Reads the parameters of a function; `undefined` when there is no source to read (native or bound functions).
 *
 * A scanner and not a regular expression, because defaults hold anything: strings with brackets in them, comments with commas,
 * templates with functions inside.
 */
export function parametersOf(method: (...args: never[]) => unknown): Parameters | undefined {
  const source = Function.prototype.toString.call(method);
  if (/\{\s*\[native code\]\s*\}\s*$/.test(source)) return undefined;
  return new Scanner(source).parameters();
}

/**
 * Reads the parameters of a method from the source of its class, where a decorator below has put a function of its own in its place.
 * `undefined` when the class has no such source, or not exactly one method of that name.
 */
export function declaredParametersOf(prototype: object, property: string | symbol): Parameters | undefined {
  const source = Function.prototype.toString.call(prototype.constructor);
  return typeof property === 'string' && source.startsWith('class') ? new Scanner(source).member(property) : undefined;
}

const SPACE = /\s+/y;
const IDENTIFIER =
  /(?:[\p{ID_Start}$_]|\\u(?:[\dA-Fa-f]{4}|\{[\dA-Fa-f]+\}))(?:[\p{ID_Continue}$\u200c\u200d]|\\u(?:[\dA-Fa-f]{4}|\{[\dA-Fa-f]+\}))*/uy;
const NUMBER = /\d[\w.]*/y;
const REGULAR_EXPRESSION = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/\w*/y;
/** After one of these words a slash begins a regular expression; after any other it divides. */
const BEFORE_EXPRESSION = /^(?:return|typeof|instanceof|in|of|new|delete|void|throw|case|do|else|await|yield)$/;

const CLOSING: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

class Scanner {
  private at = 0;
  /** Whether the last token can end an expression, so that a slash after it divides. */
  private afterValue = false;

  constructor(private readonly source: string) {}

  parameters(): Parameters {
    let lastWord: string | undefined;
    for (this.skipBlank(); this.at < this.source.length; this.skipBlank()) {
      if (this.peek('(')) return this.list();
      // `id => …` and `async id => …` have no list.
      if (this.peek('=>')) return { names: [lastWord], rest: false };
      lastWord = this.word() ?? (this.element(), undefined);
    }
    return { names: [], rest: false };
  }

  /** The parameters of a method in a class body. */
  member(name: string): Parameters | undefined {
    const found: Parameters[] = [];
    for (this.skipBlank(); !this.peek('{') && this.at < this.source.length; this.skipBlank()) this.element();
    this.take(1);
    let words: string[] = [];
    // The value of a field, which may hold anything, goes on to its semicolon.
    let inField = false;
    for (this.skipBlank(); !this.peek('}') && this.at < this.source.length; this.skipBlank()) {
      if (this.peek(';')) [words, inField] = [[], false];
      else if (this.peek('=')) inField = true;
      const word = this.word();
      if (word !== undefined) words.push(word);
      else if (this.peek('(') && !inField) {
        const parameters = this.list();
        this.take(1);
        this.skipBlank();
        if (this.peek('{') && words.at(-1) === name && !words.slice(0, -1).includes('static')) found.push(parameters);
      } else {
        if (this.peek('{') && !inField) words = [];
        this.element();
      }
    }
    return found.length === 1 ? found[0] : undefined;
  }

  private list(): Parameters {
    const names: (string | undefined)[] = [];
    let rest = false;
    this.take(1);
    for (this.skipBlank(); !this.peek(')') && this.at < this.source.length; this.skipBlank()) {
      if (this.peek('...')) {
        rest = true;
        this.take(3);
        this.skipBlank();
      }
      names.push(this.word());
      this.skipDefault();
    }
    return { names, rest };
  }

  /** To behind the next comma of this list, or to the bracket that closes it. */
  private skipDefault(): void {
    for (this.skipBlank(); this.at < this.source.length; this.skipBlank()) {
      if (this.peek(')')) return;
      if (this.peek(',')) {
        this.take(1);
        return;
      }
      this.element();
    }
  }

  /** One piece of source: a word, a literal, a whole pair of brackets, or a single character. */
  private element(): void {
    if (this.word() !== undefined || this.match(NUMBER) !== undefined) {
      return;
    }
    const character = this.source[this.at] ?? '';
    const closing = CLOSING[character];
    if (closing !== undefined) this.brackets(closing);
    else if (character === "'" || character === '"') this.string(character);
    else if (character === '`') this.template();
    else if (character === '/' && !this.afterValue && this.match(REGULAR_EXPRESSION) !== undefined) {
      this.afterValue = true;
    } else this.take(1);
  }

  private brackets(closing: string): void {
    this.take(1);
    for (this.skipBlank(); !this.peek(closing) && this.at < this.source.length; this.skipBlank()) this.element();
    this.take(1);
    // Behind a block a statement begins; behind the other brackets a value has ended.
    this.afterValue = closing !== '}';
  }

  private string(quote: string): void {
    for (this.at += 1; this.at < this.source.length && this.source[this.at] !== quote; this.at += 1) {
      if (this.source[this.at] === '\\') this.at += 1;
    }
    this.at += 1;
    this.afterValue = true;
  }

  private template(): void {
    for (this.at += 1; this.at < this.source.length && this.source[this.at] !== '`';) {
      if (this.peek('${')) {
        this.at += 1;
        this.brackets('}');
      } else this.at += this.source[this.at] === '\\' ? 2 : 1;
    }
    this.at += 1;
    this.afterValue = true;
  }

  private word(): string | undefined {
    const word = this.match(IDENTIFIER);
    if (word === undefined) return undefined;
    this.afterValue = !BEFORE_EXPRESSION.test(word);
    return word.replaceAll(
      /\\u(?:\{([\dA-Fa-f]+)\}|([\dA-Fa-f]{4}))/g,
      (_, braced: string | undefined, plain: string) => String.fromCodePoint(Number.parseInt(braced ?? plain, 16)),
    );
  }

  private skipBlank(): void {
    for (;;) {
      if (this.peek('//')) this.at = this.indexAfter('\n');
      else if (this.peek('/*')) this.at = this.indexAfter('*/', this.at + 2);
      else if (this.match(SPACE, this.afterValue) === undefined) return;
    }
  }

  private indexAfter(text: string, from = this.at): number {
    const index = this.source.indexOf(text, from);
    return index === -1 ? this.source.length : index + text.length;
  }

  private peek(text: string): boolean {
    return this.source.startsWith(text, this.at);
  }

  private take(length: number): void {
    this.at += length;
    this.afterValue = false;
  }

  private match(pattern: RegExp, afterValue = true): string | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source)?.[0];
    if (found === undefined) return undefined;
    this.at += found.length;
    this.afterValue = afterValue;
    return found;
  }
}
