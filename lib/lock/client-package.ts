import { LockConfigurationError } from './errors.js';

/**
 * Loads a client library, which is installed only where its backend is used.
 *
 * @param needed whose library it is, such as `redis({ url })`
 * @throws LockConfigurationError when it is not installed
 */
export async function clientPackage<T>(name: string, needed: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    if (!isModuleMissing(error) || !String(error).includes(`'${name}'`)) throw error;
    throw new LockConfigurationError(
      `\`${needed}\` needs the package \`${name}\`, which is not installed. Run \`npm install ${name}\`, or hand in a client that you have.`,
      { cause: error },
    );
  }
}

/** Whether a module was not there to load. Node's words for that differ between `import` and `require`. */
export function isModuleMissing(error: unknown): boolean {
  const code: unknown = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND';
}
