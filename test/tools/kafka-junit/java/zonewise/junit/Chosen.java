package zonewise.junit;

import java.lang.reflect.Method;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.regex.Pattern;
import org.junit.jupiter.api.extension.ConditionEvaluationResult;
import org.junit.jupiter.api.extension.ExecutionCondition;
import org.junit.jupiter.api.extension.ExtensionContext;

/** Skips tests that were not selected, and those that cannot run here, with the reason. */
public final class Chosen implements ExecutionCondition {
    static final String NOT_ASKED = "not asked for";

    private static final Map<Pattern, String> LATER = later();

    private static Map<Pattern, String> later() {
        Map<Pattern, String> m = new LinkedHashMap<>();
        m.put(Pattern.compile("(?i).*share.*"), "share groups come with an issue of their own");
        m.put(Pattern.compile("(?i).*streamsgroup.*"), "streams groups (KIP-1071) come with an issue of their own");
        m.put(Pattern.compile("(?i).*telemetry.*"), "client telemetry comes with an issue of its own");
        m.put(Pattern.compile("(AclCommand|UserScram|Sasl|GroupAuthorizer|DescribeAuthorizedOperations).*"), "security of Kafka listeners comes with an issue of its own");
        m.put(Pattern.compile("(?i).*(clientquota|usersquota|quotaconfig|userquota|customquota).*"), "quotas come with an issue of their own");
        m.put(Pattern.compile("(MetadataQuorumCommand|ReconfigurableQuorum|RaftCluster|BrokerRegistration).*"), "there is no KRaft quorum");
        m.put(Pattern.compile("(?i)GetOffsetShellTest.*(tiered|localspec).*"), "there is no tiered storage: all of it is in the bucket");
        m.put(Pattern.compile("ClusterToolTest.testUnregister.*"), "there is no KRaft quorum that a broker is registered with");
        m.put(Pattern.compile("ConsumerIntegrationTest.testSingleCoordinatorOwnership.*"), "broker internals: it reads metrics of brokers in its own process");
        m.put(Pattern.compile("MetricsDuringTopicCreationDeletionTest.*"), "broker internals: it reads metrics of brokers in its own process");
        return m;
    }

    @Override
    public ConditionEvaluationResult evaluateExecutionCondition(ExtensionContext context) {
        if (context.getTestMethod().isEmpty())
            return ConditionEvaluationResult.enabled("a class");
        Method m = context.getTestMethod().get();
        String name = context.getRequiredTestClass().getSimpleName() + "." + m.getName();
        if (!Pattern.compile(System.getProperty("zonewise.run", "")).matcher(name).find()
            || !ZonewiseExtension.isClusterTest(m) && !Harness.isTest(context.getRequiredTestClass()))
            return ConditionEvaluationResult.disabled(NOT_ASKED);
        for (var e : LATER.entrySet())
            if (e.getKey().matcher(name).matches())
                return ConditionEvaluationResult.disabled(e.getValue());
        return ConditionEvaluationResult.enabled("chosen");
    }
}
