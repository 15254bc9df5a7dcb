import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.reflect.Field;
import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.kafka.common.config.AbstractConfig;
import org.apache.kafka.common.config.ConfigDef;
import org.apache.kafka.common.utils.internals.AppInfoParser;
import org.apache.kafka.coordinator.group.GroupConfig;
import org.apache.kafka.server.config.AbstractKafkaConfig;
import org.apache.kafka.server.config.DynamicBrokerConfig;
import org.apache.kafka.server.config.QuotaConfig;
import org.apache.kafka.server.config.ServerTopicConfigSynonyms;
import org.apache.kafka.server.metrics.ClientMetricsConfigs;
import org.apache.kafka.storage.internals.log.LogConfig;

/**
 * Writes the definitions in Apache Kafka's jars of configs of brokers, topics,
 * groups and client metrics subscriptions, as JSON, one config per line.
 *
 * <p>Run by `make kafka-configs`, which fetches the jars that pom.xml names and
 * writes broker/configs/kafka.json.
 */
public class KafkaConfigs {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] args) throws Exception {
        Map<String, String> modes = DynamicBrokerConfig.dynamicConfigUpdateModes();
        Map<String, Map<String, ConfigDef.ConfigKey>> resources = new LinkedHashMap<>();
        Map<String, ConfigDef.ConfigKey> quotas = QuotaConfig.brokerQuotaConfigs().configKeys();
        Map<String, ConfigDef.ConfigKey> broker = new TreeMap<>(quotas);
        broker.putAll(AbstractKafkaConfig.CONFIG_DEF.configKeys());
        resources.put("broker", broker);
        resources.put("topic", LogConfig.configKeys());
        resources.put("group", GroupConfig.CONFIG_DEF.configKeys());
        resources.put("clientMetrics", ClientMetricsConfigs.configDef().configKeys());

        StringBuilder out = new StringBuilder("{\n\"kafka\": " + JSON.writeValueAsString(AppInfoParser.getVersion()));
        for (var resource : resources.entrySet()) {
            out.append(",\n\"").append(resource.getKey()).append("\": [");
            String separator = "\n";
            for (ConfigDef.ConfigKey key : new TreeMap<>(resource.getValue()).values()) {
                Map<String, Object> line = describe(key);
                switch (resource.getKey()) {
                    case "broker" -> {
                        line.put("mode", modes.getOrDefault(key.name, "read-only"));
                        if (DynamicBrokerConfig.DYNAMIC_SECURITY_CONFIGS.contains(key.name)) {
                            line.put("perListener", true);
                        }
                        if (key.name.equals(AbstractConfig.CONFIG_PROVIDERS_CONFIG)) { // taken out before values are judged
                            line.remove("valid");
                        }
                        if (quotas.containsKey(key.name)) { // not in a broker's file: without a default, told once it is set
                            line.remove("default");
                            line.put("internal", true);
                        }
                        List<String> names = DynamicBrokerConfig.brokerConfigSynonyms(key.name, true);
                        if (names.size() > 1) {
                            line.put("synonyms", names);
                        }
                    }
                    case "topic" -> putIfPresent(line, Optional.ofNullable(ServerTopicConfigSynonyms.TOPIC_CONFIG_SYNONYMS.get(key.name)));
                    case "group" -> putIfPresent(line, GroupConfig.brokerSynonym(key.name));
                    default -> { }
                }
                out.append(separator).append(JSON.writeValueAsString(line));
                separator = ",\n";
            }
            out.append("\n]");
        }
        System.out.println(out.append("\n}"));
    }

    private static void putIfPresent(Map<String, Object> line, Optional<String> brokerConfig) {
        brokerConfig.ifPresent(name -> line.put("synonyms", List.of(name)));
    }

    private static Map<String, Object> describe(ConfigDef.ConfigKey key) throws Exception {
        Map<String, Object> line = new LinkedHashMap<>();
        line.put("name", key.name);
        line.put("type", key.type.name().toLowerCase());
        if (!key.hasDefault()) {
            line.put("required", true);
        } else if (key.defaultValue != null) {
            line.put("default", ConfigDef.convertToString(key.defaultValue, key.type));
        }
        Map<String, Object> valid = new LinkedHashMap<>();
        validator(valid, key.validator);
        if (!valid.isEmpty()) {
            line.put("valid", valid);
        }
        line.put("importance", key.importance.name().toLowerCase());
        if (key.internalConfig) {
            line.put("internal", true);
        }
        line.put("doc", key.documentation);
        return line;
    }

    /** Adds a validator's constraints to valid; a validator that is code in Kafka is kept as its text. */
    private static void validator(Map<String, Object> valid, ConfigDef.Validator v) throws Exception {
        if (v == null) {
            return;
        }
        switch (v.getClass().getSimpleName()) {
            case "Range" -> {
                put(valid, "min", value(v, "min"));
                put(valid, "max", value(v, "max"));
            }
            case "ValidString" -> put(valid, "oneOf", value(v, "validStrings"));
            case "CaseInsensitiveValidString" -> {
                put(valid, "oneOf", new ArrayList<>((Collection<?>) value(v, "validStrings")).stream().sorted().toList());
                valid.put("anyCase", true);
            }
            case "ValidList" -> {
                validator(valid, (ConfigDef.Validator) value(v, "validString"));
                valid.put("distinct", true);
                if (!(boolean) value(v, "isEmptyAllowed")) {
                    valid.put("notEmpty", true);
                }
            }
            case "NonEmptyString" -> valid.put("notEmpty", true);
            case "CompositeValidator" -> {
                for (Object part : (List<?>) value(v, "validators")) {
                    validator(valid, (ConfigDef.Validator) part);
                }
            }
            default -> valid.put("other", v.getClass().getSimpleName().isEmpty() ? v.getClass().getName() : v.toString());
        }
    }

    private static void put(Map<String, Object> valid, String name, Object value) {
        if (value != null && !(value instanceof List<?> list && list.isEmpty())) {
            valid.put(name, value);
        }
    }

    private static Object value(Object of, String field) throws Exception {
        Field f = of.getClass().getDeclaredField(field);
        f.setAccessible(true);
        return f.get(of);
    }
}
