import { EventEmitter } from 'node:events';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ClusterInbox } from '../../lib/backends/redis/cluster-inbox.js';
import type { ClusterMap } from '../../lib/backends/redis/cluster-map.js';
import type { Listener } from '../../lib/backends/redis/link.js';

/** A cluster of one master, whose connections a test brings to stand or to fall. */
function oneMaster({ subscribed }: { readonly subscribed: () => Promise<unknown> }) {
  const connections: EventEmitter[] = [];
  const duplicate = (): EventEmitter => {
    const connection = Object.assign(new EventEmitter(), {
      connect: async () => undefined,
      disconnect: () => undefined,
      ssubscribe: subscribed,
    });
    connections.push(connection);
    return connection;
  };
  const map = {
    cluster: new EventEmitter(),
    credentials: {},
    masterOf: () => 'a:1',
    node: () => ({ name: 'a:1', connection: { duplicate } }),
    refresh: async () => undefined,
  };
  const inbox = new ClusterInbox(map as unknown as ClusterMap);
  onTestFinished(() => inbox.close());
  const down = vi.fn<Listener['down']>();
  const nothing = (): void => undefined;
  const listener: Listener = { message: nothing, up: nothing, silent: nothing, down, used: () => false };
  inbox.listen('lock:inbox', listener);
  return { connections, down };
}

const never = (): Promise<never> => new Promise(() => undefined);

describe('An inbox in a cluster that cannot subscribe says why', () => {
  it.each([
    ['NOPERM No permissions to access a channel'],
    ['LOADING Redis is loading the dataset in memory'],
    ["ERR Can't execute 'ssubscribe' now"],
  ])('the server refused the subscription: %s', async (message) => {
    const { connections, down } = oneMaster({ subscribed: () => Promise.reject(new Error(message)) });
    connections[0]?.emit('ready');
    await vi.waitFor(() => expect(down).toHaveBeenCalled());
    expect(down.mock.calls[0]).toEqual([expect.objectContaining({ message })]);
  });

  it('the server refused the login', () => {
    const { connections, down } = oneMaster({ subscribed: never });
    connections[0]?.emit('connect');
    const refusal = new Error('WRONGPASS invalid username-password pair or user is disabled.');
    connections[0]?.emit('error', refusal);
    expect(down).toHaveBeenCalledExactlyOnceWith(refusal);
  });

  it('the server hung up before anything was asked, as it does beyond its `maxclients`', () => {
    const { connections, down } = oneMaster({ subscribed: never });
    connections[0]?.emit('connect');
    connections[0]?.emit('end');
    expect(down).toHaveBeenCalledExactlyOnceWith(
      expect.objectContaining({ message: expect.stringContaining('maxclients') }),
    );
  });

  it('but a connection that broke is only looked for anew, for the slot may have moved', () => {
    const { connections, down } = oneMaster({ subscribed: never });
    connections[0]?.emit('connect');
    connections[0]?.emit('ready');
    connections[0]?.emit('error', Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    expect(down).toHaveBeenCalledExactlyOnceWith(undefined);
  });
});
