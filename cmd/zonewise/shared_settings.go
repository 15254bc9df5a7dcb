package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket/s3"
)

// Settings without which brokers cannot work together at all. Differences of
// the others are logged: they are normal while brokers are restarted one by
// one.
const (
	settingBucket  = "--bucket"
	settingPeerTLS = "--peer-ca, --peer-cert and --peer-key"
)

func mustAgree(name string) bool { return name == settingBucket || name == settingPeerTLS }

// sharedFlags are the other settings that brokers of a cluster should have in
// common: clients meet one broker or another, and rates are the cluster's.
func sharedFlags() []string {
	return []string{
		"auto-create-topics", "delete-topics", "default-partitions", "check-replication-factor", "offsets-topic-partitions", "offsets-retention",
		"commit-rate", "entry-rate", "run-rate", "inline-rate",
		"retention-check-interval", "delete-grace", "recovery-base-interval",
		"group-initial-rebalance-delay", "group-min-session-timeout", "group-max-session-timeout", "group-max-size",
		"group-consumer-session-timeout", "group-consumer-heartbeat-interval", "group-consumer-max-size",
	}
}

// sharedSettings are the settings that this broker publishes, by their flags.
func (o *brokerOptions) sharedSettings(priceBook string) (map[string]string, error) {
	where, err := bucketIdentity(o.bucket)
	if err != nil {
		return nil, err
	}
	names := slices.Sorted(slices.Values(o.zoneNames))
	out := map[string]string{settingBucket: where, settingPeerTLS: "not given", "--zone-names": strings.Join(names, ","), "--price-book": priceBook}
	if o.peerTLS != (tlsOptions{}) {
		out[settingPeerTLS] = "given"
	}
	for _, name := range sharedFlags() {
		out["--"+name] = o.value(name)
	}
	return out, nil
}

// bucketIdentity identifies a bucket independently of the endpoint, which may
// be another one in every zone.
func bucketIdentity(where string) (string, error) {
	if strings.HasPrefix(where, "s3:") {
		c, err := s3.ParseURL(where)
		if err != nil {
			return "", err
		}
		return "s3://" + c.Bucket + "/" + c.Prefix, nil
	}
	path, err := filepath.Abs(where)
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		return "", fmt.Errorf("find bucket folder: %w", err)
	}
	return path, nil
}

// settingDifference is a setting that another broker has otherwise.
type settingDifference struct {
	name, here, there string
	broker            metadata.LiveSession
}

func (d settingDifference) String() string {
	say := func(value string) string {
		if value == "" {
			return "empty"
		}
		return value
	}
	return fmt.Sprintf("%s: %s here, %s at the broker of zone %s, --peer %s", d.name, say(d.here), say(d.there), d.broker.Info.Zone, d.broker.Info.Peer)
}

// compareWith compares our settings with those of others. A broker of our
// address is an earlier process of this broker; a setting that a broker does
// not publish is of another version.
func compareWith(ours map[string]string, peer string, others []metadata.LiveSession) (out []settingDifference) {
	for _, o := range others {
		if o.Info.Peer == peer {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(ours)) {
			if there, published := o.Info.Settings[name]; published && there != ours[name] {
				out = append(out, settingDifference{name, ours[name], there, o})
			}
		}
	}
	return out
}

// settingsLog lists the settings of brokers that have a session.
type settingsLog interface {
	Settings(ctx context.Context) ([]metadata.LiveSession, error)
}

// compareSettings refuses to start with incompatible settings, and logs a
// warning for all other differences.
func compareSettings(ctx context.Context, log settingsLog, ours map[string]string, peer string, logger *slog.Logger) error {
	others, err := log.Settings(ctx)
	if err != nil {
		return err
	}
	var refused []error
	for _, d := range compareWith(ours, peer, others) {
		if mustAgree(d.name) {
			refused = append(refused, fmt.Errorf("a setting that must be the same on all brokers differs: %s", d))
			continue
		}
		logger.Warn("a setting differs between brokers: clients see either value; set the same value on all", "setting", d.name,
			"here", d.here, "there", d.there, "zone", d.broker.Info.Zone, "peer", d.broker.Info.Peer)
	}
	return errors.Join(refused...)
}

// checkSettings returns the settings that this broker publishes, after they
// were compared with those of others.
func (b *brokerProcess) checkSettings(ctx context.Context, log settingsLog) (map[string]string, error) {
	ours, err := b.o.sharedSettings(b.files.book.ID())
	if err != nil {
		return nil, err
	}
	if err := compareSettings(ctx, log, ours, b.o.peerAdvertised, b.logger); err != nil {
		return nil, err
	}
	b.runBackground(func(ctx context.Context) { b.recheckSettings(ctx, log, ours) })
	return ours, nil
}

// recheckDelay is when settings are compared once more: brokers that start
// at one time do not see each other before.
const recheckDelay = 15 * time.Second

func (b *brokerProcess) recheckSettings(ctx context.Context, log settingsLog, ours map[string]string) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(recheckDelay):
	}
	if err := compareSettings(ctx, log, ours, b.o.peerAdvertised, b.logger); err != nil && ctx.Err() == nil {
		b.logger.Error("settings differ between brokers: restart the one with the wrong value", "err", err)
	}
}
