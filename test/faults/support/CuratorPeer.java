import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.retry.RetryOneTime;

/** A program with Curator's locks, told by a test what to do: one order a line, one answer a line. */
class CuratorPeer {
  public static void main(String[] args) throws Exception {
    CuratorFramework client = CuratorFrameworkFactory.newClient(args[0], new RetryOneTime(100));
    client.start();
    client.blockUntilConnected();
    Map<String, InterProcessLock> locks = new HashMap<>();
    BufferedReader orders = new BufferedReader(new InputStreamReader(System.in));
    System.out.println("ready");
    for (String line; (line = orders.readLine()) != null; ) {
      String[] order = line.split(" ");
      InterProcessLock lock = locks.computeIfAbsent(order[1] + order[2], key -> make(client, order[1], order[2]));
      try {
        if (order[0].equals("release")) lock.release();
        System.out.println(
            order[0].equals("release")
                || lock.acquire(order[0].equals("try") ? 100 : 20_000, TimeUnit.MILLISECONDS));
      } catch (Exception error) {
        System.out.println("error " + error);
      }
    }
  }

  static InterProcessLock make(CuratorFramework client, String kind, String path) {
    switch (kind) {
      case "Mutex":
        return new InterProcessMutex(client, path);
      case "ReadLock":
        return new InterProcessReadWriteLock(client, path).readLock();
      case "WriteLock":
        return new InterProcessReadWriteLock(client, path).writeLock();
      default:
        return new InterProcessSemaphoreMutex(client, path);
    }
  }
}
