/** Something that a test opens and others wait for. */
export class Gate {
  readonly #opened = withResolvers();
  open = (): void => this.#opened.resolve();
  get passed(): Promise<void> {
    return this.#opened.promise;
  }
}

/** Node 20 has no `Promise.withResolvers`. */
function withResolvers() {
  let resolve!: () => void;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
