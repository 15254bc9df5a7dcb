package zonewise.junit;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.Callable;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.GroupProtocol;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.Type;
import org.opentest4j.TestAbortedException;

/**
 * ClusterInstance on zonewise. The public methods implement those of ClusterInstance with the same
 * name and parameters; its other methods work if Kafka gives them a default body, and otherwise
 * end the test as skipped.
 */
public final class Cluster implements InvocationHandler {
    private static final Duration PATIENCE = Duration.ofSeconds(30);

    private final ClusterConfig config;
    private final ClusterInstance instance;
    private final Settings settings;
    private Processes processes;
    private volatile String refused;
    private boolean stopped;

    Cluster(ClusterConfig config) {
        this.config = config;
        this.settings = new Settings(config);
        this.instance = (ClusterInstance) Proxy.newProxyInstance(Cluster.class.getClassLoader(), new Class<?>[] {ClusterInstance.class}, this);
    }

    ClusterInstance instance() { return instance; }

    /** The reason why the test cannot run here, or null. */
    String refused() { return refused; }

    TestAbortedException refuse(String reason) {
        if (refused == null)
            refused = reason;
        return new TestAbortedException(reason);
    }

    /** Ends the test if zonewise cannot provide the cluster that it needs. */
    void check() {
        String reason = settings.problem();
        if (reason != null)
            throw refuse(reason);
    }

    @Override
    public Object invoke(Object proxy, Method m, Object[] args) throws Throwable {
        Method own;
        try {
            own = (m.getDeclaringClass() == Object.class ? Object.class : Cluster.class).getMethod(m.getName(), m.getParameterTypes());
        } catch (NoSuchMethodException e) {
            if (m.isDefault())
                return InvocationHandler.invokeDefault(proxy, m, args);
            throw refuse("broker internals: " + m.getName() + "()");
        }
        try {
            return own.getDeclaringClass() == Object.class && m.getName().equals("equals") ? proxy == args[0] : own.invoke(this, args);
        } catch (InvocationTargetException e) {
            throw e.getCause();
        }
    }

    public ClusterConfig config() { return config; }

    public Type type() { return Type.KRAFT; }

    public ListenerName clientListener() { return config.brokerListenerName(); }

    public synchronized void start() {
        check();
        if (processes != null)
            return;
        processes = new Processes(settings);
        processes.startAll();
        settings.applyTo(instance);
    }

    public synchronized void stop() {
        stopped = true;
        if (processes != null)
            processes.close();
    }

    public boolean started() { return processes != null; }

    public boolean stopped() { return stopped; }

    public void startBroker(int id) { processes().start(id); }

    public void shutdownBroker(int id) { processes().stop(id); }

    Processes processes() {
        if (processes == null)
            throw new IllegalStateException("the cluster has not been started");
        return processes;
    }

    public String bootstrapServers() { return String.join(",", processes().addresses()); }

    public Map<Integer, ?> brokers() {
        Map<Integer, Object> all = new TreeMap<>();
        for (int id = 0; id < config.numBrokers(); id++)
            all.put(id, Broker.proxy(this, id));
        return all;
    }

    public Set<Integer> brokerIds() { return new TreeSet<>(brokers().keySet()); }

    public List<Integer> brokerBoundPorts() { return processes().ports(); }

    public String clusterId() throws Exception { return ask(admin -> admin.describeCluster().clusterId().get()); }

    public Set<GroupProtocol> supportedGroupProtocols() { return Set.of(GroupProtocol.CLASSIC, GroupProtocol.CONSUMER); }

    public Optional<?> firstFatalException() { return Optional.empty(); }

    public Optional<?> firstNonFatalException() { return Optional.empty(); }

    public void waitForReadyBrokers() throws Exception {
        await("brokers ready", () -> ask(admin -> admin.describeCluster().nodes().get().size()) >= processes().running());
    }

    /** Of Kafka 4.1; no partitions: until the topic is gone. */
    public void waitForTopic(String topic, int partitions) throws Exception {
        await(topic + " with " + partitions + " partitions at every broker", () -> processes().partitions(topic).stream().allMatch(n -> n == partitions));
    }

    public void waitTopicCreation(String topic, int partitions) throws Exception { waitForTopic(topic, partitions); }

    public void waitTopicDeletion(String topic) throws Exception { waitForTopic(topic, 0); }

    /** Every broker serves the same log, and reads its end before every negative response. */
    public void ensureConsistentMetadata() { }

    private interface Question<T> {
        T of(Admin admin) throws Exception;
    }

    private <T> T ask(Question<T> question) throws Exception {
        try (Admin admin = instance.admin()) {
            return question.of(admin);
        }
    }

    private static void await(String what, Callable<Boolean> met) throws Exception {
        for (long until = System.nanoTime() + PATIENCE.toNanos(); !met.call(); Thread.sleep(50))
            if (System.nanoTime() > until)
                throw new AssertionError("waited " + PATIENCE + " for " + what);
    }
}
