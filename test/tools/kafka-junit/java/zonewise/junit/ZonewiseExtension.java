package zonewise.junit;

import java.lang.reflect.Method;
import java.util.Arrays;
import java.util.HashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.apache.kafka.common.network.ListenerName;
import org.apache.kafka.common.test.api.AutoStart;
import org.apache.kafka.common.test.api.ClusterConfig;
import org.apache.kafka.common.test.api.ClusterConfigProperty;
import org.apache.kafka.common.test.api.ClusterFeature;
import org.apache.kafka.common.test.api.ClusterTemplate;
import org.apache.kafka.common.test.api.ClusterTest;
import org.apache.kafka.common.test.api.ClusterTestDefaults;
import org.apache.kafka.common.test.api.ClusterTests;
import org.apache.kafka.server.common.Feature;
import org.junit.jupiter.api.extension.ExtensionContext;
import org.junit.jupiter.api.extension.TestTemplateInvocationContext;
import org.junit.jupiter.api.extension.TestTemplateInvocationContextProvider;
import org.junit.platform.commons.util.ReflectionUtils;

/**
 * Replaces Kafka's own provider of cluster tests: each invocation gets a fresh zonewise. JUnit
 * finds it by META-INF/services. It does nothing in a run on Kafka's own brokers.
 */
public final class ZonewiseExtension implements TestTemplateInvocationContextProvider {
    @ClusterTestDefaults
    private static final class Defaults { }

    @Override
    public boolean supportsTestTemplate(ExtensionContext context) {
        return !Boolean.getBoolean("zonewise.beside") && isClusterTest(context.getRequiredTestMethod());
    }

    static boolean isClusterTest(Method m) {
        return Stream.of(ClusterTest.class, ClusterTests.class, ClusterTemplate.class).anyMatch(a -> m.getDeclaredAnnotation(a) != null);
    }

    @Override
    public Stream<TestTemplateInvocationContext> provideTestTemplateInvocationContexts(ExtensionContext context) {
        Class<?> c = context.getRequiredTestClass();
        Method m = context.getRequiredTestMethod();
        ClusterTestDefaults defaults = c.getDeclaredAnnotation(ClusterTestDefaults.class);
        if (defaults == null)
            defaults = Defaults.class.getDeclaredAnnotation(ClusterTestDefaults.class);
        Set<Wish> wishes = new LinkedHashSet<>();
        ClusterTemplate template = m.getDeclaredAnnotation(ClusterTemplate.class);
        if (template != null)
            for (Object config : (List<?>) ReflectionUtils.invokeMethod(ReflectionUtils.getRequiredMethod(c, template.value()), context.getTestInstance().orElse(null)))
                wishes.add(new Wish((ClusterConfig) config));
        ClusterTest one = m.getDeclaredAnnotation(ClusterTest.class);
        if (one != null)
            wishes.add(new Wish(merge(one, defaults)));
        ClusterTests several = m.getDeclaredAnnotation(ClusterTests.class);
        if (several != null)
            for (ClusterTest test : several.value())
                wishes.add(new Wish(merge(test, defaults)));
        // Whether broker and controller share a process makes no difference here: configurations
        // that differ only in that run once.
        return wishes.stream().map(w -> new Invocation(m.getName(), w.config()));
    }

    private static ClusterConfig merge(ClusterTest test, ClusterTestDefaults defaults) {
        Map<String, String> all = new HashMap<>();
        Map<Integer, Map<String, String>> own = new HashMap<>();
        Stream.concat(Arrays.stream(defaults.serverProperties()), Arrays.stream(test.serverProperties())).forEach((ClusterConfigProperty p) ->
            (p.id() < 0 ? all : own.computeIfAbsent(p.id(), id -> new HashMap<>())).put(p.key(), p.value()));
        Map<Feature, Short> features = new HashMap<>();
        for (ClusterFeature f : test.features())
            features.put(f.feature(), f.version());
        return ClusterConfig.defaultBuilder()
            .setTypes(Set.of(test.types().length == 0 ? defaults.types() : test.types()))
            .setBrokers(test.brokers() == 0 ? defaults.brokers() : test.brokers())
            .setDisksPerBroker(test.disksPerBroker() == 0 ? defaults.disksPerBroker() : test.disksPerBroker())
            .setAutoStart(test.autoStart() == AutoStart.DEFAULT ? defaults.autoStart() : test.autoStart() == AutoStart.YES)
            .setBrokerListenerName(ListenerName.normalised(test.brokerListener()))
            .setBrokerSecurityProtocol(test.brokerSecurityProtocol())
            .setControllerListenerName(ListenerName.normalised(test.controllerListener()))
            .setMetadataVersion(test.metadataVersion())
            .setServerProperties(all).setPerServerProperties(own).setFeatures(features).setTags(List.of(test.tags()))
            .build();
    }

    /** A test's cluster configuration; equal to others that need the same zonewise cluster. */
    private static final class Wish {
        private final ClusterConfig config;

        Wish(ClusterConfig config) { this.config = config; }

        ClusterConfig config() { return config; }

        private List<Object> parts() {
            return List.of(config.numBrokers(), config.numDisksPerBroker(), config.isAutoStart(), config.brokerListenerName(), config.brokerSecurityProtocol(),
                config.metadataVersion(), config.serverProperties(), config.perServerOverrideProperties(), config.features(), config.tags());
        }

        @Override
        public boolean equals(Object other) { return other instanceof Wish w && w.parts().equals(parts()); }

        @Override
        public int hashCode() { return parts().hashCode(); }
    }
}
