package zonewise.junit;

import java.io.File;
import java.io.IOException;
import java.net.HttpURLConnection;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.IntStream;
import java.util.stream.Stream;

/**
 * The processes of one cluster: an etcd member, and brokers with a folder as bucket. Each cluster
 * has a loopback address of its own; Kafka's listeners use free ports of localhost, because some
 * tests identify a broker by its port there.
 */
final class Processes implements AutoCloseable {
    private static final int ETCD = 2379, PEER = 8192, HTTP = 8080, APART = 10, FIRST_PORT = 10_000, LAST_PORT = 30_000;
    private static final String LOCAL = "127.0.0.1";
    private static final long PATIENCE_MS = 60_000;
    private static final AtomicInteger COUNT = new AtomicInteger();
    private static final AtomicInteger NEXT_PORT = new AtomicInteger(FIRST_PORT + new Random().nextInt(LAST_PORT - FIRST_PORT) / APART * APART);
    // Processes die with the thread that started them: this one lives as long as the JVM.
    private static final ExecutorService STARTER = Executors.newSingleThreadExecutor(task -> {
        Thread t = new Thread(task, "starter of processes");
        t.setDaemon(true);
        return t;
    });

    private final Settings settings;
    private final String host;
    private final Path folder;
    private final Map<Integer, Process> brokers = new TreeMap<>();
    private final List<Integer> ports = new ArrayList<>();
    private Process etcd;

    Processes(Settings settings) {
        this.settings = settings;
        int n = COUNT.incrementAndGet();
        this.host = System.getProperty("zonewise.addresses") + "." + n / 250 + "." + (n % 250 + 1);
        this.folder = Path.of(System.getProperty("zonewise.folder"), "cluster-" + n);
        for (int id = 0; id < settings.brokers(); id++)
            ports.add(freePorts());
    }

    /** A port of localhost followed by APART - 1 others, all of them free. */
    private static int freePorts() {
        for (int tries = 0; tries < 1000; tries++) {
            int port = NEXT_PORT.getAndAdd(APART);
            if (port > LAST_PORT)
                NEXT_PORT.set(FIRST_PORT);
            else if (IntStream.range(port, port + APART).allMatch(Processes::isFree))
                return port;
        }
        throw new IllegalStateException("no free ports from " + FIRST_PORT + " to " + LAST_PORT);
    }

    private static boolean isFree(int port) {
        try (ServerSocket s = new ServerSocket()) {
            s.bind(new InetSocketAddress(LOCAL, port));
            return true;
        } catch (IOException e) {
            return false;
        }
    }

    void startAll() {
        try {
            Files.createDirectories(folder);
            String url = "http://" + host + ":" + ETCD;
            etcd = launch("etcd", List.of("etcd", "--name", settings.zone(0), "--data-dir", folder.resolve("etcd").toString(), "--client-url", url, "--log-level", "warn"));
            await("etcd", etcd, () -> {
                try (Socket s = new Socket()) {
                    s.connect(new InetSocketAddress(host, ETCD), 1000);
                    return true;
                }
            });
        } catch (IOException e) {
            throw new IllegalStateException("start a cluster in " + folder, e);
        }
        for (int id = 0; id < settings.brokers(); id++)
            start(id); // one after the other: zones are numbered in the order in which they appear
    }

    synchronized void start(int id) {
        if (isRunning(id))
            return;
        List<String> args = new ArrayList<>(List.of("broker", "--zone", settings.zone(id), "--broker-id", "" + id,
            "--etcd", settings.zone(0) + "=http://" + host + ":" + ETCD, "--bucket", folder.resolve("bucket").toString(),
            "--listen", LOCAL + ":" + ports.get(id), "--advertise", "localhost", "--peer", host + ":" + (PEER + APART * id), "--http", host + ":" + (HTTP + APART * id)));
        args.addAll(settings.flags(id));
        Process p = launch("broker-" + id, args);
        brokers.put(id, p);
        await("broker " + id, p, () -> {
            HttpURLConnection c = (HttpURLConnection) URI.create("http://" + host + ":" + (HTTP + APART * id) + "/readyz").toURL().openConnection();
            c.setConnectTimeout(1000);
            c.setReadTimeout(1000);
            return c.getResponseCode() == 200;
        });
    }

    synchronized void stop(int id) {
        Process p = brokers.remove(id);
        if (p != null)
            end(p);
    }

    synchronized boolean isRunning(int id) { return brokers.containsKey(id) && brokers.get(id).isAlive(); }

    synchronized int running() { return brokers.size(); }

    /** A topic's partitions as reported by each running broker. */
    synchronized List<Integer> partitions(String topic) throws IOException {
        List<Integer> all = new ArrayList<>();
        for (int id : brokers.keySet())
            all.add(Ask.partitions(LOCAL, ports.get(id), topic));
        return all;
    }

    List<String> addresses() {
        return ports.stream().map(port -> "localhost:" + port).toList();
    }

    List<Integer> ports() { return ports; }

    /** Kills all processes: a test's cluster ends with the test. Logs stay. */
    @Override
    public synchronized void close() {
        brokers.values().forEach(Process::destroyForcibly);
        brokers.values().forEach(p -> p.onExit().join());
        brokers.clear();
        if (etcd != null)
            etcd.destroyForcibly().onExit().join();
        for (String data : List.of("etcd", "bucket")) {
            try (Stream<Path> all = Files.walk(folder.resolve(data))) {
                all.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
            } catch (IOException e) {
                // it was never created, or remains until the suite's folder is removed
            }
        }
    }

    private Process launch(String name, List<String> args) {
        List<String> command = new ArrayList<>(List.of("setpriv", "--pdeathsig", "KILL", System.getProperty("zonewise.program")));
        command.addAll(args);
        File log = folder.resolve(name + ".log").toFile();
        ProcessBuilder b = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(ProcessBuilder.Redirect.appendTo(log));
        b.environment().keySet().removeIf(key -> key.startsWith("ZONEWISE_")); // settings of the user
        try {
            return STARTER.submit(() -> b.start()).get();
        } catch (Exception e) {
            throw new IllegalStateException("start " + String.join(" ", command), e);
        }
    }

    private static void end(Process p) {
        p.destroy();
        try {
            if (!p.waitFor(PATIENCE_MS, TimeUnit.MILLISECONDS))
                throw new IllegalStateException("a broker still runs a minute after SIGTERM");
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        } finally {
            p.destroyForcibly();
        }
    }

    /** The last line that any process has logged. */
    private String lastLine() {
        String last = "no log";
        for (File f : folder.toFile().listFiles((dir, name) -> name.endsWith(".log"))) {
            try {
                List<String> lines = Files.readAllLines(f.toPath());
                if (!lines.isEmpty())
                    last = f.getName() + ": " + lines.get(lines.size() - 1);
            } catch (IOException e) {
                last = e.toString();
            }
        }
        return last;
    }

    private void await(String what, Process p, Callable<Boolean> ready) {
        long until = System.currentTimeMillis() + PATIENCE_MS;
        while (true) {
            try {
                if (ready.call())
                    return;
                Thread.sleep(10);
            } catch (IOException e) {
                // not yet
            } catch (Exception e) {
                throw new IllegalStateException("wait for " + what, e);
            }
            if (!p.isAlive() || System.currentTimeMillis() > until)
                throw new IllegalStateException(what + " is not ready: " + lastLine());
        }
    }
}
