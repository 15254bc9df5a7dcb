import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Reads partitions with Java's consumer, each by itself, and prints as JSON what is in them.
 *
 * <p>Framings BOOTSTRAP TOPIC PARTITION...
 */
public final class Framings {
  private Framings() {}

  public static void main(String[] args) {
    Map<String, String> found = new LinkedHashMap<>();
    for (int i = 2; i < args.length; i++) {
      found.put(args[i], read(args[0], new TopicPartition(args[1], Integer.parseInt(args[i]))));
    }
    StringBuilder json = new StringBuilder("{");
    found.forEach((partition, text) -> json.append(json.length() > 1 ? "," : "")
        .append('"').append(partition).append("\":\"").append(text.replaceAll("[\"\\\\\\p{Cntrl}]", "'")).append('"'));
    System.out.println(json.append('}'));
  }

  private static String read(String bootstrap, TopicPartition partition) {
    Properties properties = new Properties();
    properties.put("bootstrap.servers", bootstrap);
    properties.put("key.deserializer", ByteArrayDeserializer.class.getName());
    properties.put("value.deserializer", ByteArrayDeserializer.class.getName());
    int records = 0;
    try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(properties)) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      long until = System.nanoTime() + Duration.ofSeconds(10).toNanos();
      while (consumer.position(partition) < end) {
        records += consumer.poll(Duration.ofMillis(500)).count();
        if (System.nanoTime() > until) {
          return records + " records: no end";
        }
      }
    } catch (RuntimeException e) {
      Throwable cause = e;
      while (cause.getCause() != null) {
        cause = cause.getCause();
      }
      return records + " records: " + cause;
    }
    return records + " records";
  }
}
