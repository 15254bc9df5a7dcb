package broker

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Limits of configs that no broker knows.
const (
	maxConfigName  = 249
	maxConfigValue = 4096
)

// keptBrokerConfig is a broker config that nothing here knows, nor anything in
// Kafka, where it may be a plug-in's: it is kept, and told without its value,
// which may be a secret. What Kafka does know and takes from a broker's file
// alone, or what would have an effect there that it cannot have here, is
// refused with what is wrong.
func keptBrokerConfig(name string) (k configKey, code int16, problem string) {
	switch {
	case slices.Contains(strings.Fields(fileConfigs), name):
		return k, errInvalidRequest, notAtRunTime(name)
	case strings.HasPrefix(name, "ssl."):
		return k, errInvalidRequest, name + " is a config of one listener, and listeners have no TLS yet"
	case strings.HasPrefix(name, "listener.name."), slices.Contains(strings.Fields(unservedConfigs), name):
		return k, errInvalidConfig, "config " + name + " is not served"
	case name == "" || len(name) > maxConfigName:
		return k, errInvalidConfig, "the name of a config has 1 to 249 bytes"
	}
	return configKey{name: name, kind: kUnknown, null: true, readOnly: true, use: useInert, doc: "Unknown here; kept.", valid: func(v string) string {
		if len(v) > maxConfigValue {
			return "a config that is not known may have 4096 bytes"
		}
		return ""
	}}, errNone, ""
}

// notAtRunTime is how Kafka says it; its own tests look for the words.
func notAtRunTime(name string) string {
	return "Cannot update these configs dynamically: Set(" + name + ")"
}

// kept are the configs that are set and that the table does not know, sorted.
func kept(table []configKey, set ...map[string]string) (out []configKey) {
	seen := map[string]bool{}
	for _, m := range set {
		for name := range m {
			if _, known := findConfig(table, name); known || seen[name] {
				continue
			}
			seen[name] = true
			if k, code, _ := keptBrokerConfig(name); code == errNone {
				out = append(out, k)
			}
		}
	}
	slices.SortFunc(out, func(a, b configKey) int { return strings.Compare(a.name, b.name) })
	return out
}

// kUnknown is the type of what no broker knows.
const kUnknown kmsg.ConfigType = 0

// fileConfigs are the other configs that Kafka 4.1 takes from a broker's file.
const fileConfigs = `
add.partitions.to.txn.retry.backoff.max.ms add.partitions.to.txn.retry.backoff.ms advertised.listeners alter.config.policy.class.name
alter.log.dirs.replication.quota.window.num alter.log.dirs.replication.quota.window.size.seconds authorizer.class.name auto.leader.rebalance.enable
broker.heartbeat.interval.ms broker.id broker.session.timeout.ms client.quota.callback.class connection.failed.authentication.delay.ms connections.max.reauth.ms
controlled.shutdown.enable controller.listener.names controller.performance.always.log.threshold.ms controller.performance.sample.period.ms
controller.quorum.append.linger.ms controller.quorum.bootstrap.servers controller.quorum.election.backoff.max.ms controller.quorum.election.timeout.ms
controller.quorum.fetch.timeout.ms controller.quorum.request.timeout.ms controller.quorum.retry.backoff.ms controller.quorum.voters controller.quota.window.num
controller.quota.window.size.seconds controller.socket.timeout.ms create.topic.policy.class.name delegation.token.expiry.check.interval.ms delegation.token.expiry.time.ms
delegation.token.max.lifetime.ms delegation.token.secret.key delete.records.purgatory.purge.interval.requests early.start.listeners
fetch.purgatory.purge.interval.requests group.consumer.regex.refresh.interval.ms group.coordinator.append.linger.ms group.coordinator.threads group.max.size
group.share.assignors group.share.delivery.count.limit group.share.enable group.share.heartbeat.interval.ms group.share.max.heartbeat.interval.ms
group.share.max.record.lock.duration.ms group.share.max.session.timeout.ms group.share.max.share.sessions group.share.max.size group.share.min.heartbeat.interval.ms
group.share.min.record.lock.duration.ms group.share.min.session.timeout.ms group.share.partition.max.record.locks group.share.persister.class.name
group.share.record.lock.duration.ms group.share.session.timeout.ms group.streams.heartbeat.interval.ms group.streams.max.heartbeat.interval.ms
group.streams.max.session.timeout.ms group.streams.max.size group.streams.max.standby.replicas group.streams.min.heartbeat.interval.ms
group.streams.min.session.timeout.ms group.streams.num.standby.replicas group.streams.session.timeout.ms initial.broker.registration.timeout.ms inter.broker.listener.name
kafka.metrics.polling.interval.secs kafka.metrics.reporters leader.imbalance.check.interval.seconds log.cleaner.enable log.dir log.dir.failure.timeout.ms log.dirs
log.flush.offset.checkpoint.interval.ms log.flush.scheduler.interval.ms log.flush.start.offset.checkpoint.interval.ms log.initial.task.delay.ms
log.retention.check.interval.ms log.retention.minutes log.roll.hours log.roll.jitter.hours max.request.partition.size.limit metadata.log.dir
metadata.log.max.record.bytes.between.snapshots metadata.log.max.snapshot.interval.ms metadata.log.segment.bytes metadata.log.segment.ms metadata.max.idle.interval.ms
metadata.max.retention.bytes metadata.max.retention.ms metrics.num.samples metrics.recording.level metrics.sample.window.ms node.id num.replica.alter.log.dirs.threads
offsets.commit.timeout.ms offsets.load.buffer.size offsets.topic.compression.codec offsets.topic.num.partitions offsets.topic.replication.factor
offsets.topic.segment.bytes process.roles producer.id.expiration.check.interval.ms producer.purgatory.purge.interval.requests queued.max.request.bytes queued.max.requests
quota.window.num quota.window.size.seconds remote.log.manager.copy.quota.window.num remote.log.manager.copy.quota.window.size.seconds
remote.log.manager.fetch.quota.window.num remote.log.manager.fetch.quota.window.size.seconds remote.log.manager.task.interval.ms
remote.log.manager.task.retry.backoff.max.ms remote.log.manager.task.retry.backoff.ms remote.log.manager.task.retry.jitter remote.log.manager.thread.pool.size
remote.log.metadata.custom.metadata.max.bytes remote.log.metadata.manager.class.name remote.log.metadata.manager.class.path remote.log.metadata.manager.impl.prefix
remote.log.metadata.manager.listener.name remote.log.reader.max.pending.tasks remote.log.storage.manager.class.name remote.log.storage.manager.class.path
remote.log.storage.manager.impl.prefix remote.log.storage.system.enable replica.fetch.backoff.ms replica.fetch.max.bytes replica.fetch.min.bytes
replica.fetch.response.max.bytes replica.fetch.wait.max.ms replica.high.watermark.checkpoint.interval.ms replica.lag.time.max.ms replica.selector.class
replica.socket.receive.buffer.bytes replica.socket.timeout.ms replication.quota.window.num replication.quota.window.size.seconds request.timeout.ms
sasl.client.callback.handler.class sasl.login.callback.handler.class sasl.login.class sasl.login.connect.timeout.ms sasl.login.read.timeout.ms
sasl.login.retry.backoff.max.ms sasl.login.retry.backoff.ms sasl.mechanism.controller.protocol sasl.oauthbearer.assertion.algorithm sasl.oauthbearer.assertion.claim.aud
sasl.oauthbearer.assertion.claim.exp.seconds sasl.oauthbearer.assertion.claim.iss sasl.oauthbearer.assertion.claim.jti.include
sasl.oauthbearer.assertion.claim.nbf.seconds sasl.oauthbearer.assertion.claim.sub sasl.oauthbearer.assertion.file sasl.oauthbearer.assertion.private.key.file
sasl.oauthbearer.assertion.private.key.passphrase sasl.oauthbearer.assertion.template.file sasl.oauthbearer.client.credentials.client.id
sasl.oauthbearer.client.credentials.client.secret sasl.oauthbearer.clock.skew.seconds sasl.oauthbearer.expected.audience sasl.oauthbearer.expected.issuer
sasl.oauthbearer.jwks.endpoint.refresh.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms sasl.oauthbearer.jwks.endpoint.retry.backoff.ms
sasl.oauthbearer.jwks.endpoint.url sasl.oauthbearer.jwt.retriever.class sasl.oauthbearer.jwt.validator.class sasl.oauthbearer.scope sasl.oauthbearer.scope.claim.name
sasl.oauthbearer.sub.claim.name sasl.oauthbearer.token.endpoint.url sasl.server.callback.handler.class sasl.server.max.receive.size security.inter.broker.protocol
security.providers server.max.startup.time.ms share.coordinator.append.linger.ms share.coordinator.cold.partition.snapshot.interval.ms share.coordinator.load.buffer.size
share.coordinator.snapshot.update.records.per.snapshot share.coordinator.state.topic.compression.codec share.coordinator.state.topic.min.isr
share.coordinator.state.topic.num.partitions share.coordinator.state.topic.prune.interval.ms share.coordinator.state.topic.replication.factor
share.coordinator.state.topic.segment.bytes share.coordinator.threads share.coordinator.write.timeout.ms share.fetch.purgatory.purge.interval.requests
socket.connection.setup.timeout.max.ms socket.connection.setup.timeout.ms socket.listen.backlog.size socket.receive.buffer.bytes socket.send.buffer.bytes
ssl.allow.dn.changes ssl.allow.san.changes ssl.principal.mapping.rules telemetry.max.bytes transaction.abort.timed.out.transaction.cleanup.interval.ms
transaction.max.timeout.ms transaction.remove.expired.transaction.cleanup.interval.ms transaction.state.log.load.buffer.size transaction.state.log.min.isr
transaction.state.log.num.partitions transaction.state.log.replication.factor transaction.state.log.segment.bytes transaction.two.phase.commit.enable
unclean.leader.election.interval.ms unstable.api.versions.enable unstable.feature.versions.enable
`

// unservedConfigs are configs that Kafka takes at run time, and that would
// promise here what is not kept: connections are not counted by address,
// there is no SASL, no reporter, no remote tier.
const unservedConfigs = `
listener.security.protocol.map listeners log.cleaner.io.buffer.load.factor log.cleaner.io.max.bytes.per.second max.connection.creation.rate max.connections
max.connections.per.ip max.connections.per.ip.overrides metric.reporters principal.builder.class remote.fetch.max.wait.ms remote.list.offsets.request.timeout.ms
remote.log.index.file.cache.total.size.bytes remote.log.manager.copier.thread.pool.size remote.log.manager.copy.max.bytes.per.second
remote.log.manager.expiration.thread.pool.size remote.log.manager.fetch.max.bytes.per.second remote.log.reader.threads sasl.enabled.mechanisms sasl.jaas.config
sasl.kerberos.kinit.cmd sasl.kerberos.principal.to.local.rules sasl.kerberos.service.name sasl.kerberos.ticket.renew.jitter sasl.kerberos.ticket.renew.window.factor
sasl.login.refresh.buffer.seconds sasl.login.refresh.min.period.seconds sasl.login.refresh.window.factor sasl.login.refresh.window.jitter
sasl.mechanism.inter.broker.protocol transaction.partition.verification.enable
`
