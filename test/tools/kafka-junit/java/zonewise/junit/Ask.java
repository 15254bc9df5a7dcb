package zonewise.junit;

import java.io.ByteArrayOutputStream;
import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.net.Socket;
import java.nio.charset.StandardCharsets;

/**
 * Requests a topic's partitions from one given broker (Metadata, version 4, which can forbid to
 * create the topic): Kafka's clients choose the broker themselves.
 */
final class Ask {
    private static final int METADATA = 3, VERSION = 4, PATIENCE_MS = 10_000;

    private Ask() { }

    /** The partitions that have a leader; 0: there is no such topic. Retriable errors count as none. */
    static int partitions(String host, int port, String topic) throws IOException {
        ByteArrayOutputStream body = new ByteArrayOutputStream();
        DataOutputStream out = new DataOutputStream(body);
        out.writeShort(METADATA);
        out.writeShort(VERSION);
        out.writeInt(1);
        text(out, "suite");
        out.writeInt(1);
        text(out, topic);
        out.writeBoolean(false);
        try (Socket s = new Socket(host, port)) {
            s.setSoTimeout(PATIENCE_MS);
            DataOutputStream frame = new DataOutputStream(s.getOutputStream());
            frame.writeInt(body.size());
            body.writeTo(frame);
            frame.flush();
            return read(new DataInputStream(s.getInputStream()));
        }
    }

    private static int read(DataInputStream in) throws IOException {
        in.skipNBytes(4 + 4 + 4); // size, correlation, throttle
        for (int brokers = in.readInt(); brokers > 0; brokers--) {
            in.skipNBytes(4);
            skipText(in);
            in.skipNBytes(4);
            skipText(in);
        }
        skipText(in); // cluster
        in.skipNBytes(4 + 4); // controller, one topic
        if (in.readShort() != 0)
            return 0;
        skipText(in);
        in.skipNBytes(1);
        int led = 0;
        for (int n = in.readInt(); n > 0; n--) {
            in.skipNBytes(2 + 4);
            if (in.readInt() >= 0)
                led++;
            in.skipNBytes(4L * in.readInt());
            in.skipNBytes(4L * in.readInt());
        }
        return led;
    }

    private static void text(DataOutputStream out, String s) throws IOException {
        byte[] b = s.getBytes(StandardCharsets.UTF_8);
        out.writeShort(b.length);
        out.write(b);
    }

    private static void skipText(DataInputStream in) throws IOException { in.skipNBytes(Math.max(0, in.readShort())); }
}
