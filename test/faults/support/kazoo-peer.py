"""A program with kazoo's locks, told by a test what to do: one order a line, one answer a line."""
import sys
from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout

client = KazooClient(hosts=sys.argv[1])
client.start()
locks = {}
print("ready", flush=True)
for line in sys.stdin:
    order, kind, path = line.split()
    lock = locks.setdefault((kind, path), getattr(client, kind)(path, "peer"))
    try:
        if order == "acquire":
            answer = lock.acquire(timeout=20)
        elif order == "try":
            answer = lock.acquire(blocking=False)
        else:
            answer = lock.release()
        print(str(bool(answer)).lower(), flush=True)
    except LockTimeout:
        print("timeout", flush=True)
    except Exception as error:
        print("error %r" % error, flush=True)
