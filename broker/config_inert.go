package broker

import "strconv"

// inertBrokerConfigs are configs that Kafka's brokers take at run time and that
// have no meaning here: tools and client suites set them, and hear the same.
// They are reported once they are set.
func inertBrokerConfigs() []configKey {
	const (
		threads  = "No meaning here: work is not bound to threads."
		replicas = "No meaning here: no replica copies from another."
		cleaner  = "No meaning here: there is no log cleaner with threads and buffers of its own."
		kerberos = "No meaning here: Kerberos is not served."
	)
	number := func(name string, kind configKey) configKey {
		kind.name, kind.quiet, kind.use = name, true, useInert
		return kind
	}
	count := func(fallback, least int64, doc string) configKey {
		return configKey{kind: kInt, fallback: strconv.FormatInt(fallback, 10), min: least, max: anyInt, doc: doc}
	}
	long := func(fallback, least int64, doc string) configKey {
		return configKey{kind: kLong, fallback: strconv.FormatInt(fallback, 10), min: least, max: anyLong, doc: doc}
	}
	return []configKey{
		number("background.threads", count(10, 1, threads)),
		number("num.io.threads", count(8, 1, threads)),
		number("num.network.threads", count(3, 1, threads)),
		number("num.recovery.threads.per.data.dir", count(2, 1, threads)),
		number("num.replica.fetchers", count(1, 0, replicas)),
		// kafka-reassign-partitions --throttle sets these three.
		number("follower.replication.throttled.rate", long(anyLong, 0, replicas)),
		number("leader.replication.throttled.rate", long(anyLong, 0, replicas)),
		number("replica.alter.log.dirs.io.max.bytes.per.second", long(anyLong, 0, replicas)),
		number("log.cleaner.threads", count(1, 0, cleaner)),
		number("log.cleaner.io.buffer.size", count(524288, 0, cleaner)),
		number("log.cleaner.backoff.ms", long(15000, 0, cleaner)),
		number("log.cleaner.dedupe.buffer.size", long(134217728, 0, cleaner)),
		number("sasl.kerberos.min.time.before.relogin", long(60000, 0, kerberos)),
	}
}
