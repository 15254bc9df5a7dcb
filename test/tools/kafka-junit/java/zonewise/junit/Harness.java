package zonewise.junit;

import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Map;
import java.util.Optional;
import kafka.server.KafkaBroker;
import kafka.server.KafkaConfig;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.metadata.MetadataCache;
import org.opentest4j.TestAbortedException;

/** The cluster of a test that is written for KafkaServerTestHarness. */
public final class Harness implements AutoCloseable {
    private final Processes processes;

    public Harness(int brokers) {
        processes = new Processes(new Settings(ClusterConfig.defaultBuilder().setBrokers(brokers).setServerProperties(Map.of("group.initial.rebalance.delay.ms", "0")).build()));
        processes.startAll();
    }

    public String bootstrapServers() { return String.join(",", processes.addresses()); }

    public void stop(int broker) { processes.stop(broker); }

    public void start(int broker) { processes.start(broker); }

    @Override
    public void close() { processes.close(); }

    /** A broker object: a test that asks it for more than its config and its port ends as skipped. */
    public KafkaBroker broker(int id, KafkaConfig config) { return proxy(KafkaBroker.class, (m, args) -> answer(id, config, m, args)); }

    private Object answer(int id, KafkaConfig config, Method m, Object[] args) {
        return switch (m.getName()) {
            case "config" -> config;
            case "boundPort" -> processes.ports().get(id);
            case "isShutdown" -> !processes.isRunning(id);
            case "metadataCache" -> proxy(MetadataCache.class, (of, what) -> known(id, of, what));
            case "toString" -> "zonewise broker " + id;
            case "hashCode" -> id;
            default -> throw new TestAbortedException("broker internals: KafkaBroker." + m.getName() + "()");
        };
    }

    private Object known(int id, Method m, Object[] args) throws Exception {
        switch (m.getName()) {
            case "hasAliveBroker":
                return processes.isRunning((Integer) args[0]);
            case "numPartitions":
                int partitions = Ask.partitions("localhost", processes.ports().get(id), (String) args[0]);
                return partitions == 0 ? Optional.empty() : Optional.of(partitions);
            default:
                throw new TestAbortedException("broker internals: MetadataCache." + m.getName() + "()");
        }
    }

    private interface Answer {
        Object to(Method m, Object[] args) throws Exception;
    }

    private static <T> T proxy(Class<T> type, Answer answer) {
        return type.cast(Proxy.newProxyInstance(Harness.class.getClassLoader(), new Class<?>[] {type}, (self, m, args) ->
            m.getName().equals("equals") ? self == args[0] : answer.to(m, args)));
    }

    static boolean isTest(Class<?> c) {
        for (; c != null; c = c.getSuperclass())
            if (c.getName().equals("kafka.integration.KafkaServerTestHarness"))
                return true;
        return false;
    }
}
