import org.apache.kafka.clients.ApiVersions;
import org.apache.kafka.clients.ClientUtils;
import org.apache.kafka.clients.GroupRebalanceConfig;
import org.apache.kafka.clients.Metadata;
import org.apache.kafka.clients.MetadataRecoveryStrategy;
import org.apache.kafka.clients.NetworkClient;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.internals.AbstractCoordinator;
import org.apache.kafka.clients.consumer.internals.ConsumerNetworkClient;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.internals.ClusterResourceListeners;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocol;
import org.apache.kafka.common.message.JoinGroupRequestData.JoinGroupRequestProtocolCollection;
import org.apache.kafka.common.message.JoinGroupResponseData.JoinGroupResponseMember;
import org.apache.kafka.common.metrics.Metrics;
import org.apache.kafka.common.network.Selector;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.LogContext;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.common.utils.Timer;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ExecutionException;

/**
 * An instance of a registry that stores its data like Schema Registry: a compacted topic of one partition that only the
 * leader writes and all read from the start; the leader is elected by the group protocol with a protocol type of its own.
 * Commands on standard input: "put KEY VALUE", "get KEY".
 */
public final class SchemaRegistry {
    private static final String PROTOCOL_TYPE = "sr";
    private static final int SESSION_MS = 6000;

    private final Properties common = new Properties();
    private final String name;
    private final String topic;
    private final Map<String, String> store = new ConcurrentHashMap<>();
    private long reached = -1; // offset that the reader has stored; guarded by store
    private volatile String leader = "";

    private SchemaRegistry(Map<String, String> flags) {
        name = flags.get("--client-id");
        topic = flags.get("--topic");
        common.put("bootstrap.servers", flags.get("--bootstrap"));
        common.put("client.id", name);
    }

    public static void main(String[] args) throws Exception {
        Map<String, String> flags = new HashMap<>();
        for (int i = 0; i + 1 < args.length; i += 2) {
            flags.put(args[i], args[i + 1]);
        }
        new SchemaRegistry(flags).run();
        System.exit(0);
    }

    private void run() throws Exception {
        prepare();
        thread(this::read);
        thread(this::elect);
        Properties p = new Properties();
        p.putAll(common);
        p.put("acks", "all");
        p.put("enable.idempotence", "false");
        p.put("max.in.flight.requests.per.connection", "1");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
            for (String text = in.readLine(); text != null; text = in.readLine()) {
                String[] words = text.split(" ");
                if (words[0].equals("get")) {
                    emit("got", words[1], store.getOrDefault(words[1], ""));
                } else if (!leader.equals(name)) {
                    emit("not-leader", words[1], leader);
                } else {
                    long offset = producer.send(new ProducerRecord<>(topic, 0, words[1], words[2])).get().offset();
                    awaitOwnWrite(offset);
                    emit("put", words[1], store.get(words[1]));
                }
            }
        }
    }

    /** The topic exists, has one partition and is compacted; the first instance creates it. */
    private void prepare() throws Exception {
        try (Admin admin = Admin.create(common)) {
            try {
                admin.createTopics(List.of(new NewTopic(topic, Optional.of(1), Optional.empty()).configs(Map.of("cleanup.policy", "compact")))).all().get();
            } catch (ExecutionException e) {
                if (!(e.getCause() instanceof TopicExistsException)) {
                    throw e;
                }
            }
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            String policy = admin.describeConfigs(List.of(resource)).all().get().get(resource).get("cleanup.policy").value();
            int partitions = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic).partitions().size();
            if (!policy.equals("compact") || partitions != 1) {
                throw new IllegalStateException(topic + ": cleanup.policy " + policy + ", " + partitions + " partitions");
            }
        }
    }

    private void read() {
        Properties p = new Properties();
        p.putAll(common);
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            TopicPartition only = new TopicPartition(topic, 0);
            consumer.assign(List.of(only));
            consumer.seekToBeginning(List.of(only));
            while (true) {
                consumer.poll(Duration.ofMillis(200)).forEach(r -> {
                    store.put(r.key(), r.value());
                    synchronized (store) {
                        reached = r.offset();
                        store.notifyAll();
                    }
                });
            }
        }
    }

    private void awaitOwnWrite(long offset) throws InterruptedException {
        synchronized (store) {
            long limit = System.currentTimeMillis() + 30_000;
            while (reached < offset) {
                if (System.currentTimeMillis() > limit) {
                    throw new IllegalStateException("the reader is at " + reached + ", the write at " + offset);
                }
                store.wait(100);
            }
        }
    }

    private void elect() {
        Time time = Time.SYSTEM;
        LogContext log = new LogContext();
        Metrics metrics = new Metrics();
        ConsumerConfig config = new ConsumerConfig(consumerSettings());
        Metadata metadata = new Metadata(100, 1000, 60_000, log, new ClusterResourceListeners());
        metadata.bootstrap(ClientUtils.parseAndValidateAddresses(config));
        Selector selector = new Selector(540_000, metrics, time, "registry", ClientUtils.createChannelBuilder(config, time, log), log);
        NetworkClient net = new NetworkClient(selector, metadata, name, 100, 50, 1000, 65536, 65536, 30_000, 10_000, 30_000, time, true,
            new ApiVersions(), log, MetadataRecoveryStrategy.NONE);
        ConsumerNetworkClient client = new ConsumerNetworkClient(log, net, metadata, time, 100, 30_000, Integer.MAX_VALUE);
        GroupRebalanceConfig group = new GroupRebalanceConfig(SESSION_MS, 300_000, 2000, "schema-registry", Optional.empty(), null, 100, 1000, true);
        Elector elector = new Elector(group, log, client, metrics, time);
        while (true) {
            elector.turn();
        }
    }

    private Map<String, Object> consumerSettings() {
        Map<String, Object> settings = new HashMap<>();
        common.forEach((k, v) -> settings.put((String) k, v));
        settings.put("key.deserializer", StringDeserializer.class);
        settings.put("value.deserializer", StringDeserializer.class);
        return settings;
    }

    private final class Elector extends AbstractCoordinator {
        Elector(GroupRebalanceConfig group, LogContext log, ConsumerNetworkClient client, Metrics metrics, Time time) {
            super(group, log, client, metrics, "registry", time);
        }

        void turn() {
            ensureCoordinatorReady(time.timer(Duration.ofSeconds(10)));
            ensureActiveGroup();
            pollHeartbeat(time.milliseconds());
            client.poll(time.timer(200));
        }

        @Override
        protected String protocolType() {
            return PROTOCOL_TYPE;
        }

        @Override
        protected JoinGroupRequestProtocolCollection metadata() {
            return new JoinGroupRequestProtocolCollection(List.of(
                new JoinGroupRequestProtocol().setName("v0").setMetadata(name.getBytes(StandardCharsets.UTF_8))).iterator());
        }

        @Override
        protected boolean onJoinPrepare(Timer timer, int generation, String memberId) {
            return true;
        }

        @Override
        protected Map<String, ByteBuffer> onLeaderElected(String id, String protocol, List<JoinGroupResponseMember> members, boolean skip) {
            TreeMap<String, String> byName = new TreeMap<>();
            members.forEach(m -> byName.put(new String(m.metadata(), StandardCharsets.UTF_8), m.memberId()));
            Map<String, ByteBuffer> told = new HashMap<>();
            members.forEach(m -> told.put(m.memberId(), ByteBuffer.wrap(byName.firstKey().getBytes(StandardCharsets.UTF_8))));
            return told;
        }

        @Override
        protected void onJoinComplete(int generation, String memberId, String protocol, ByteBuffer told) {
            leader = StandardCharsets.UTF_8.decode(told).toString();
            emit("elected", leader, Integer.toString(generation));
        }
    }

    private static void thread(Runnable run) {
        Thread t = new Thread(() -> {
            try {
                run.run();
            } catch (Throwable e) {
                e.printStackTrace();
                System.exit(1);
            }
        });
        t.setDaemon(true);
        t.start();
    }

    private static synchronized void emit(String event, String name, String text) {
        System.out.println("{\"event\":\"" + event + "\",\"name\":\"" + name + "\",\"text\":\"" + text + "\"}");
        System.out.flush();
    }
}
