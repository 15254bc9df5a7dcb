import java.time.Duration;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.IntegerSerializer;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Grouped;
import org.apache.kafka.streams.kstream.Materialized;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.Stores;

/**
 * Kafka Streams counts records by key behind a repartition topic, under a steady load, and purges that topic with
 * DeleteRecords as it always does, but more often. It measures the time between one counted record and the next of each
 * partition, and prints the long ones and a summary.
 *
 * Arguments: bootstrap, input topic, application id, seconds of load, records per second, bytes of a record,
 * repartition.purge.interval.ms, commit.interval.ms, processing.guarantee.
 */
public final class Purge {
    private static final int KEYS = 60;
    private static final long WARM_UP_MS = 5_000;

    private final Map<Integer, Long> last = new ConcurrentHashMap<>(); // by partition: when its last record was counted, ns
    private final Map<Integer, Integer> counts = new ConcurrentHashMap<>();
    private final ConcurrentLinkedQueue<Double> gaps = new ConcurrentLinkedQueue<>(); // ms, of all partitions
    private final ConcurrentLinkedQueue<Double> delays = new ConcurrentLinkedQueue<>(); // ms from send to count
    private final ConcurrentHashMap<Integer, Boolean> partitions = new ConcurrentHashMap<>();
    private final AtomicLong counted = new AtomicLong();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private volatile boolean measuring;

    /** Sees each update of a count, behind the repartition topic. */
    private final class Meter extends ContextualProcessor<Integer, Integer, Void, Void> {
        @Override
        public void process(Record<Integer, Integer> record) {
            long now = System.nanoTime();
            int partition = context().taskId().partition();
            Long before = last.put(partition, now);
            partitions.put(partition, true);
            counts.put(record.key(), record.value());
            counted.incrementAndGet();
            if (!measuring || before == null)
                return;
            double gap = (now - before) / 1e6;
            gaps.add(gap);
            if (gap > 250)
                System.out.printf("gap of %.0f ms at partition %d at %tT%n", gap, partition, System.currentTimeMillis());
            delays.add((double) (System.currentTimeMillis() - record.timestamp()));
        }
    }

    public static void main(String[] args) throws Exception {
        new Purge().run(args[0], args[1], args[2], Integer.parseInt(args[3]), Integer.parseInt(args[4]), Integer.parseInt(args[5]), args[6], args[7], args[8]);
    }

    private void run(String bootstrap, String input, String application, int seconds, int perSecond, int bytes, String purgeMs, String commitMs, String guarantee) throws Exception {
        StreamsBuilder builder = new StreamsBuilder();
        builder.stream(input, Consumed.with(Serdes.Integer(), Serdes.ByteArray()))
            .selectKey((key, value) -> key % KEYS)
            .groupByKey(Grouped.with("purged", Serdes.Integer(), Serdes.ByteArray()))
            .aggregate(() -> 0, (key, value, count) -> count + 1, Materialized.<Integer, Integer>as(Stores.inMemoryKeyValueStore("counts"))
                .withKeySerde(Serdes.Integer()).withValueSerde(Serdes.Integer()).withCachingDisabled().withLoggingDisabled())
            .toStream().process(Meter::new);
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, application);
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap);
        p.put(StreamsConfig.REPARTITION_PURGE_INTERVAL_MS_CONFIG, purgeMs);
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, commitMs);
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, 2);
        p.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        try (KafkaStreams streams = new KafkaStreams(builder.build(), p)) {
            streams.setUncaughtExceptionHandler(t -> {
                failure.set(t);
                return StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
            });
            streams.start();
            long sent = load(bootstrap, input, seconds, perSecond, bytes);
            for (long until = System.currentTimeMillis() + 30_000; sum() < sent && System.currentTimeMillis() < until && failure.get() == null; )
                Thread.sleep(50);
            if (failure.get() != null)
                throw new IllegalStateException("Streams ended", failure.get());
            System.out.printf("sent %d, counted %d (%d updates) in %d partitions%n", sent, sum(), counted.get(), partitions.size());
            print("gap", gaps.stream().mapToDouble(x -> x).sorted().toArray());
            print("delay", delays.stream().mapToDouble(x -> x).sorted().toArray());
            streams.close(Duration.ofSeconds(20));
        }
    }

    private long load(String bootstrap, String input, int seconds, int perSecond, int bytes) throws Exception {
        Map<String, Object> p = Map.of(ProducerConfig.BOOTSTRAP_SERVERS_CONFIG, bootstrap, ProducerConfig.LINGER_MS_CONFIG, 5);
        AtomicReference<Exception> refused = new AtomicReference<>();
        long sent = 0;
        try (KafkaProducer<Integer, byte[]> producer = new KafkaProducer<>(p, new IntegerSerializer(), new ByteArraySerializer())) {
            // Streams needs its time to start and to be given all partitions: that is no gap.
            for (long began = System.currentTimeMillis(), quiet = 0; quiet < WARM_UP_MS; ) {
                producer.send(new ProducerRecord<>(input, (int) sent++, new byte[bytes])).get();
                Thread.sleep(5);
                quiet = partitions.size() < 2 || counted.get() == 0 ? 0 : quiet + 5;
                if (System.currentTimeMillis() - began > 60_000)
                    throw new IllegalStateException("nothing is counted after a minute");
            }
            measuring = true;
            long began = System.nanoTime(), base = sent;
            for (long now; (now = System.nanoTime() - began) < seconds * 1_000_000_000L; Thread.sleep(2))
                for (long due = base + now * perSecond / 1_000_000_000L; sent < due; sent++)
                    producer.send(new ProducerRecord<>(input, (int) sent, new byte[bytes]), (meta, e) -> {
                        if (e != null)
                            refused.set(e);
                    });
            measuring = false;
        }
        if (refused.get() != null)
            throw refused.get();
        return sent;
    }

    private long sum() { return counts.values().stream().mapToLong(x -> x).sum(); }

    private static void print(String what, double[] sorted) {
        Map<String, Double> at = new TreeMap<>(Map.of("p50", .5, "p99", .99, "p999", .999));
        StringBuilder line = new StringBuilder(what + " ms: n " + sorted.length);
        at.forEach((name, q) -> line.append(String.format(", %s %.1f", name, sorted[(int) (q * (sorted.length - 1))])));
        System.out.printf("%s, max %.1f%n", line, sorted[sorted.length - 1]);
    }
}
