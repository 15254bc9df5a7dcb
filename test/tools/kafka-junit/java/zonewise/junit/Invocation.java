package zonewise.junit;

import java.util.List;
import org.apache.kafka.common.test.ClusterInstance;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.junit.jupiter.api.TestTemplate;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.AfterTestExecutionCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.Extension;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.LifecycleMethodExecutionExceptionHandler;
import org.junit.jupiter.api.extension.ParameterContext;
import org.junit.jupiter.api.extension.ParameterResolver;
import org.junit.jupiter.api.extension.TestExecutionExceptionHandler;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;
import org.junit.platform.commons.support.AnnotationSupport;
import org.opentest4j.TestAbortedException;

/** One run of a test method with a cluster of its own. */
final class Invocation implements TestTemplateInvocationContext {
    private final String name;
    private final Cluster cluster;

    Invocation(String name, ClusterConfig config) {
        this.name = name;
        this.cluster = new Cluster(config);
    }

    @Override
    public String getDisplayName(int index) { return name + "[" + index + "]"; }

    @Override
    public List<Extension> getAdditionalExtensions() {
        return List.of(
            (BeforeEachCallback) context -> {
                cluster.check();
                if (cluster.config().isAutoStart())
                    cluster.start();
            },
            (AfterTestExecutionCallback) context -> cluster.stop(),
            (AfterEachCallback) context -> cluster.stop(), // also where a set-up failed
            new Resolver(), new Judge());
    }

    private final class Resolver implements ParameterResolver {
        @Override
        public boolean supportsParameter(ParameterContext p, ExtensionContext context) {
            return p.getParameter().getType() == ClusterInstance.class && (context.getTestMethod().isEmpty()
                || AnnotationSupport.isAnnotated(p.getParameter().getDeclaringExecutable(), TestTemplate.class));
        }

        @Override
        public Object resolveParameter(ParameterContext p, ExtensionContext context) { return cluster.instance(); }
    }

    /** A test that uses internals of Kafka's process gives no verdict, even if it swallows the exception. */
    private final class Judge implements TestExecutionExceptionHandler, LifecycleMethodExecutionExceptionHandler {
        private void judge(Throwable thrown) throws Throwable {
            if (cluster.refused() != null && !(thrown instanceof TestAbortedException))
                throw new TestAbortedException(cluster.refused(), thrown);
            throw thrown;
        }

        @Override
        public void handleTestExecutionException(ExtensionContext context, Throwable thrown) throws Throwable { judge(thrown); }

        @Override
        public void handleBeforeEachMethodExecutionException(ExtensionContext context, Throwable thrown) throws Throwable { judge(thrown); }
    }
}
