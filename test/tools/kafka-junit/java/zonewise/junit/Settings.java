package zonewise.junit;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.UnaryOperator;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.FeatureUpdate;
import org.apache.kafka.clients.admin.UpdateFeaturesOptions;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.security.auth.SecurityProtocol;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.ClusterTest;
import org.apache.kafka.server.common.MetadataVersion;

/** Translates a test's cluster configuration to zonewise: flags, configs, or the reason why it is impossible. */
final class Settings {
    private static final UnaryOperator<String> MS = v -> v + "ms", SAME = v -> v, MINUTES = v -> v + "m";

    private record Flag(String name, UnaryOperator<String> value) { }

    /** Kafka's settings, and the equivalent flags of a broker. */
    private static final Map<String, Flag> FLAGS = Map.ofEntries(
        Map.entry("auto.create.topics.enable", new Flag("auto-create-topics", SAME)),
        Map.entry("delete.topic.enable", new Flag("delete-topics", SAME)),
        Map.entry("num.partitions", new Flag("default-partitions", SAME)),
        Map.entry("group.initial.rebalance.delay.ms", new Flag("group-initial-rebalance-delay", MS)),
        Map.entry("group.min.session.timeout.ms", new Flag("group-min-session-timeout", MS)),
        Map.entry("group.max.session.timeout.ms", new Flag("group-max-session-timeout", MS)),
        Map.entry("group.max.size", new Flag("group-max-size", SAME)),
        Map.entry("group.consumer.max.size", new Flag("group-consumer-max-size", SAME)),
        Map.entry("group.consumer.heartbeat.interval.ms", new Flag("group-consumer-heartbeat-interval", MS)),
        Map.entry("group.consumer.session.timeout.ms", new Flag("group-consumer-session-timeout", MS)),
        Map.entry("offsets.topic.num.partitions", new Flag("offsets-topic-partitions", SAME)),
        Map.entry("log.retention.check.interval.ms", new Flag("retention-check-interval", MS)),
        Map.entry("offsets.retention.minutes", new Flag("offsets-retention", MINUTES)));

    /** Settings that are cluster-wide broker configs here, set at run time. */
    private static final List<String> CONFIGS = List.of("message.max.bytes", "log.retention.ms", "log.retention.bytes", "log.cleanup.policy", "unclean.leader.election.enable",
        "log.segment.delete.delay.ms", "log.segment.bytes", "min.insync.replicas", "log.message.timestamp.type", "producer.id.expiration.ms", "transactional.id.expiration.ms");

    private static final String DISKS = "there are no local logs, segments or cleaners", REPLICAS = "there are no replicas that follow a leader",
        TOPIC = "positions, transactions and shares are in the log, in no topic", KRAFT = "there is no controller quorum",
        TICKS = "apply decides in state time, every tick", AT_ONCE = "what it delays is done at once", PLUGIN = "a class in Java, of a broker's own plug-ins", BOUNDS = "bounds what a group's own config may be";

    /** Settings without an effect here, each with the reason. A name that ends in a dot is a prefix. */
    private static final Map<String, String> INERT = Map.ofEntries(
        Map.entry("offsets.topic.", TOPIC), Map.entry("transaction.state.log.", TOPIC), Map.entry("share.coordinator.state.topic.", TOPIC),
        Map.entry("group.share.", "share groups come with an issue of their own; tests that use one are skipped"),
        Map.entry("log.initial.task.delay.ms", DISKS), Map.entry("log.cleaner.", DISKS), Map.entry("file.delete.delay.ms", DISKS),
        Map.entry("replica.", REPLICAS), Map.entry("auto.leader.rebalance.enable", REPLICAS), Map.entry("log.unclean.leader.election.enable", REPLICAS),
        Map.entry("unclean.leader.election.interval.ms", REPLICAS), Map.entry("default.replication.factor", "replicas are said to be in as many zones as there are"),
        Map.entry("controlled.shutdown.enable", "a broker that is asked to end drains"),
        Map.entry("broker.session.timeout.ms", KRAFT), Map.entry("broker.heartbeat.interval.ms", KRAFT),
        Map.entry("transaction.abort.timed.out.transaction.cleanup.interval.ms", TICKS), Map.entry("transaction.remove.expired.transaction.cleanup.interval.ms", TICKS),
        Map.entry("producer.id.expiration.check.interval.ms", TICKS), Map.entry("offsets.retention.check.interval.ms", TICKS),
        Map.entry("group.consumer.assignment.interval.ms", AT_ONCE), Map.entry("group.coordinator.append.linger.ms", AT_ONCE),
        Map.entry("group.consumer.min.heartbeat.interval.ms", BOUNDS), Map.entry("group.consumer.max.heartbeat.interval.ms", BOUNDS),
        Map.entry("group.consumer.min.session.timeout.ms", BOUNDS), Map.entry("group.consumer.max.session.timeout.ms", BOUNDS),
        Map.entry("unstable.api.versions.enable", "no version is unstable"), Map.entry("unstable.feature.versions.enable", "no feature is unstable"));

    /** Values that zonewise has and cannot change. */
    private static final Map<String, String> FIXED = Map.of("group.coordinator.rebalance.protocols", "classic,consumer");

    /** Why other values are impossible. */
    private static final Map<String, String> ABSENT = Map.of("group.coordinator.rebalance.protocols", "share groups come with an issue of their own",
        "group.consumer.assignors", PLUGIN, "create.topic.policy.class.name", PLUGIN, "alter.config.policy.class.name", PLUGIN,
        "socket.request.max.bytes", "the memory of requests has its own limits, and they are fixed");

    /** The highest levels of features: lower ones are set at run time. */
    private static final Map<String, Short> FEATURES = Map.of("group.version", (short) 1, "transaction.version", (short) 2);

    private static final int ZONES = 3;

    private final ClusterConfig config;

    Settings(ClusterConfig config) { this.config = config; }

    int brokers() { return config.numBrokers(); }

    /** A broker's zone: its rack in the test, or one of three in turn. */
    String zone(int id) { return Optional.ofNullable(of(id).get("broker.rack")).orElse("zone-" + id % ZONES); }

    private Map<String, String> of(int id) {
        Map<String, String> all = new HashMap<>();
        config.perServerOverrideProperties().forEach((server, own) -> {
            if (server >= brokers()) // a controller: its settings apply to topics here too
                all.putAll(own);
        });
        all.putAll(config.serverProperties());
        all.putAll(config.perServerOverrideProperties().getOrDefault(id, Map.of()));
        return all;
    }

    List<String> flags(int id) {
        List<String> out = new ArrayList<>();
        of(id).forEach((key, value) -> {
            if (FLAGS.containsKey(key))
                out.add("--" + FLAGS.get(key).name() + "=" + FLAGS.get(key).value().apply(value));
        });
        return out;
    }

    /** Why such a cluster is impossible, or null. */
    String problem() {
        if (config.brokerSecurityProtocol() != SecurityProtocol.PLAINTEXT)
            return "setting brokerSecurityProtocol=" + config.brokerSecurityProtocol() + ": security of Kafka listeners comes with an issue of its own";
        if (config.metadataVersion() != defaultMetadataVersion() && config.metadataVersion() != MetadataVersion.latestTesting() && config.metadataVersion() != MetadataVersion.latestProduction())
            return "setting metadataVersion=" + config.metadataVersion() + ": there is no KRaft quorum whose version could be an older one";
        for (var f : config.features().entrySet())
            if (f.getValue() > FEATURES.getOrDefault(f.getKey().featureName(), (short) -1))
                return "setting feature " + f.getKey().featureName() + "=" + f.getValue() + ": zonewise has no such level";
        for (int id = 0; id < brokers(); id++)
            for (var e : of(id).entrySet())
                if (!known(e.getKey(), e.getValue()))
                    return "setting " + e.getKey() + ": " + ABSENT.getOrDefault(e.getKey(), "zonewise has none like it");
        return null;
    }

    private static boolean known(String key, String value) {
        return key.contains(" ") /* a constant's description, by a slip of the suite */ || key.equals("broker.rack") || FLAGS.containsKey(key) || CONFIGS.contains(key) || value.equals(FIXED.get(key))
            || INERT.keySet().stream().anyMatch(k -> k.endsWith(".") ? key.startsWith(k) : key.equals(k));
    }

    private static Object defaultMetadataVersion() {
        try {
            return ClusterTest.class.getMethod("metadataVersion").getDefaultValue();
        } catch (NoSuchMethodException e) {
            throw new IllegalStateException(e);
        }
    }

    /** Applies the settings of a running cluster. */
    void applyTo(ClusterInstance cluster) {
        Map<String, FeatureUpdate> lower = new HashMap<>();
        config.features().forEach((feature, level) -> {
            if (level < FEATURES.get(feature.featureName()))
                lower.put(feature.featureName(), new FeatureUpdate(level, FeatureUpdate.UpgradeType.SAFE_DOWNGRADE));
        });
        List<AlterConfigOp> ops = new ArrayList<>();
        config.serverProperties().forEach((key, value) -> {
            if (CONFIGS.contains(key))
                ops.add(new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET));
        });
        if (ops.isEmpty() && lower.isEmpty())
            return;
        try (Admin admin = cluster.admin()) {
            if (!lower.isEmpty())
                admin.updateFeatures(lower, new UpdateFeaturesOptions()).all().get();
            if (!ops.isEmpty())
                admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.BROKER, ""), ops)).all().get();
        } catch (Exception e) {
            throw new IllegalStateException("set " + ops + " " + lower, e);
        }
    }
}
