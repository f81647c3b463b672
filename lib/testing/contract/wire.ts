import type { LockBackend, Session, Waiter } from '../../backends/backend.js';

const QUESTIONS = [
  'ping',
  'attempt',
  'attemptAll',
  'renew',
  'release',
  'downgrade',
  'takeOver',
  'inspect',
  'list',
  'forceRelease',
  'open',
  'attached',
  'end',
] as const;

/** The verbs of the port that go to the server, those of a session too. */
export type Question = (typeof QUESTIONS)[number];

/**
 * What lies between a process and the server. Tests put it in front of any backend to lose, hold back or see what passes;
 * without changes it passes everything on.
 */
export class Wire {
  /** Every question: send it, hold it back, lose it by throwing before, or lose its answer by throwing after `send`. */
  ask: (question: Question, send: () => Promise<unknown>) => Promise<unknown> = (_, send) => send();
  /** Every word that the server says unasked. */
  push: (deliver: () => void) => void = (deliver) => deliver();

  /** As if the process had been stopped: nothing gets out, nothing comes in, and no call ends. */
  freeze(): void {
    this.ask = () => new Promise(() => undefined);
    this.push = () => undefined;
  }

  heal(): void {
    this.ask = (_, send) => send();
    this.push = (deliver) => deliver();
  }

  /** The backend with this wire in between. */
  to<B extends LockBackend>(backend: B): B {
    const waiters = new WeakMap<Waiter, Waiter>();
    const behindWire = (waiter: Waiter): Waiter => {
      const known = waiters.get(waiter);
      if (known) return known;
      const wired: Waiter = {
        granted: (grant) => this.push(() => waiter.granted(grant)),
        look: () => this.push(() => waiter.look()),
      };
      waiters.set(waiter, wired);
      return wired;
    };
    const wired = <T extends object>(asked: T): T =>
      new Proxy(asked, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name, target);
          if (name === 'handOver' && member !== undefined) return wired(Object(member) as object);
          if (typeof member !== 'function') return member;
          // With something in between, the server is not inside the process that holds its locks.
          if (name === 'keepRenewed') return undefined;
          const call = (args: unknown[]): unknown => Reflect.apply(member, target, args);
          // The backend that an application gets has this wire in between as well.
          if (name === 'forApplication') return (...args: unknown[]) => this.to(call(args) as B);
          if (name === 'watch') {
            return (key: string, wake: () => void) => call([key, () => this.push(wake)]);
          }
          if (name === 'onLost') {
            return (listener: (owner: string) => void) => call([(owner: string) => this.push(() => listener(owner))]);
          }
          if (!isQuestion(name)) return (...args: unknown[]) => call(args);
          return async (...args: unknown[]) => {
            const passed = args.map((arg) => (isWaiter(arg) ? behindWire(arg) : arg));
            const answer = await this.ask(name, async () => call(passed));
            if (name === 'open') this.tap(answer as Session); // what `open` resolves to, unless the wire made something up
            return answer;
          };
        },
      });
    return wired(backend);
  }

  /** A session stays the object that its backend made, for backends know their sessions by identity. */
  private tap(session: Session): void {
    const renew = session.renew.bind(session);
    const end = session.end.bind(session);
    session.renew = async () => (await this.ask('renew', renew)) === true;
    session.end = async () => void (await this.ask('end', end));
    const attached = session.attached?.bind(session);
    if (attached)
      session.attached = async (held) =>
        (await this.ask('attached', () => attached(held))) as Awaited<ReturnType<typeof attached>>;
  }
}

function isQuestion(name: string | symbol): name is Question {
  return QUESTIONS.some((question) => question === name);
}

function isWaiter(value: unknown): value is Waiter {
  return typeof value === 'object' && value !== null && 'granted' in value && typeof value.granted === 'function';
}
