package zonewise.junit;

import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Optional;
import kafka.server.KafkaBroker;
import org.apache.kafka.metadata.MetadataCache;

/** A broker object of tests: it starts, stops and has a port; the internals of Kafka's broker are not available. */
final class Broker {
    private Broker() { }

    static KafkaBroker proxy(Cluster cluster, int id) {
        return (KafkaBroker) Proxy.newProxyInstance(Broker.class.getClassLoader(), new Class<?>[] {KafkaBroker.class},
            (self, method, args) -> answer(cluster, id, self, method, args));
    }

    private static Object answer(Cluster cluster, int id, Object self, Method m, Object[] args) throws Exception {
        switch (m.getName()) {
            case "shutdown":
                cluster.shutdownBroker(id);
                return null;
            case "startup":
                cluster.startBroker(id);
                return null;
            case "awaitShutdown": // shutdown has waited
                return null;
            case "isShutdown":
                return !cluster.processes().isRunning(id);
            case "boundPort":
                return cluster.processes().ports().get(id);
            case "metadataCache":
                return Proxy.newProxyInstance(Broker.class.getClassLoader(), new Class<?>[] {MetadataCache.class}, (cache, of, what) -> known(cluster, id, of, what));
            case "clusterId":
                return cluster.clusterId();
            case "toString":
                return "zonewise broker " + id;
            case "hashCode":
                return id;
            case "equals":
                return self == args[0];
            default:
                throw cluster.refuse("broker internals: KafkaBroker." + m.getName() + "()");
        }
    }

    /** A topic's state from the broker's own response, in place of the memory of Kafka's broker. */
    private static Object known(Cluster cluster, int id, Method m, Object[] args) throws Exception {
        if (!m.getName().equals("numPartitions"))
            throw cluster.refuse("broker internals: MetadataCache." + m.getName() + "()");
        int partitions = Ask.partitions("localhost", cluster.processes().ports().get(id), (String) args[0]);
        return partitions == 0 ? Optional.empty() : Optional.of(partitions);
    }
}
