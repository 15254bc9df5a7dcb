import org.apache.flink.connector.kafka.sink.internal.FlinkKafkaInternalProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.common.utils.AppInfoParser;

import java.util.Properties;

/**
 * The two phases of Flink's transactional sink, in two processes, with Flink's own producer.
 * prepare BOOTSTRAP TOPIC TXN-ID FIRST COUNT: writes records in a transaction, flushes, prints its producer id and epoch (what a
 * checkpoint stores), and dies without ending the transaction.
 * commit|abort BOOTSTRAP TXN-ID PRODUCER-ID EPOCH: takes over the transaction with these, and ends it. Flink does this with each
 * transaction of its checkpoint, also with one that has already ended.
 */
public final class TwoPhase {
    private TwoPhase() {
    }

    public static void main(String[] args) throws Exception {
        Properties p = new Properties();
        p.put("bootstrap.servers", args[1]);
        p.put("client.id", "suite-flink");
        p.put("key.serializer", StringSerializer.class.getName());
        p.put("value.serializer", StringSerializer.class.getName());
        p.put("transaction.timeout.ms", "600000");
        System.out.println("kafka-clients " + AppInfoParser.getVersion());
        if (args[0].equals("prepare")) {
            prepare(p, args);
        } else {
            finish(p, args);
        }
        System.out.flush();
        Runtime.getRuntime().halt(0); // like a lost task manager: nothing is closed
    }

    private static void prepare(Properties p, String[] args) {
        FlinkKafkaInternalProducer<String, String> producer = new FlinkKafkaInternalProducer<>(p, args[3]);
        producer.initTransactions();
        producer.beginTransaction();
        int first = Integer.parseInt(args[4]);
        for (int i = first; i < first + Integer.parseInt(args[5]); i++) {
            producer.send(new ProducerRecord<>(args[2], i % 3, null, Integer.toString(i)), (at, err) -> {
                if (err != null) {
                    err.printStackTrace();
                    Runtime.getRuntime().halt(1);
                }
            });
        }
        producer.flush();
        producer.precommitTransaction();
        System.out.println("prepared " + producer.getProducerId() + " " + producer.getEpoch());
    }

    private static void finish(Properties p, String[] args) {
        FlinkKafkaInternalProducer<String, String> producer = new FlinkKafkaInternalProducer<>(p, args[2]);
        producer.resumeTransaction(Long.parseLong(args[3]), Short.parseShort(args[4]));
        if (args[0].equals("commit")) {
            producer.commitTransaction();
        } else {
            producer.abortTransaction();
        }
        System.out.println(args[0] + " done");
    }
}
