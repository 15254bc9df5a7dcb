package zonewise.junit;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.io.FileOutputStream;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.engine.support.descriptor.MethodSource;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Writes the result of each test as it ends, one line each: verdict, name, milliseconds, reason, separated by tabs. */
public final class Verdicts implements TestExecutionListener {
    private final PrintWriter out;
    private final Map<String, Long> began = new ConcurrentHashMap<>();

    public Verdicts() {
        try {
            out = new PrintWriter(new FileOutputStream(System.getProperty("zonewise.verdicts"), true), true);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public void executionStarted(TestIdentifier id) { began.put(id.getUniqueId(), System.currentTimeMillis()); }

    @Override
    public void executionSkipped(TestIdentifier id, String reason) {
        if (!reason.contains(Chosen.NOT_ASKED))
            say("skipped", id, reason.lines().findFirst().orElse(""));
    }

    @Override
    public void executionFinished(TestIdentifier id, TestExecutionResult result) {
        String reason = result.getThrowable().map(Verdicts::text).orElse("");
        switch (result.getStatus()) {
            case SUCCESSFUL:
                if (id.isTest())
                    say("passed", id, "");
                break;
            case ABORTED:
                say("skipped", id, reason);
                break;
            default:
                say("failed", id, reason);
                result.getThrowable().ifPresent(t -> t.printStackTrace(System.out));
        }
    }

    private static String text(Throwable t) {
        String said = t.getMessage() == null ? "" : t.getMessage();
        return t instanceof org.opentest4j.TestAbortedException ? said : t.getClass().getSimpleName() + (said.isEmpty() ? "" : ": " + said);
    }

    private void say(String verdict, TestIdentifier id, String reason) {
        String name = id.getSource().filter(s -> s instanceof MethodSource).map(s -> (MethodSource) s)
            .map(s -> s.getClassName().substring(s.getClassName().lastIndexOf('.') + 1) + "." + s.getMethodName()).orElse(id.getLegacyReportingName());
        String unique = id.getUniqueId();
        int at = unique.lastIndexOf("#");
        if (id.isTest() && at >= 0)
            name += "[" + unique.substring(at + 1).replaceAll("\\D", "") + "]";
        long ms = System.currentTimeMillis() - began.getOrDefault(unique, System.currentTimeMillis());
        out.println(String.join("\t", verdict, name, "" + ms, reason.replaceAll("\\s+", " ")));
        System.out.println("=== " + verdict + " " + name + " after " + ms + " ms " + reason);
    }
}
