package broker

import (
	"strconv"
	"time"

	"github.com/zonewise/zonewise/broker/groups"
	"github.com/zonewise/zonewise/metadata"
)

// brokerRows are the rows of broker configs. Those that are defaults of topic
// configs have the topic's row (brokerTable).
func brokerRows() []configRow {
	rows := servedRows()
	rows = append(rows, groupLimitRows()...)
	rows = append(rows, acceptedRows()...)
	return append(rows, fixedRows()...)
}

// servedRows are the configs that have an effect on this broker, with its own
// values.
func servedRows() []configRow {
	toBool := func(b func(*Server) bool) func(*Server) string {
		return func(s *Server) string { return strconv.FormatBool(b(s)) }
	}
	return []configRow{
		{names: "advertised.listeners listeners", use: useFixed, enforcedBy: "router.View", meaning: "The broker's addresses for clients of the requester's zone."},
		{names: "broker.id node.id", enforcedBy: "Config.Self", meaning: "The id under which the broker is open."},
		{names: "broker.rack", enforcedBy: "Config.Zone", meaning: "The zone of the broker."},
		{names: "log.dirs", enforcedBy: "logDir", value: constantText(logDir), meaning: "The one synthetic dir of DescribeLogDirs; it is on no disk."},
		{names: "auto.create.topics.enable", enforcedBy: "Config.AutoCreate", value: toBool(func(s *Server) bool { return s.cfg.AutoCreate })},
		{names: "delete.topic.enable", enforcedBy: "Config.KeepTopics", value: toBool(func(s *Server) bool { return !s.cfg.KeepTopics })},
		{names: "num.partitions", enforcedBy: "Config.DefaultPartitions", value: func(s *Server) string { return strconv.Itoa(int(s.cfg.DefaultPartitions)) }},
		{names: "default.replication.factor", enforcedBy: "Server.defaultReplication", value: formatReplication, meaning: "The replication factor of topics that request none: the number of zones."},
		{names: "offsets.topic.num.partitions", enforcedBy: "Config.OffsetsPartitions", value: func(s *Server) string { return strconv.Itoa(int(s.cfg.OffsetsPartitions)) }},
		{names: "share.coordinator.state.topic.num.partitions transaction.state.log.num.partitions", enforcedBy: "internalPartitions", value: constantNumber(internalPartitions)},
		{names: "offsets.topic.replication.factor share.coordinator.state.topic.replication.factor transaction.state.log.replication.factor",
			enforcedBy: "Server.newTopic", value: formatReplication, meaning: "The number of zones."},
		{names: "offsets.topic.segment.bytes share.coordinator.state.topic.segment.bytes transaction.state.log.segment.bytes", enforcedBy: "internalSegmentBytes", value: constantNumber(internalSegmentBytes),
			meaning: "Describes the internal topic, which is empty."},
		{names: "connections.max.idle.ms", enforcedBy: "Config.IdleTimeout", value: func(s *Server) string { return formatMillis(s.cfg.IdleTimeout) }},
		{names: "fetch.max.bytes", enforcedBy: "MaxFetchBytes", value: constantNumber(MaxFetchBytes)},
		{names: "max.connections", enforcedBy: "Server.connectionLimit", value: constantNumber(MaxConnections), validate: checkNotZero("max.connections"), checkChange: allowAnyChange,
			meaning: "At most 20,000, whatever is set. At the limit a new connection is closed."},
		{names: "max.incremental.fetch.session.cache.slots", enforcedBy: "MaxFetchSessions", value: constantNumber(MaxFetchSessions)},
		{names: "max.request.partition.size.limit", enforcedBy: "maxDescribedPartitions", value: constantNumber(maxDescribedPartitions)},
		{names: "queued.max.request.bytes", enforcedBy: "Config.FrameBytes", value: func(s *Server) string { return strconv.FormatInt(s.cfg.FrameBytes, 10) }},
		{names: "socket.request.max.bytes", enforcedBy: "MaxFrameBytes", value: constantNumber(MaxFrameBytes), meaning: "Requests other than Produce may have 8 MiB."},
		{names: "transaction.max.timeout.ms", enforcedBy: "MaxTxnTimeoutMs", value: constantNumber(MaxTxnTimeoutMs)},
		{names: metadata.ProducerExpiryConfig, enforcedBy: "metadata.State", value: constantNumber(int64(metadata.ProducerExpiry)), checkChange: allowAnyChange,
			meaning: "May be set for all brokers."},
		{names: metadata.TxnExpiryConfig, enforcedBy: "metadata.State", value: constantNumber(int64(metadata.TxnExpiry)), checkChange: allowAnyChange,
			meaning: "May be set for all brokers, also at run time."},
	}
}

// groupLimitRows are the values of groups.Config, and the bounds of group
// configs.
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
		return from(func(g *groups.Config) string { return formatMillis(d(g)) })
	}
	return []configRow{
		{names: "group.consumer.assignors", enforcedBy: "groups.Coordinator"},
		{names: "group.consumer.migration.policy", enforcedBy: "groups.Coordinator", meaning: "Groups change their protocol online, in both directions."},
		{names: "group.coordinator.rebalance.protocols", enforcedBy: "groups.Coordinator", value: constantText("classic,consumer")},
		{names: "group.consumer.heartbeat.interval.ms", enforcedBy: "groups.Config.ConsumerHeartbeatInterval",
			value: length(func(g *groups.Config) time.Duration { return g.ConsumerHeartbeatInterval })},
		{names: "group.consumer.session.timeout.ms", enforcedBy: "groups.Config.ConsumerSessionTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.ConsumerSessionTimeout })},
		// A broker's own value outside of Kafka's range extends it.
		{names: "group.consumer.min.heartbeat.interval.ms", enforcedBy: "bounds",
			value: length(func(g *groups.Config) time.Duration { return min(5*time.Second, g.ConsumerHeartbeatInterval) })},
		{names: "group.consumer.max.heartbeat.interval.ms", enforcedBy: "bounds",
			value: length(func(g *groups.Config) time.Duration { return max(15*time.Second, g.ConsumerHeartbeatInterval) })},
		{names: "group.consumer.min.session.timeout.ms", enforcedBy: "bounds",
			value: length(func(g *groups.Config) time.Duration { return min(45*time.Second, g.ConsumerSessionTimeout) })},
		{names: "group.consumer.max.session.timeout.ms", enforcedBy: "bounds",
			value: length(func(g *groups.Config) time.Duration { return max(time.Minute, g.ConsumerSessionTimeout) })},
		{names: "group.consumer.max.size", enforcedBy: "groups.Config.MaxConsumers", value: count(func(g *groups.Config) int { return g.MaxConsumers })},
		{names: "group.max.size", enforcedBy: "groups.Config.MaxGroupSize", value: count(func(g *groups.Config) int { return g.MaxGroupSize })},
		{names: "group.initial.rebalance.delay.ms", enforcedBy: "groups.Config.InitialRebalanceDelay",
			value: length(func(g *groups.Config) time.Duration { return g.InitialRebalanceDelay })},
		{names: "group.min.session.timeout.ms", enforcedBy: "groups.Config.MinSessionTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.MinSessionTimeout })},
		{names: "group.max.session.timeout.ms", enforcedBy: "groups.Config.MaxSessionTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.MaxSessionTimeout })},
		{names: "offset.metadata.max.bytes", enforcedBy: "groups.Config.MaxOffsetMetadata", value: count(func(g *groups.Config) int { return g.MaxOffsetMetadata })},
		{names: "offsets.commit.timeout.ms", enforcedBy: "groups.Config.WriteTimeout",
			value: length(func(g *groups.Config) time.Duration { return g.WriteTimeout })},
		{names: "offsets.retention.check.interval.ms", enforcedBy: "groups.Coordinator"},
		{names: "offsets.retention.minutes", enforcedBy: "groups.Config.OffsetRetention",
			value: count(func(g *groups.Config) int { return int(g.OffsetRetention / time.Minute) })},
	}
}

// acceptedRows are configs that Kafka's brokers accept at run time and that
// have no effect here: tools and client suites set them, and get Kafka's
// responses.
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
		assignment  = "No meaning here: an assignment is computed as soon as it is needed."
	)
	return []configRow{
		{names: "background.threads num.io.threads num.network.threads num.recovery.threads.per.data.dir", use: useInert, meaning: threads, checkChange: checkThreadChange},
		{names: "num.replica.fetchers", use: useInert, meaning: replicas, checkChange: checkThreadChange},
		{names: "follower.fetch.last.tiered.offset.enable follower.replication.throttled.rate leader.replication.throttled.rate replica.alter.log.dirs.io.max.bytes.per.second",
			use: useInert, meaning: replicas},
		{names: "log.cleaner.threads", use: useInert, meaning: cleaner, checkChange: checkCleanerChange},
		{names: "log.cleaner.backoff.ms log.cleaner.dedupe.buffer.size log.cleaner.io.buffer.load.factor log.cleaner.io.buffer.size log.cleaner.io.max.bytes.per.second", use: useInert, meaning: cleaner},
		{names: "max.connection.creation.rate", use: useInert, meaning: "No meaning here: connections are accepted as they arrive.", validate: checkNotZero("max.connection.creation.rate")},
		{names: "max.connections.per.ip max.connections.per.ip.overrides", use: useInert, meaning: connections},
		{names: "metric.reporters", use: useInert, meaning: "No meaning here: metrics are served at /metrics.", validate: checkReporters},
		{names: "config.providers", use: useInert, meaning: "No meaning here: values are used as they are."},
		{names: "cordoned.log.dirs", use: useInert, meaning: "No meaning here: the one dir is the bucket.", validate: checkLogDirs},
		{names: "principal.builder.class sasl.enabled.mechanisms sasl.kerberos.kinit.cmd sasl.kerberos.min.time.before.relogin sasl.kerberos.principal.to.local.rules " +
			"sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor sasl.login.refresh.buffer.seconds " +
			"sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor sasl.login.refresh.window.jitter sasl.mechanism.inter.broker.protocol", use: useInert, meaning: sasl},
		{names: "ssl.cipher.suites ssl.client.auth ssl.enabled.protocols ssl.endpoint.identification.algorithm ssl.engine.factory.class ssl.keymanager.algorithm " +
			"ssl.protocol ssl.provider ssl.secure.random.implementation ssl.trustmanager.algorithm", use: useInert, meaning: tls},
		{names: "remote.fetch.max.wait.ms remote.list.offsets.request.timeout.ms remote.log.index.file.cache.total.size.bytes " +
			"remote.log.manager.copy.max.bytes.per.second remote.log.manager.fetch.max.bytes.per.second", use: useInert, meaning: tiers},
		{names: "remote.log.manager.copier.thread.pool.size remote.log.manager.expiration.thread.pool.size remote.log.manager.follower.thread.pool.size remote.log.reader.threads",
			use: useInert, meaning: tiers, checkChange: checkThreadChange},
		{names: "errors.deadletterqueue.auto.create.topics.enable errors.deadletterqueue.topic.name.prefix group.share.assignment.interval.ms group.share.assignor.offload.enable " +
			"group.streams.assignment.interval.ms group.streams.assignor.offload.enable share.coordinator.cached.buffer.max.bytes", use: useInert, meaning: unserved},
		{names: "group.consumer.assignment.interval.ms group.consumer.assignor.offload.enable", use: useInert, meaning: assignment},
		{names: "group.coordinator.cached.buffer.max.bytes", use: useInert, meaning: "No meaning here: coordinators have no append buffer."},
		{names: "transaction.partition.verification.enable", use: useInert, meaning: "No meaning here: apply checks every batch of a transaction."},
	}
}

// fixedRows are configs that Kafka reads from a broker's file only and that
// have no effect here, and some that must not be changeable at run time.
func fixedRows() []configRow {
	return []configRow{
		{names: "listener.security.protocol.map", use: useFixed, value: constantText("PLAINTEXT:PLAINTEXT"), meaning: "Listeners speak plain Kafka."},
		{names: "security.inter.broker.protocol inter.broker.listener.name", use: useFixed, meaning: "No meaning here: brokers use a separate endpoint among themselves."},
		{names: "sasl.jaas.config", use: useFixed, meaning: "No meaning here: SASL is not served yet, and no secret is stored for it."},
		{names: "ssl.key.password ssl.keystore.certificate.chain ssl.keystore.key ssl.keystore.location ssl.keystore.password ssl.keystore.type " +
			"ssl.truststore.certificates ssl.truststore.location ssl.truststore.password ssl.truststore.type", use: useFixed, meaning: "No meaning here: listeners have no TLS yet."},
		{names: "log.retention.hours log.retention.minutes", use: useFixed, meaning: "The default of log.retention.ms, which can be set for all brokers."},
		{names: "log.retention.check.interval.ms", use: useFixed, value: func(s *Server) string { return formatMillis(s.cfg.RetentionCheck) },
			meaning: "How long records stay after their commit, whatever their age (--retention-check-interval)."},
		{names: "log.roll.hours log.roll.jitter.hours log.cleaner.enable log.dir log.dir.failure.timeout.ms log.flush.* log.initial.task.delay.ms",
			use: useFixed, meaning: "No meaning here: a broker has no log on a disk."},
		{names: "process.roles", use: useFixed, value: constantText("broker"), meaning: "etcd orders the log; there is no controller."},
		{names: "auto.leader.rebalance.enable broker.* controlled.shutdown.enable controller.* early.start.listeners initial.broker.registration.timeout.ms " +
			"internal.metadata.* leader.imbalance.check.interval.seconds metadata.* server.max.startup.time.ms unclean.leader.election.interval.ms",
			use: useFixed, meaning: "No meaning here: etcd orders the log; there is no KRaft quorum."},
		{names: "num.replica.alter.log.dirs.threads replica.*", use: useFixed, meaning: "No meaning here: no replica copies from another."},
		{names: "alter.log.dirs.replication.quota.* client.quota.callback.class quota.* replication.quota.*", use: useFixed, meaning: "No meaning here: quotas are not served yet."},
		{names: "alter.config.policy.class.name create.topic.policy.class.name", use: useFixed, meaning: "No meaning here: there are no Java classes to load."},
		{names: "authorizer.class.name connection.failed.authentication.delay.ms connections.max.reauth.ms delegation.token.* sasl.* security.providers ssl.*",
			use: useFixed, meaning: "No meaning here: authentication is not served yet."},
		{names: "kafka.metrics.* metrics.* telemetry.max.bytes", use: useFixed, meaning: "No meaning here: metrics are served at /metrics."},
		{names: "remote.log.*", use: useFixed, meaning: "No meaning here: all records are in object storage, without tiers."},
		{names: "group.share.* group.streams.* share.coordinator.* share.fetch.*", use: useFixed, meaning: "No meaning here: groups of this kind are not served."},
		{names: "group.consumer.max.assignment.interval.ms group.consumer.min.assignment.interval.ms group.consumer.regex.refresh.interval.ms group.coordinator.*",
			use: useFixed, meaning: "No meaning here: a coordinator handles requests as they arrive."},
		{names: "offsets.load.buffer.size offsets.topic.compression.codec transaction.state.log.load.buffer.size transaction.state.log.min.isr",
			use: useFixed, meaning: "No meaning here: internal topics are empty."},
		{names: "add.partitions.to.txn.retry.* producer.id.expiration.check.interval.ms transaction.abort.timed.out.transaction.cleanup.interval.ms " +
			"transaction.remove.expired.transaction.cleanup.interval.ms transaction.two.phase.commit.enable", use: useFixed, meaning: "No meaning here: apply ends and removes transactions."},
		{names: "delete.records.purgatory.purge.interval.requests fetch.purgatory.purge.interval.requests producer.purgatory.purge.interval.requests queued.max.requests request.timeout.ms " +
			"socket.*", use: useFixed, meaning: "No meaning here: there is no purgatory, and sockets have the system's settings."},
		{names: "unstable.*", use: useFixed, meaning: "No meaning here: unstable versions are not served."},
	}
}

func constantText(v string) func(*Server) string { return func(*Server) string { return v } }

func constantNumber(n int64) func(*Server) string { return constantText(strconv.FormatInt(n, 10)) }

func formatMillis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

func formatReplication(s *Server) string { return strconv.Itoa(int(s.defaultReplication())) }
