import { type Answer, is } from './client/index.js';
import * as requests from './client/requests.js';
import { nameOf, textOf } from './names.js';

type Ask = <T>(request: requests.Request<T>) => Promise<Answer<T>>;

/** The nodes that lines are below: one for each key, which the server removes some time after its last child. */
export class Folders {
  constructor(
    /** As servers know it, without a slash at its end. */
    private readonly root: string,
    private readonly access: requests.Access,
  ) {}

  of(key: string): string {
    return `${this.root}/${nameOf(key)}`;
  }

  /** The key of a node below the root, and what that node is called in its line. */
  split(path: string): { readonly key: string; readonly name: string } | undefined {
    if (!path.startsWith(`${this.root}/`)) return undefined;
    const [folder, name, ...deeper] = path.slice(this.root.length + 1).split('/');
    return folder && name !== undefined && deeper.length === 0 ? { key: textOf(folder), name } : undefined;
  }

  async make(folder: string, ask: Ask): Promise<void> {
    const container = requests.create(folder, 'container', this.access);
    try {
      await ask(container);
    } catch (error) {
      if (!is(error, 'NoNode')) return unlessThere(error);
      await this.ensureRoot(ask);
      await ask(container).catch(unlessThere);
    }
  }

  /** Reads the root, or makes it and whatever is above it. */
  async ensureRoot(ask: Ask): Promise<void> {
    try {
      await ask(requests.get(this.root || '/'));
    } catch (error) {
      if (!is(error, 'NoNode')) throw error;
      const parts = this.root.split('/').slice(1);
      for (const [index] of parts.entries()) {
        const path = `/${parts.slice(0, index + 1).join('/')}`;
        await ask(requests.exists(path)).catch(async (error: unknown) => {
          if (!is(error, 'NoNode')) throw error;
          await ask(requests.create(path, 'persistent', this.access)).catch(unlessThere);
        });
      }
    }
  }
}

function unlessThere(error: unknown): void {
  if (!is(error, 'NodeExists')) throw error;
}
