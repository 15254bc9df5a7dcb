import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.zip.CRC32;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads partitions with Java's consumer, and prints as JSON the number of their records and the
 * CRC-32 of the values.
 *
 * <p>Framings BOOTSTRAP TOPIC GROUP..., where a group is partitions separated by commas. A
 * consumer reads a group; if it fails, each partition that is not at its end gets one of its own.
 */
public final class Framings {
  private Framings() {}

  public static void main(String[] args) throws Exception {
    ExecutorService pool = Executors.newFixedThreadPool(4);
    List<Future<Map<Integer, String>>> groups = new ArrayList<>();
    for (int i = 2; i < args.length; i++) {
      List<TopicPartition> group = new ArrayList<>();
      for (String partition : args[i].split(",")) {
        group.add(new TopicPartition(args[1], Integer.parseInt(partition)));
      }
      groups.add(pool.submit(() -> read(args[0], group)));
    }
    StringBuilder json = new StringBuilder("{");
    for (Future<Map<Integer, String>> group : groups) {
      group.get().forEach((partition, text) -> json.append(json.length() > 1 ? "," : "")
          .append('"').append(partition).append("\":\"").append(text.replaceAll("[\"\\\\\\p{Cntrl}]", "'")).append('"'));
    }
    pool.shutdown();
    System.out.write(json.append("}\n").toString().getBytes(StandardCharsets.UTF_8));
    System.out.flush();
  }

  private static Map<Integer, String> read(String bootstrap, List<TopicPartition> group) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
    properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
    Map<TopicPartition, Integer> counts = new HashMap<>();
    Map<TopicPartition, CRC32> sums = new HashMap<>();
    List<TopicPartition> left = new ArrayList<>(group);
    String failure = "";
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
      consumer.assign(group);
      consumer.seekToBeginning(group);
      Map<TopicPartition, Long> ends = consumer.endOffsets(group);
      long until = System.nanoTime() + Duration.ofSeconds(10).toNanos();
      while (true) {
        left.removeIf(p -> consumer.position(p) >= ends.get(p));
        if (left.isEmpty()) {
          break;
        }
        if (System.nanoTime() > until) {
          failure = ": no end";
          break;
        }
        for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(500))) {
          TopicPartition partition = new TopicPartition(record.topic(), record.partition());
          counts.merge(partition, 1, Integer::sum);
          sums.computeIfAbsent(partition, p -> new CRC32()).update(record.value());
        }
      }
    } catch (RuntimeException e) {
      Throwable cause = e;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      failure = ": " + cause;
    }
    Map<Integer, String> found = new LinkedHashMap<>();
    for (TopicPartition partition : group) {
      if (left.contains(partition) && group.size() > 1) {
        found.putAll(read(bootstrap, List.of(partition)));
        continue;
      }
      CRC32 sum = sums.getOrDefault(partition, new CRC32());
      found.put(partition.partition(), String.format("%d records, %08x%s", counts.getOrDefault(partition, 0), sum.getValue(),
          left.contains(partition) ? failure : ""));
    }
    return found;
  }
}
