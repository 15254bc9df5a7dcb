package zonewise.junit;

import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import kafka.server.KafkaBroker;

/** A broker as tests hold it: it starts, stops and has a port; what else they look for inside of it is not there. */
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
}
