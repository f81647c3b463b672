import { existsSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { dataFolder } from './data-folder.js';

/** The wall clock of a process, which a test sets while the monotonic one goes on: `libfaketime`, which Debian has for each machine. */
export class WallClock implements Disposable {
  readonly #folder = dataFolder('wall-clock');
  readonly #file = join(this.#folder, 'ahead');

  constructor() {
    this.set('+0');
  }

  /** What the process needs in its environment from its start. */
  get env(): Readonly<Record<string, string>> {
    // In a folder that is named after the machine.
    const library = readdirSync('/usr/lib')
      .map((machine) => join('/usr/lib', machine, 'faketime', 'libfaketime.so.1'))
      .find((file) => existsSync(file));
    if (library === undefined) throw new Error('libfaketime is not installed: `apt-get install faketime`.');
    return {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: this.#file,
      FAKETIME_NO_CACHE: '1',
      DONT_FAKE_MONOTONIC: '1',
    };
  }

  /** @param ahead seconds before the machine's clock, such as `+60`, and how fast it goes, such as `+0 x1.0005` */
  set(ahead: string): void {
    // Moved, so that the process never reads half of it.
    writeFileSync(`${this.#file}.next`, ahead);
    renameSync(`${this.#file}.next`, this.#file);
  }

  [Symbol.dispose](): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
