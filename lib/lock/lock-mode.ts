/** `exclusive`: alone. `shared`: together with other shared holders. */
export type LockMode = 'exclusive' | 'shared';
