package broker

import (
	"strconv"
	"time"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
)

// brokerRows say what becomes of brokers' configs. Those that are the defaults
// of topics' have the topic's row (brokerTable).
func brokerRows() []configRow {
	rows := servedRows()
	rows = append(rows, groupLimitRows()...)
	rows = append(rows, acceptedRows()...)
	return append(rows, fixedRows()...)
}

// servedRows are the configs by which this broker goes, with its own values.
func servedRows() []configRow {
	toBool := func(b func(*Server) bool) func(*Server) string {
		return func(s *Server) string { return strconv.FormatBool(b(s)) }
	}
	return []configRow{
		{names: "advertised.listeners listeners", use: useFixed, by: "router.View", here: "Where the clients of the asker's zone find the broker."},
		{names: "broker.id node.id", by: "Config.Self", here: "The id under which the broker is open."},
		{names: "broker.rack", by: "Config.Zone", here: "The zone in which the broker stands."},
		{names: "log.dirs", by: "logDir", value: text(logDir), here: "The one dir that DescribeLogDirs tells of; there is none on any disk."},
		{names: "auto.create.topics.enable", by: "Config.AutoCreate", value: toBool(func(s *Server) bool { return s.cfg.AutoCreate })},
		{names: "delete.topic.enable", by: "Config.KeepTopics", value: toBool(func(s *Server) bool { return !s.cfg.KeepTopics })},
		{names: "num.partitions", by: "Config.DefaultPartitions", value: func(s *Server) string { return strconv.Itoa(int(s.cfg.DefaultPartitions)) }},
		{names: "default.replication.factor", by: "Server.defaultReplication", value: replication, here: "What a topic that asks for none is said to have: the number of zones."},
		{names: "offsets.topic.num.partitions", by: "Config.OffsetsPartitions", value: func(s *Server) string { return strconv.Itoa(int(s.cfg.OffsetsPartitions)) }},
		{names: "share.coordinator.state.topic.num.partitions transaction.state.log.num.partitions", by: "internalPartitions", value: number(internalPartitions)},
		{names: "offsets.topic.replication.factor share.coordinator.state.topic.replication.factor transaction.state.log.replication.factor",
			by: "Server.newTopic", value: replication, here: "The number of zones."},
		{names: "offsets.topic.segment.bytes share.coordinator.state.topic.segment.bytes transaction.state.log.segment.bytes", by: "internalSegmentBytes", value: number(internalSegmentBytes),
			here: "Told of the internal topic, which holds nothing."},
		{names: "connections.max.idle.ms", by: "Config.IdleTimeout", value: func(s *Server) string { return millis(s.cfg.IdleTimeout) }},
		{names: "fetch.max.bytes", by: "MaxFetchBytes", value: number(MaxFetchBytes)},
		{names: "max.connections", by: "Server.connectionLimit", value: number(MaxConnections), valid: moreThanNone("max.connections"), change: anyChange,
			here: "Above 20,000 it is 20,000. At the limit a new connection is closed."},
		{names: "max.incremental.fetch.session.cache.slots", by: "MaxFetchSessions", value: number(MaxFetchSessions)},
		{names: "max.request.partition.size.limit", by: "maxDescribedPartitions", value: number(maxDescribedPartitions)},
		{names: "queued.max.request.bytes", by: "Config.FrameBytes", value: func(s *Server) string { return strconv.FormatInt(s.cfg.FrameBytes, 10) }},
		{names: "socket.request.max.bytes", by: "MaxFrameBytes", value: number(MaxFrameBytes), here: "Requests other than Produce may have 8 MiB."},
		{names: "transaction.max.timeout.ms", by: "MaxTxnTimeoutMs", value: number(MaxTxnTimeoutMs)},
		{names: metadata.ProducerExpiryConfig, by: "metadata.State", value: number(int64(metadata.ProducerExpiry)), change: anyChange,
			here: "To be set for all brokers."},
		{names: metadata.TxnExpiryConfig, by: "metadata.State", value: number(int64(metadata.TxnExpiry)), change: anyChange,
			here: "To be set for all brokers, also at run time."},
	}
}

// groupLimitRows are what groups.Config says, and what a group's own configs
// may be.
func groupLimitRows() []configRow {
	from := func(value func(*groups.Config) string) func(*Server) string {
		return func(s *Server) string {
			g := s.cfg.GroupSettings.WithDefaults()
			return value(&g)
		}
	}
	count := func(n func(*groups.Config) int) func(*Server) string {
		return from(func(g *groups.Config) string { return strconv.Itoa(n(g)) })
	}
	length := func(d func(*groups.Config) time.Duration) func(*Server) string {
		return from(func(g *groups.Config) string { return millis(d(g)) })
	}
	return []configRow{
		{names: "group.consumer.assignors", by: "groups.Coordinator"},
		{names: "group.consumer.migration.policy", by: "groups.Coordinator", here: "Groups change their protocol on line, both ways."},
		{names: "group.coordinator.rebalance.protocols", by: "groups.Coordinator", value: text("classic,consumer")},
		{names: "group.consumer.heartbeat.interval.ms", by: "groups.Config.ConsumerHeartbeatInterval",
			value: length(func(g *groups.Config) time.Duration { return g.ConsumerHeartbeatInterval })},
		{names: "group.consumer.session.timeout.ms", by: "groups.Config.ConsumerSessionTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.ConsumerSessionTimeout })},
		// A broker's own setting outside of Kafka's range widens it.
		{names: "group.consumer.min.heartbeat.interval.ms", by: "bounds",
			value: length(func(g *groups.Config) time.Duration { return min(5*time.Second, g.ConsumerHeartbeatInterval) })},
		{names: "group.consumer.max.heartbeat.interval.ms", by: "bounds",
			value: length(func(g *groups.Config) time.Duration { return max(15*time.Second, g.ConsumerHeartbeatInterval) })},
		{names: "group.consumer.min.session.timeout.ms", by: "bounds",
			value: length(func(g *groups.Config) time.Duration { return min(45*time.Second, g.ConsumerSessionTimeout) })},
		{names: "group.consumer.max.session.timeout.ms", by: "bounds",
			value: length(func(g *groups.Config) time.Duration { return max(time.Minute, g.ConsumerSessionTimeout) })},
		{names: "group.consumer.max.size", by: "groups.Config.MaxConsumers", value: count(func(g *groups.Config) int { return g.MaxConsumers })},
		{names: "group.max.size", by: "groups.Config.MaxGroupSize", value: count(func(g *groups.Config) int { return g.MaxGroupSize })},
		{names: "group.initial.rebalance.delay.ms", by: "groups.Config.InitialRebalanceDelay",
			value: length(func(g *groups.Config) time.Duration { return g.InitialRebalanceDelay })},
		{names: "group.min.session.timeout.ms", by: "groups.Config.MinSessionTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.MinSessionTimeout })},
		{names: "group.max.session.timeout.ms", by: "groups.Config.MaxSessionTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.MaxSessionTimeout })},
		{names: "offset.metadata.max.bytes", by: "groups.Config.MaxOffsetMetadata", value: count(func(g *groups.Config) int { return g.MaxOffsetMetadata })},
		{names: "offsets.commit.timeout.ms", by: "groups.Config.WriteTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.WriteTimeout })},
		{names: "offsets.retention.check.interval.ms", by: "groups.Coordinator"},
		{names: "offsets.retention.minutes", by: "groups.Config.OffsetRetention",
			value: count(func(g *groups.Config) int { return int(g.OffsetRetention / time.Minute) })},
	}
}

// acceptedRows are configs that Kafka's brokers take at run time and that have
// no meaning here: tools and client suites set them, and hear the same.
func acceptedRows() []configRow {
	const (
		threads     = "No meaning here: work is not bound to threads."
		replicas    = "No meaning here: no replica copies from another."
		cleaner     = "No meaning here: there is no log cleaner with threads and buffers of its own."
		tiers       = "No meaning here: all records are in object storage, without tiers."
		connections = "No meaning here: connections are counted for all addresses together (max.connections)."
		sasl        = "No meaning here: SASL is not served yet."
		tls         = "No meaning here: listeners have no TLS yet."
		unserved    = "No meaning here: groups of this kind are not served."
		assignment  = "No meaning here: an assignment is made as soon as it is needed."
	)
	return []configRow{
		{names: "background.threads num.io.threads num.network.threads num.recovery.threads.per.data.dir", use: useInert, here: threads, change: threadChange},
		{names: "num.replica.fetchers", use: useInert, here: replicas, change: threadChange},
		{names: "follower.fetch.last.tiered.offset.enable follower.replication.throttled.rate leader.replication.throttled.rate replica.alter.log.dirs.io.max.bytes.per.second",
			use: useInert, here: replicas},
		{names: "log.cleaner.threads", use: useInert, here: cleaner, change: cleanerChange},
		{names: "log.cleaner.backoff.ms log.cleaner.dedupe.buffer.size log.cleaner.io.buffer.load.factor log.cleaner.io.buffer.size log.cleaner.io.max.bytes.per.second", use: useInert, here: cleaner},
		{names: "max.connection.creation.rate", use: useInert, here: "No meaning here: connections are taken as they come.", valid: moreThanNone("max.connection.creation.rate")},
		{names: "max.connections.per.ip max.connections.per.ip.overrides", use: useInert, here: connections},
		{names: "metric.reporters", use: useInert, here: "No meaning here: metrics are told at /metrics.", valid: knownReporter},
		{names: "config.providers", use: useInert, here: "No meaning here: values are taken as they are."},
		{names: "cordoned.log.dirs", use: useInert, here: "No meaning here: the one dir is the bucket.", valid: knownDirs},
		{names: "principal.builder.class sasl.enabled.mechanisms sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin sasl.kerberos.principal.to.local.rules " +
			"sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor sasl.login.refresh.buffer.seconds " +
			"sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor sasl.login.refresh.window.jitter sasl.mechanism.inter.broker.protocol", use: useInert, here: sasl},
		{names: "ssl.cipher.suites ssl.client.auth ssl.enabled.protocols ssl.endpoint.identification.algorithm ssl.engine.factory.class ssl.keymanager.algorithm " +
			"ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm", use: useInert, here: tls},
		{names: "remote.fetch.max.wait.ms remote.list.offsets.request.timeout.ms remote.log.index.file.cache.total.size.bytes " +
			"remote.log.manager.copy.max.bytes.per.second remote.log.manager.fetch.max.bytes.per.second", use: useInert, here: tiers},
		{names: "remote.log.manager.copier.thread.pool.size remote.log.manager.expiration.thread.pool.size remote.log.manager.follower.thread.pool.size remote.log.reader.threads",
			use: useInert, here: tiers, change: threadChange},
		{names: "errors.deadletterqueue.auto.create.topics.enable errors.deadletterqueue.topic.name.prefix group.share.assignment.interval.ms group.share.assignor.offload.enable " +
			"group.streams.assignment.interval.ms group.streams.assignor.offload.enable share.coordinator.cached.buffer.max.bytes", use: useInert, here: unserved},
		{names: "group.consumer.assignment.interval.ms group.consumer.assignor.offload.enable", use: useInert, here: assignment},
		{names: "group.coordinator.cached.buffer.max.bytes", use: useInert, here: "No meaning here: coordinators keep no buffer of writes."},
		{names: "transaction.partition.verification.enable", use: useInert, here: "No meaning here: apply judges every batch of a transaction."},
	}
}

// fixedRows are configs that Kafka reads from a broker's file alone, of which
// nothing here goes by, and some that may not be promised at run time.
func fixedRows() []configRow {
	return []configRow{
		{names: "listener.security.protocol.map", use: useFixed, value: text("PLAINTEXT:PLAINTEXT"), here: "Listeners speak plain Kafka."},
		{names: "security.inter.broker.protocol inter.broker.listener.name", use: useFixed, here: "No meaning here: brokers have a door of their own for each other."},
		{names: "sasl.jaas.config", use: useFixed, here: "No meaning here: SASL is not served yet, and no secret is kept for it."},
		{names: "ssl.key.password ssl.keystore.certificate.chain ssl.keystore.key ssl.keystore.location ssl.keystore.password ssl.keystore.type " +
			"ssl.truststore.certificates ssl.truststore.location ssl.truststore.password ssl.truststore.type", use: useFixed, here: "No meaning here: listeners have no TLS yet."},
		{names: "log.retention.hours log.retention.minutes", use: useFixed, here: "Not enforced yet; log.retention.ms can be set for all brokers."},
		{names: "log.roll.hours log.roll.jitter.hours log.cleaner.enable log.dir log.dir.failure.timeout.ms log.flush.* log.initial.task.delay.ms log.retention.check.interval.ms",
			use: useFixed, here: "No meaning here: a broker has no log on a disk."},
		{names: "process.roles", use: useFixed, value: text("broker"), here: "etcd orders the log; there is no controller."},
		{names: "auto.leader.rebalance.enable broker.* controlled.shutdown.enable controller.* early.start.listeners initial.broker.registration.timeout.ms " +
			"internal.metadata.* leader.imbalance.check.interval.seconds metadata.* server.max.startup.time.ms unclean.leader.election.interval.ms",
			use: useFixed, here: "No meaning here: etcd orders the log; there is no KRaft quorum."},
		{names: "num.replica.alter.log.dirs.threads replica.*", use: useFixed, here: "No meaning here: no replica copies from another."},
		{names: "alter.log.dirs.replication.quota.* client.quota.callback.class quota.* replication.quota.*", use: useFixed, here: "No meaning here: quotas are not served yet."},
		{names: "alter.config.policy.class.name create.topic.policy.class.name", use: useFixed, here: "No meaning here: there are no classes of Java to load."},
		{names: "authorizer.class.name connection.failed.authentication.delay.ms connections.max.reauth.ms delegation.token.* sasl.* security.providers ssl.*",
			use: useFixed, here: "No meaning here: authentication is not served yet."},
		{names: "kafka.metrics.* metrics.* telemetry.max.bytes", use: useFixed, here: "No meaning here: metrics are told at /metrics."},
		{names: "remote.log.*", use: useFixed, here: "No meaning here: all records are in object storage, without tiers."},
		{names: "group.share.* group.streams.* share.coordinator.* share.fetch.*", use: useFixed, here: "No meaning here: groups of this kind are not served."},
		{names: "group.consumer.max.assignment.interval.ms group.consumer.min.assignment.interval.ms group.consumer.regex.refresh.interval.ms group.coordinator.*",
			use: useFixed, here: "No meaning here: a coordinator works as requests come."},
		{names: "offsets.load.buffer.size offsets.topic.compression.codec transaction.state.log.load.buffer.size transaction.state.log.min.isr",
			use: useFixed, here: "No meaning here: internal topics hold nothing."},
		{names: "add.partitions.to.txn.retry.* producer.id.expiration.check.interval.ms transaction.abort.timed.out.transaction.cleanup.interval.ms " +
			"transaction.remove.expired.transaction.cleanup.interval.ms transaction.two.phase.commit.enable", use: useFixed, here: "No meaning here: apply ends and forgets transactions."},
		{names: "delete.records.purgatory.purge.interval.requests fetch.purgatory.purge.interval.requests producer.purgatory.purge.interval.requests queued.max.requests request.timeout.ms " +
			"socket.*", use: useFixed, here: "No meaning here: requests wait without a purgatory, and sockets are the system's."},
		{names: "unstable.*", use: useFixed, here: "No meaning here: what is unstable is not served."},
	}
}

func text(v string) func(*Server) string { return func(*Server) string { return v } }

func number(n int64) func(*Server) string { return text(strconv.FormatInt(n, 10)) }

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func replication(s *Server) string { return strconv.Itoa(int(s.defaultReplication())) }
