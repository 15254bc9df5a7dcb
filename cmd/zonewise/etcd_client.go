package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/etcdserver"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// etcdOptions say where etcd is and who we are to it.
type etcdOptions struct {
	endpoints    []string
	user         string
	password     string
	passwordFile string
	tls          tlsOptions
}

func (o *etcdOptions) declare(s *cli.Set, name string) {
	s.Strings(&o.endpoints, name, "URLS", "etcd's members, divided by commas: host:port or URLs; a broker prefers the member named after its own zone, or the one given as zone=URL")
	s.String(&o.user, "etcd-user", "", "NAME", "user, where etcd asks who comes")
	s.String(&o.password, "etcd-password", "", "TEXT", "its password; better in --etcd-password-file or "+cli.EnvName("etcd-password"))
	s.String(&o.passwordFile, "etcd-password-file", "", "FILE", "file whose first line is the password")
	o.tls.declare(s, "etcd", "etcd's members")
}

// endpoint is one member, and its zone where that was said.
type endpoint struct {
	zone metadata.ZoneID
	url  string
}

func (o *etcdOptions) parse() ([]endpoint, error) {
	var out []endpoint
	for _, text := range o.endpoints {
		e := endpoint{url: text}
		if zone, url, ok := strings.Cut(text, "="); ok {
			e = endpoint{metadata.ZoneID(zone), url}
		}
		if !strings.Contains(e.url, "://") {
			scheme := "http://"
			if o.tls != (tlsOptions{}) {
				scheme = "https://"
			}
			e.url = scheme + e.url
		}
		out = append(out, e)
	}
	if len(out) == 0 {
		return nil, cli.Usagef("no etcd: give its members, such as --etcd http://10.0.0.1:2379")
	}
	return out, nil
}

// dial connects to all members. The caller closes the client.
func (o *etcdOptions) dial() (*clientv3.Client, []endpoint, error) {
	all, err := o.parse()
	if err != nil {
		return nil, nil, err
	}
	t, err := o.tls.config("etcd")
	if err != nil {
		return nil, nil, err
	}
	password := o.password
	if o.passwordFile != "" {
		body, err := flagFile{"etcd-password-file", o.passwordFile, "a file with etcd's password on its first line"}.read()
		if err != nil {
			return nil, nil, err
		}
		password, _, _ = strings.Cut(string(body), "\n")
	}
	c, err := etcdserver.DialAs(urls(all, ""), t, o.user, strings.TrimRight(password, "\r"))
	return c, all, err
}

// urls returns the endpoints of a zone; of all, where it is "" or has none.
func urls(all []endpoint, zone metadata.ZoneID) []string {
	var near, every []string
	for _, e := range all {
		every = append(every, e.url)
		if zone != "" && e.zone == zone {
			near = append(near, e.url)
		}
	}
	if len(near) > 0 {
		return near
	}
	return every
}

// learnZones asks members whose zone was not said for their names, which say
// it. One that does not answer stays unknown.
func learnZones(ctx context.Context, c *clientv3.Client, all []endpoint) error {
	list, err := c.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("list etcd members: %w", err)
	}
	for i := range all {
		if all[i].zone != metadata.UnknownZone {
			continue
		}
		sctx, cancel := context.WithTimeout(ctx, nearTimeout)
		s, err := c.Status(sctx, all[i].url)
		cancel()
		if err != nil {
			continue
		}
		for _, m := range list.Members {
			if m.ID == s.Header.GetMemberId() {
				all[i].zone = memberZone(m.Name)
			}
		}
	}
	return nil
}

// Times of preferNear.
const (
	nearEvery   = time.Second
	nearTimeout = 2 * time.Second
)

// preferNear sends requests to the own zone's members while one of them
// answers, and to all others while none does. It runs until ctx ends.
func preferNear(ctx context.Context, c *clientv3.Client, all []endpoint, zone metadata.ZoneID, logger *slog.Logger) {
	near := urls(all, zone)
	if len(near) == len(all) {
		return
	}
	using := false
	for {
		alive := false
		for _, u := range near {
			sctx, cancel := context.WithTimeout(ctx, nearTimeout)
			_, err := c.Status(sctx, u)
			cancel()
			alive = alive || err == nil
		}
		if ctx.Err() != nil {
			return
		}
		if alive != using {
			using = alive
			if alive {
				c.SetEndpoints(near...)
				logger.Info("using the etcd member of this zone", "endpoints", near)
			} else {
				c.SetEndpoints(urls(all, "")...)
				logger.Warn("the etcd member of this zone does not answer: using the others, across zones", "endpoints", near)
			}
		}
		select {
		case <-time.After(nearEvery):
		case <-ctx.Done():
			return
		}
	}
}

// ensureCluster returns the cluster's format, and begins the cluster where
// neither etcd nor the bucket has it.
func ensureCluster(ctx context.Context, c etcdlog.Client, cluster string, b bucket.Bucket) (etcdlog.Format, error) {
	f, ok, err := etcdlog.ReadFormat(ctx, c, cluster)
	if err != nil || ok {
		return f, err
	}
	if err := recovery.CheckNew(ctx, cluster, b); err != nil {
		return f, err
	}
	f, _, err = etcdlog.Create(ctx, c, cluster, newSecret())
	return f, err
}

// Least settings of an etcd that the log can live with.
const (
	minEtcdMinor = 5       // 3.5
	minEtcdQuota = 1 << 30 // bytes; 60 % of it is what the log uses at most
	needTxnOps   = 256
	needRequest  = metadata.MaxEntryBytes + 64<<10
)

// checkEtcd holds an etcd that zonewise may not have started against what the
// log relies on. What makes entries impossible is an error, the rest a warning.
func checkEtcd(ctx context.Context, c *clientv3.Client, cluster string, logger *slog.Logger) error {
	for _, u := range c.Endpoints() {
		sctx, cancel := context.WithTimeout(ctx, nearTimeout)
		s, err := c.Status(sctx, u)
		cancel()
		if err != nil {
			logger.Warn("an etcd member does not answer", "endpoint", u, "error", err)
			continue
		}
		major, minor := 0, 0
		if _, err := fmt.Sscanf(s.Version, "%d.%d", &major, &minor); err != nil || major != 3 || minor < minEtcdMinor {
			return fmt.Errorf("etcd at %s has version %q: want 3.%d or later", u, s.Version, minEtcdMinor)
		}
		if s.DbSizeQuota > 0 && s.DbSizeQuota < minEtcdQuota {
			logger.Warn("etcd's quota is small: inline stops at 40 % of it, appends at 60 %", "endpoint", u, "quota_bytes", s.DbSizeQuota,
				"remedy", "start etcd with --quota-backend-bytes=2147483648, or use `zonewise etcd`")
		}
		if len(s.Errors) > 0 {
			logger.Warn("etcd reports alarms", "endpoint", u, "alarms", s.Errors, "remedy", "zonewise repair nospace")
		}
	}
	// The two limits that no RPC shows. Neither transaction changes anything:
	// no key was ever created at a negative revision.
	key := etcdlog.Root + cluster + "/probe"
	never := clientv3.Compare(clientv3.CreateRevision(key), "<", 0)
	many := make([]clientv3.Cmp, needTxnOps)
	for i := range many {
		many[i] = never
	}
	if _, err := c.Txn(ctx).If(many...).Then(clientv3.OpGet(key)).Commit(); errors.Is(err, rpctypes.ErrTooManyOps) {
		return fmt.Errorf("etcd takes fewer than %d operations in a transaction: start it with --max-txn-ops=%d, or use `zonewise etcd`", needTxnOps, needTxnOps)
	} else if err != nil {
		return noQuorum(err)
	}
	if _, err := c.Txn(ctx).If(never).Then(clientv3.OpPut(key, strings.Repeat("x", needRequest))).Commit(); errors.Is(err, rpctypes.ErrRequestTooLarge) {
		return fmt.Errorf("etcd takes no request of %d bytes: start it with --max-request-bytes=4194304, or use `zonewise etcd`", needRequest)
	} else if err != nil {
		return noQuorum(err)
	}
	return nil
}

// noQuorum says what a probe that was not answered most likely means.
func noQuorum(err error) error {
	return fmt.Errorf("probe etcd: %w: have a majority of its members running and reaching each other? ask `zonewise etcd members`", err)
}
