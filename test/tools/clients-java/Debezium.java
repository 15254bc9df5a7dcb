import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;

/**
 * A history topic like Debezium's: one partition without retention, written by an idempotent producer that waits for each
 * record, and read to its end by a new consumer at each start. Arguments: bootstrap, topic, and the number of existing records.
 */
public final class Debezium {
    private static final int RECORDS = 200;

    private Debezium() {
    }

    public static void main(String[] args) throws Exception {
        Properties common = new Properties();
        common.put("bootstrap.servers", args[0]);
        common.put("client.id", "suite-debezium");
        String topic = args[1];
        int before = Integer.parseInt(args[2]);
        try (Admin admin = Admin.create(common)) {
            if (!admin.listTopics().names().get().contains(topic)) {
                admin.createTopics(List.of(new NewTopic(topic, Optional.of(1), Optional.empty())
                    .configs(Map.of("cleanup.policy", "delete", "retention.ms", "-1", "retention.bytes", "-1")))).all().get();
            }
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            for (String key : List.of("retention.ms", "retention.bytes")) {
                String value = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(key).value();
                want(key, "-1", value);
            }
        }
        want("records at the start", before, readToEnd(common, topic));
        Properties p = new Properties();
        p.putAll(common);
        p.put("acks", "all");
        p.put("enable.idempotence", "true");
        p.put("batch.size", "32768");
        p.put("linger.ms", "0");
        p.put("max.block.ms", "10000");
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(p, new StringSerializer(), new StringSerializer())) {
            for (int i = before; i < before + RECORDS; i++) {
                want("offset", (long) i, producer.send(new ProducerRecord<>(topic, 0, null, "ddl " + i)).get().offset());
            }
        }
        want("records at the end", before + RECORDS, readToEnd(common, topic));
        System.out.println("read " + (before + RECORDS));
    }

    private static int readToEnd(Properties common, String topic) {
        Properties p = new Properties();
        p.putAll(common);
        p.put("group.id", "suite-debezium-history");
        p.put("enable.auto.commit", "false");
        p.put("auto.offset.reset", "earliest");
        p.put("fetch.min.bytes", "1");
        int read = 0;
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            TopicPartition only = new TopicPartition(topic, 0);
            consumer.subscribe(List.of(topic));
            long end = consumer.endOffsets(List.of(only)).get(only);
            for (long limit = System.currentTimeMillis() + 60_000; read < end && System.currentTimeMillis() < limit; ) {
                for (var r : consumer.poll(Duration.ofMillis(100))) {
                    want("record at " + r.offset(), "ddl " + read, r.value());
                    read++;
                }
            }
        }
        return read;
    }

    private static void want(String what, Object want, Object got) {
        if (!want.equals(got)) {
            throw new IllegalStateException(what + ": " + got + ", want " + want);
        }
    }
}
