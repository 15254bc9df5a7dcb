import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.DescribeClusterOptions;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.ListConsumerGroupOffsetsSpec;
import org.apache.kafka.clients.admin.ListTopicsOptions;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaFilter;
import org.apache.kafka.common.serialization.ByteArraySerializer;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * The calls that web consoles for Kafka make, with the Java admin client. It prints a line for each: "ok NAME", or
 * "refused NAME EXCEPTION" if the broker does not support the call. Arguments: bootstrap, topic, group.
 */
public final class Ui {
    private final Admin admin;
    private final String topic;
    private final String group;

    private Ui(Admin admin, String topic, String group) {
        this.admin = admin;
        this.topic = topic;
        this.group = group;
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("client.id", "suite-ui");
        try (Admin admin = Admin.create(p)) {
            Ui ui = new Ui(admin, args[1], args[2]);
            ui.prepare(p);
            ui.cluster();
            ui.topics();
            ui.groups();
            ui.transactions();
            ui.changes();
            ui.security();
        }
    }

    private void prepare(Properties common) throws Exception {
        get(admin.createTopics(List.of(new NewTopic(topic, Optional.of(3), Optional.empty()))).all());
        Properties p = new Properties();
        p.putAll(common);
        p.put("transactional.id", "suite-ui");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer())) {
            producer.initTransactions();
            producer.beginTransaction();
            for (int i = 0; i < 30; i++) {
                producer.send(new ProducerRecord<>(topic, i % 3, null, new byte[1000]));
            }
            producer.commitTransaction();
        }
    }

    private void cluster() throws Exception {
        ok("describeCluster", () -> {
            var c = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
            return get(c.nodes()).size() >= 1 && !get(c.clusterId()).isEmpty() && get(c.controller()).id() >= 0;
        });
        ok("describeFeatures", () -> get(admin.describeFeatures().featureMetadata()).finalizedFeatures().containsKey("group.version"));
        List<Integer> ids = get(admin.describeCluster().nodes()).stream().map(Node::id).toList();
        ok("describeLogDirs", () -> get(admin.describeLogDirs(ids).allDescriptions()).values().stream().flatMap(d -> d.values().stream())
            .flatMap(d -> d.replicaInfos().entrySet().stream()).filter(e -> e.getKey().topic().equals(topic)).mapToLong(e -> e.getValue().size()).sum() > 0);
        for (int id : ids) {
            ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, Integer.toString(id));
            ok("describeConfigs of broker " + id, () -> get(admin.describeConfigs(List.of(broker),
                new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(broker).entries().size() > 20);
        }
        served("describeMetadataQuorum", () -> get(admin.describeMetadataQuorum().quorumInfo()) != null);
    }

    private void topics() throws Exception {
        ok("listTopics", () -> get(admin.listTopics(new ListTopicsOptions().listInternal(true)).names()).contains(topic));
        ok("describeTopics", () -> get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().stream()
            .allMatch(t -> t.leader() != null && !t.isr().isEmpty() && t.isr().size() == t.replicas().size()));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ok("describeConfigs of a topic", () -> get(admin.describeConfigs(List.of(resource),
            new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true)).all()).get(resource).get("retention.ms").value() != null);
        Map<TopicPartition, OffsetSpec> ask = new HashMap<>();
        for (var spec : List.of(OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp(), OffsetSpec.forTimestamp(0))) {
            partitions().forEach(tp -> ask.put(tp, spec));
            ok("listOffsets " + spec.getClass().getSimpleName(), () -> get(admin.listOffsets(ask).all()).values().stream().allMatch(o -> o.offset() >= 0));
        }
        ok("describeProducers", () -> get(admin.describeProducers(partitions()).all()).size() == 3);
        ok("listPartitionReassignments", () -> get(admin.listPartitionReassignments().reassignments()).isEmpty());
    }

    private void groups() throws Exception {
        Map<TopicPartition, OffsetAndMetadata> at = new HashMap<>();
        partitions().forEach(tp -> at.put(tp, new OffsetAndMetadata(2)));
        ok("alterConsumerGroupOffsets", () -> {
            get(admin.alterConsumerGroupOffsets(group, at).all());
            return true;
        });
        ok("listGroups", () -> get(admin.listGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)));
        ok("listConsumerGroups", () -> get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)));
        ok("describeConsumerGroups", () -> get(admin.describeConsumerGroups(List.of(group)).all()).get(group).groupState().toString().equals("Empty"));
        ok("listConsumerGroupOffsets", () -> get(admin.listConsumerGroupOffsets(Map.of(group, new ListConsumerGroupOffsetsSpec())).all())
            .get(group).values().stream().allMatch(o -> o.offset() == 2));
        ok("deleteConsumerGroupOffsets", () -> {
            get(admin.deleteConsumerGroupOffsets(group, Set.of(partitions().get(0))).all());
            return get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).size() == 2;
        });
        ok("deleteConsumerGroups", () -> {
            get(admin.deleteConsumerGroups(List.of(group)).all());
            return get(admin.listConsumerGroups().all()).stream().noneMatch(g -> g.groupId().equals(group));
        });
    }

    private void transactions() throws Exception {
        ok("listTransactions", () -> get(admin.listTransactions().all()).stream().anyMatch(t -> t.transactionalId().equals("suite-ui")));
        ok("describeTransactions", () -> get(admin.describeTransactions(List.of("suite-ui")).all()).get("suite-ui").state().toString().equals("CompleteCommit"));
    }

    private void changes() throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        ok("incrementalAlterConfigs", () -> {
            get(admin.incrementalAlterConfigs(Map.of(resource, List.of(new AlterConfigOp(new ConfigEntry("retention.ms", "7200000"), AlterConfigOp.OpType.SET)))).all());
            return get(admin.describeConfigs(List.of(resource)).all()).get(resource).get("retention.ms").value().equals("7200000");
        });
        ok("deleteRecords", () -> get(admin.deleteRecords(Map.of(partitions().get(1), RecordsToDelete.beforeOffset(4))).lowWatermarks()
            .get(partitions().get(1))).lowWatermark() == 4);
        ok("createPartitions", () -> {
            get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all());
            return get(admin.describeTopics(List.of(topic)).allTopicNames()).get(topic).partitions().size() == 5;
        });
        ok("electLeaders", () -> get(admin.electLeaders(ElectionType.PREFERRED, Set.copyOf(partitions())).partitions()).size() == 3);
        ok("deleteTopics", () -> {
            get(admin.deleteTopics(List.of(topic)).all());
            return !get(admin.listTopics().names()).contains(topic);
        });
    }

    private void security() throws Exception {
        served("describeAcls", () -> get(admin.describeAcls(AclBindingFilter.ANY).values()) != null);
        served("describeClientQuotas", () -> get(admin.describeClientQuotas(ClientQuotaFilter.all()).entities()) != null);
        served("describeUserScramCredentials", () -> get(admin.describeUserScramCredentials().all()) != null);
        served("describeDelegationToken", () -> get(admin.describeDelegationToken().delegationTokens()) != null);
    }

    private List<TopicPartition> partitions() {
        List<TopicPartition> all = new ArrayList<>();
        for (int p = 0; p < 3; p++) {
            all.add(new TopicPartition(topic, p));
        }
        return all;
    }

    /** A call that must be served with a correct result. */
    private static void ok(String name, Callable<Boolean> call) throws Exception {
        if (!call.call()) {
            throw new IllegalStateException(name + ": the answer is not what it should be");
        }
        System.out.println("ok " + name);
    }

    /** A call that may be refused in a way that consoles expect, but must not hang or break the connection. */
    private static void served(String name, Callable<Boolean> call) throws Exception {
        try {
            ok(name, call);
        } catch (ExecutionException e) {
            System.out.println("refused " + name + " " + e.getCause().getClass().getSimpleName());
        }
    }

    private static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(30, TimeUnit.SECONDS);
    }
}
