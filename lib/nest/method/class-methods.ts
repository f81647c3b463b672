export type Method = (this: unknown, ...args: unknown[]) => unknown;

/** From the class itself up to the last before `Object`. */
export function prototypesOf(prototype: object): readonly object[] {
  const chain: object[] = [];
  for (
    let each: object | null = prototype;
    each !== null && each !== Object.prototype;
    each = Object.getPrototypeOf(each)
  ) {
    chain.push(each);
  }
  return chain;
}

/** A method as a class body declares it. */
export interface DeclaredMethod {
  readonly declaring: object;
  readonly property: string | symbol;
  readonly method: Method;
}

/** The methods that a call would meet, each once; getters are not run. */
export function methodsOf(prototype: object): readonly DeclaredMethod[] {
  const found = new Map<string | symbol, DeclaredMethod | undefined>();
  for (const declaring of prototypesOf(prototype)) {
    for (const property of Reflect.ownKeys(declaring)) {
      if (property === 'constructor' || found.has(property)) continue;
      const value: unknown = Object.getOwnPropertyDescriptor(declaring, property)?.value;
      // A function in a class body.
      found.set(property, typeof value === 'function' ? { declaring, property, method: value as Method } : undefined);
    }
  }
  return [...found.values()].filter((each) => each !== undefined);
}
