import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.regex.Pattern;

/**
 * Consumers whose expression matches many topics with long names, one joining after the other, so that the metadata of each
 * is large. It prints "2 consumers have N partitions", or the exception that ended one. Arguments: bootstrap, prefix of
 * the topics, their number, group, and settings of the consumers as name=value.
 */
public final class Wide {
    private static final int NAME = 64; // characters of a topic's name
    private static final int AT_ONCE = 500; // topics of a request

    private static final int OUTSIDE = -1; // a member of no generation

    private final AtomicBoolean stop = new AtomicBoolean();
    private final int topics;
    private final List<AtomicInteger> have = new ArrayList<>();

    private Wide(int topics) {
        this.topics = topics;
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[0]);
        p.put("client.id", "suite-wide");
        int topics = Integer.parseInt(args[2]);
        try (Admin admin = Admin.create(p)) {
            if (admin.listTopics().names().get(60, TimeUnit.SECONDS).stream().noneMatch(name -> name.startsWith(args[1]))) {
                List<NewTopic> all = new ArrayList<>();
                for (int i = 0; i < topics; i++) {
                    String number = "-" + i;
                    all.add(new NewTopic(args[1] + "x".repeat(NAME - args[1].length() - number.length()) + number, Optional.of(1), Optional.empty()));
                }
                for (int i = 0; i < topics; i += AT_ONCE) {
                    admin.createTopics(all.subList(i, Math.min(i + AT_ONCE, topics))).all().get(60, TimeUnit.SECONDS);
                }
            }
        }
        p.put("group.id", args[3]);
        p.put("auto.offset.reset", "earliest");
        for (int i = 4; i < args.length; i++) {
            String[] setting = args[i].split("=", 2);
            p.put(setting[0], setting[1]);
        }
        Wide wide = new Wide(topics);
        Pattern expression = Pattern.compile(Pattern.quote(args[1]) + ".*");
        List<Thread> members = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            AtomicInteger mine = new AtomicInteger(OUTSIDE);
            wide.have.add(mine);
            Thread member = new Thread(() -> wide.poll(p, expression, mine));
            member.start();
            members.add(member);
            wide.settle();
        }
        System.out.println("2 consumers have " + topics + " partitions");
        wide.stop.set(true);
        for (Thread member : members) {
            member.join();
        }
        System.exit(0);
    }

    /** Polls until the test is over; an exception ends the test. */
    private void poll(Properties p, Pattern expression, AtomicInteger mine) {
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(p, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            consumer.subscribe(expression, new ConsumerRebalanceListener() {
                @Override
                public void onPartitionsAssigned(Collection<TopicPartition> added) {
                    mine.set(consumer.assignment().size());
                }

                @Override
                public void onPartitionsRevoked(Collection<TopicPartition> gone) {
                    mine.set(OUTSIDE);
                }
            });
            while (!stop.get()) {
                consumer.poll(Duration.ofMillis(100));
            }
        } catch (Throwable e) {
            e.printStackTrace();
            System.exit(1);
        }
    }

    /** Waits for some time until all members have joined and own all topics together. */
    private void settle() throws InterruptedException {
        for (int calm = 0; calm < 20; Thread.sleep(100)) {
            boolean in = have.stream().allMatch(mine -> mine.get() != OUTSIDE);
            calm = in && have.stream().mapToInt(AtomicInteger::get).sum() == topics ? calm + 1 : 0;
        }
    }
}
