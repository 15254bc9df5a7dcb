import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.ClusterResource;
import org.apache.kafka.common.ClusterResourceListener;
import org.apache.kafka.common.PartitionInfo;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.utils.AppInfoParser;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;

/** The Java client of Apache Kafka with the commands of `make clients` (test/suites/clients/doc.go). */
public final class Client {
    private static final ObjectMapper JSON = new ObjectMapper();

    private final Map<String, String> flags;

    private Client(Map<String, String> flags) {
        this.flags = flags;
    }

    public static void main(String[] args) {
        Map<String, String> flags = new HashMap<>();
        for (int i = 1; i + 1 < args.length; i += 2) {
            flags.put(args[i], args[i + 1]);
        }
        try {
            ObjectNode hello = JSON.createObjectNode();
            emit(hello.put("client", "kafka-clients").put("version", AppInfoParser.getVersion()));
            new Client(flags).run(args[0]);
        } catch (Throwable t) {
            t.printStackTrace();
            System.exit(1);
        }
        System.exit(0);
    }

    private void run(String word) throws Exception {
        switch (word) {
            case "create":
                create();
                return;
            case "produce":
                produce();
                return;
            case "stream":
                stream();
                return;
            case "consume":
                consume();
                return;
            case "leaders":
                leaders();
                return;
            default:
                throw new IllegalArgumentException("unknown word " + word);
        }
    }

    private Properties common() {
        Properties p = new Properties();
        p.put("bootstrap.servers", flags.get("--bootstrap"));
        p.put("client.id", flags.get("--client-id"));
        return p;
    }

    private void create() throws Exception {
        try (Admin admin = Admin.create(common())) {
            int partitions = Integer.parseInt(flags.get("--partitions"));
            NewTopic topic = new NewTopic(flags.get("--topic"), Optional.of(partitions), Optional.empty());
            admin.createTopics(List.of(topic)).all().get(60, TimeUnit.SECONDS);
        }
    }

    /** Default settings, so acks=all; idempotent unless an order requires otherwise. */
    private KafkaProducer<byte[], byte[]> producer(String codec, boolean idempotent) {
        Properties p = common();
        p.put("compression.type", codec);
        if (!idempotent) {
            p.put("enable.idempotence", "false");
        }
        return new KafkaProducer<>(p, new ByteArraySerializer(), new ByteArraySerializer());
    }

    private void produce() throws IOException {
        Collection<String> failed = new ConcurrentLinkedQueue<>();
        KafkaProducer<byte[], byte[]> producer = null;
        String mode = "";
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            JsonNode order = JSON.readTree(text);
            boolean idempotent = order.get("idempotent").asBoolean();
            String next = order.get("codec").asText() + " " + idempotent;
            if (!next.equals(mode)) {
                if (producer != null) {
                    producer.close(); // waits for what was sent
                }
                producer = producer(order.get("codec").asText(), idempotent);
                mode = next;
            }
            int i = order.get("i").asInt();
            producer.send(record(order), (at, err) -> {
                if (err != null) {
                    failed.add("record " + i + ": " + err);
                    return;
                }
                emit(JSON.createObjectNode().put("ack", i).put("partition", at.partition()).put("offset", at.offset()));
            });
        }
        if (producer != null) {
            producer.close();
        }
        if (!failed.isEmpty()) {
            throw new IllegalStateException(String.join("\n", failed));
        }
    }

    /** Sends each order when it arrives, with one producer, and continues after records that fail. */
    private void stream() throws IOException {
        KafkaProducer<byte[], byte[]> producer = null;
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            JsonNode order = JSON.readTree(text);
            if (producer == null) {
                producer = producer(order.get("codec").asText(), order.get("idempotent").asBoolean());
            }
            int i = order.get("i").asInt();
            producer.send(record(order), (at, err) -> {
                if (err != null) {
                    emit(JSON.createObjectNode().put("failed", i).put("error", err.toString()));
                } else {
                    emit(JSON.createObjectNode().put("ack", i).put("partition", at.partition()).put("offset", at.offset()));
                }
            });
        }
        if (producer != null) {
            producer.close();
        }
    }

    private ProducerRecord<byte[], byte[]> record(JsonNode order) throws IOException {
        List<Header> headers = new ArrayList<>();
        for (JsonNode h : order.get("headers")) {
            headers.add(new RecordHeader(h.get(0).asText(), h.get(1).binaryValue()));
        }
        return new ProducerRecord<>(flags.get("--topic"), order.get("partition").asInt(), bytes(order.get("key")), bytes(order.get("value")), headers);
    }

    private static byte[] bytes(JsonNode n) throws IOException {
        return n.isNull() ? null : n.binaryValue();
    }

    private void consume() {
        Properties p = common();
        p.put("group.id", flags.get("--group"));
        p.put("auto.offset.reset", "earliest");
        p.put("enable.auto.commit", "false");
        if (flags.containsKey("--group-protocol")) {
            p.put("group.protocol", flags.get("--group-protocol"));
        }
        // The defaults of Spring-Kafka's listener container: a poll of five seconds that a stop interrupts, and acknowledgement by batch.
        boolean spring = "spring".equals(flags.get("--settings"));
        if (spring) {
            p.put("client.id", flags.get("--client-id") + "-0");
        }
        KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer());
        boolean[] stop = {false};
        Thread stdin = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    continue;
                }
            } catch (IOException e) {
                // an error of standard input counts as its end
            }
            synchronized (stop) {
                stop[0] = true;
            }
            if (spring) {
                consumer.wakeup();
            }
        });
        stdin.setDaemon(true);
        stdin.start();
        try (consumer) {
            consumer.subscribe(List.of(flags.get("--topic")), new Assigned(consumer));
            while (!stopped(stop)) {
                ConsumerRecords<byte[], byte[]> records = consumer.poll(Duration.ofMillis(spring ? 5000 : 100));
                records.forEach(Client::emitRecord);
                if (!records.isEmpty() && spring) {
                    consumer.commitSync(records.nextOffsets(), Duration.ofSeconds(60));
                } else if (!records.isEmpty()) {
                    consumer.commitSync();
                }
            }
        } catch (WakeupException e) {
            // asked to stop: closing leaves the group
        }
        emit(JSON.createObjectNode().put("closed", true));
    }

    private static boolean stopped(boolean[] stop) {
        synchronized (stop) {
            return stop[0];
        }
    }

    /** Prints the partitions of this member after each change. */
    private static final class Assigned implements ConsumerRebalanceListener {
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final TreeSet<Integer> have = new TreeSet<>();

        Assigned(KafkaConsumer<byte[], byte[]> consumer) {
            this.consumer = consumer;
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            have.clear();
            consumer.assignment().forEach(tp -> have.add(tp.partition()));
            tell();
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            partitions.forEach(tp -> have.remove(tp.partition()));
            tell();
        }

        private void tell() {
            ObjectNode line = JSON.createObjectNode();
            ArrayNode all = line.putArray("assigned");
            have.forEach(all::add);
            emit(line);
        }
    }

    private static void emitRecord(ConsumerRecord<byte[], byte[]> r) {
        ObjectNode line = JSON.createObjectNode().put("partition", r.partition()).put("offset", r.offset());
        line.put("key", r.key()).put("value", r.value());
        ArrayNode headers = line.putArray("headers");
        for (Header h : r.headers()) {
            headers.addArray().add(h.key()).add(h.value());
        }
        emit(line);
    }

    /** Counts the metadata responses of a client: Kafka passes each to listeners of the cluster. */
    public static final class Counting extends ByteArraySerializer implements ClusterResourceListener {
        private final AtomicInteger answers = new AtomicInteger();

        @Override
        public void onUpdate(ClusterResource cluster) {
            answers.incrementAndGet();
        }
    }

    /** A producer whose metadata expires at once, so that it refreshes all the time, from any node. */
    private void leaders() throws InterruptedException {
        Properties p = common();
        p.put("metadata.max.age.ms", "5");
        p.put("retry.backoff.ms", "5");
        p.put("retry.backoff.max.ms", "5");
        Counting counting = new Counting();
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(p, counting, new ByteArraySerializer())) {
            int wanted = Integer.parseInt(flags.get("--refreshes"));
            int seen = 0;
            for (long limit = System.nanoTime() + TimeUnit.SECONDS.toNanos(60); seen < wanted; ) {
                if (System.nanoTime() > limit) {
                    throw new IllegalStateException("only " + seen + " refreshes in 60 s");
                }
                List<PartitionInfo> partitions = producer.partitionsFor(flags.get("--topic"));
                int now = counting.answers.get();
                if (now == seen) {
                    Thread.sleep(1);
                    continue;
                }
                seen = now;
                ObjectNode line = JSON.createObjectNode().put("refresh", seen);
                ObjectNode leaders = line.putObject("leaders");
                TreeSet<String> brokers = new TreeSet<>();
                for (PartitionInfo info : partitions) {
                    leaders.put(Integer.toString(info.partition()), info.leader().host() + ":" + info.leader().port());
                    for (var replica : info.replicas()) {
                        brokers.add(replica.host() + ":" + replica.port());
                    }
                }
                ArrayNode all = line.putArray("brokers");
                brokers.forEach(all::add);
                emit(line);
            }
        }
    }

    private static synchronized void emit(ObjectNode line) {
        System.out.println(line);
        System.out.flush();
    }
}
