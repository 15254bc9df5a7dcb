package kafka.integration;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import kafka.server.BrokerServer;
import kafka.server.KafkaBroker;
import kafka.server.KafkaConfig;
import kafka.server.QuorumTestHarness;
import kafka.utils.TestInfoUtils;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.GroupProtocol;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.utils.Time;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.TestInfo;
import scala.Option;
import scala.collection.Seq;
import scala.collection.mutable.ArrayBuffer;
import scala.collection.mutable.Buffer;
import scala.jdk.javaapi.CollectionConverters;
import zonewise.junit.Harness;

/**
 * Stands before Kafka's class of this name on the class path: tests of the core module that are
 */
public abstract class KafkaServerTestHarness extends QuorumTestHarness {
    private static final long PATIENCE_MS = 30_000;
    private static final StackWalker WALKER = StackWalker.getInstance();

    private final Buffer<KafkaBroker> brokers = new ArrayBuffer<>();
    private Seq<KafkaConfig> configs;
    private TestInfo info;
    private Harness cluster;

    public abstract Seq<KafkaConfig> generateConfigs();

    public Seq<KafkaConfig> configs() {
        if (configs == null)
            configs = generateConfigs();
        return configs;
    }

    @Override
    @BeforeEach
    public void setUp(TestInfo info) {
        this.info = info;
        cluster = new Harness(configs().size());
        for (int id = 0; id < configs().size(); id++)
            brokers.append(cluster.broker(id, configs().apply(id)));
    }

    @Override
    @AfterEach
    public void tearDown() {
        if (cluster != null)
            cluster.close();
    }

    @Override
    public Option<GroupProtocol> maybeGroupProtocolSpecified() { return TestInfoUtils.maybeGroupProtocolSpecified(info); }

    @Override
    public GroupProtocol groupProtocolFromTestParameters() { return maybeGroupProtocolSpecified().get(); }

    /** None for BaseAdminIntegrationTest, which waits for what Kafka's have in memory: a zonewise that is ready has it. */
    public Buffer<KafkaBroker> brokers() {
        boolean waits = WALKER.walk(frames -> frames.skip(1).findFirst()).filter(f -> f.getClassName().equals("kafka.api.BaseAdminIntegrationTest")).isPresent();
        return waits ? new ArrayBuffer<>() : brokers;
    }

    public Seq<KafkaBroker> aliveBrokers() { return brokers; }

    @SuppressWarnings({"unchecked", "rawtypes"})
    public Buffer<BrokerServer> brokerServers() { return (Buffer) brokers; }

    public SecurityProtocol securityProtocol() { return SecurityProtocol.PLAINTEXT; }

    public ListenerName listenerName() { return ListenerName.forSecurityProtocol(securityProtocol()); }

    public Option<java.io.File> trustStoreFile() { return Option.empty(); }

    public Option<Properties> serverSaslProperties() { return Option.empty(); }

    public Option<Properties> clientSaslProperties() { return Option.empty(); }

    public Time brokerTime(int id) { return Time.SYSTEM; }

    public void configureSecurityBeforeServersStart(TestInfo info) { }

    public void configureSecurityAfterServersStart() { }

    public String bootstrapServers(ListenerName listener) { return cluster.bootstrapServers(); }

    public ListenerName bootstrapServers$default$1() { return listenerName(); }

    /** Positions are in the log, in no topic. */
    public void createOffsetsTopic(ListenerName listener, Properties admin) { }

    public ListenerName createOffsetsTopic$default$1() { return listenerName(); }

    public Properties createOffsetsTopic$default$2() { return new Properties(); }

    public void ensureConsistentKRaftMetadata() { }

    public void killBroker(int id) { cluster.stop(id); }

    public void killBroker(int id, Duration timeout) { cluster.stop(id); }

    public void startBroker(int id) { cluster.start(id); }

    public void restartDeadBrokers(boolean reconfigure) {
        for (int id = 0; id < configs().size(); id++)
            cluster.start(id);
    }

    public boolean restartDeadBrokers$default$1() { return false; }

    public int createTopic$default$2() { return 1; }

    public int createTopic$default$3() { return 1; }

    public Properties createTopic$default$4() { return new Properties(); }

    public ListenerName createTopic$default$5() { return listenerName(); }

    public Properties createTopic$default$6() { return new Properties(); }

    /** Returns the leader of each partition. */
    public scala.collection.immutable.Map<Object, Object> createTopic(String topic, int partitions, int replicas, Properties settings, ListenerName listener, Properties client) {
        NewTopic wish = new NewTopic(topic, partitions, (short) replicas);
        Map<String, String> own = new HashMap<>();
        settings.stringPropertyNames().forEach(name -> own.put(name, settings.getProperty(name)));
        return create(wish.configs(own));
    }

    public ListenerName createTopicWithAssignment$default$3() { return listenerName(); }

    public scala.collection.immutable.Map<Object, Object> createTopicWithAssignment(String topic, scala.collection.Map<Object, Seq<Object>> assignment, ListenerName listener) {
        Map<Integer, List<Integer>> all = new HashMap<>();
        CollectionConverters.asJava(assignment).forEach((partition, replicas) -> {
            List<Integer> ids = new ArrayList<>();
            CollectionConverters.asJava(replicas).forEach(id -> ids.add((Integer) id));
            all.put((Integer) partition, ids);
        });
        return create(new NewTopic(topic, all));
    }

    private scala.collection.immutable.Map<Object, Object> create(NewTopic wish) {
        try (Admin admin = admin()) {
            admin.createTopics(List.of(wish)).all().get();
            for (long until = System.currentTimeMillis() + PATIENCE_MS; ; Thread.sleep(50)) {
                try {
                    scala.collection.mutable.Map<Object, Object> leaders = new scala.collection.mutable.HashMap<>();
                    admin.describeTopics(List.of(wish.name())).allTopicNames().get().get(wish.name()).partitions().forEach(p ->
                        Optional.ofNullable(p.leader()).ifPresent(leader -> leaders.put(p.partition(), leader.id())));
                    return scala.collection.immutable.Map$.MODULE$.from(leaders);
                } catch (java.util.concurrent.ExecutionException e) {
                    if (!(e.getCause() instanceof UnknownTopicOrPartitionException) || System.currentTimeMillis() > until)
                        throw e;
                }
            }
        } catch (Exception e) {
            throw new IllegalStateException("create topic " + wish.name(), e);
        }
    }

    public ListenerName deleteTopic$default$2() { return listenerName(); }

    public void deleteTopic(String topic, ListenerName listener) {
        try (Admin admin = admin()) {
            admin.deleteTopics(List.of(topic)).all().get();
        } catch (Exception e) {
            throw new IllegalStateException("delete topic " + topic, e);
        }
    }

    public scala.collection.immutable.Map<String, Uuid> getTopicIds() {
        scala.collection.mutable.Map<String, Uuid> ids = new scala.collection.mutable.HashMap<>();
        try (Admin admin = admin()) {
            admin.listTopics().listings().get().forEach(t -> ids.put(t.name(), t.topicId()));
        } catch (Exception e) {
            throw new IllegalStateException("list topics", e);
        }
        return scala.collection.immutable.Map$.MODULE$.from(ids);
    }

    private Admin admin() { return Admin.create(Map.of("bootstrap.servers", cluster.bootstrapServers())); }
}
