package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/recovery"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// etcdOptions are the addresses of etcd and the credentials for it.
type etcdOptions struct {
	endpoints    []string
	user         string
	password     string
	passwordFile string
	tls          tlsOptions
}

func (o *etcdOptions) declareEtcd(s *cli.Set) {
	s.Strings(&o.endpoints, "etcd", "URLS", "etcd's members, divided by commas: host:port or URLs; a broker prefers the member named after its own zone, or the one given as zone=URL")
	s.String(&o.user, "etcd-user", "", "NAME", "user, where etcd asks who comes")
	s.String(&o.password, "etcd-password", "", "TEXT", "its password; better in --etcd-password-file or "+cli.EnvName("etcd-password"))
	s.String(&o.passwordFile, "etcd-password-file", "", "FILE", "file whose first line is the password")
	o.tls.declareTLS(s, "etcd", "etcd's members")
}

// etcdEndpoint is one member, and its zone where that was given.
type etcdEndpoint struct {
	zone metadata.ZoneID
	url  string
}

func (o *etcdOptions) parseEndpoints() ([]etcdEndpoint, error) {
	var out []etcdEndpoint
	for _, text := range o.endpoints {
		e := etcdEndpoint{url: text}
		if zone, url, ok := strings.Cut(text, "="); ok {
			e = etcdEndpoint{metadata.ZoneID(zone), url}
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

// loadLogin reads the password and the certificates, before anything is opened.
func (o *etcdOptions) loadLogin() (*etcdLogin, error) {
	password := o.password
	if o.passwordFile != "" {
		body, err := flagFile{"etcd-password-file", o.passwordFile, "a file with etcd's password on its first line"}.readFile()
		if err != nil {
			return nil, err
		}
		password, _, _ = strings.Cut(string(body), "\n")
	}
	t, err := o.tls.openFiles("etcd")
	return &etcdLogin{o.user, strings.TrimRight(password, "\r"), t}, err
}

// dialAll connects to all members as one, for an operator's command: one that hangs
// is not connected to. The caller closes the client.
func (o *etcdOptions) dialAll() (*clientv3.Client, error) {
	all, err := o.parseEndpoints()
	if err != nil {
		return nil, err
	}
	login, err := o.loadLogin()
	if err != nil {
		return nil, err
	}
	var every []string
	for _, e := range all {
		every = append(every, e.url)
	}
	return login.dialMembers(every)
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

// checkMembers holds an etcd that zonewise may not have started against what the log
// relies on. What makes entries impossible is an error, the rest a warning.
func (e *etcdMembers) checkMembers(ctx context.Context, cluster string) error {
	found := make([]*clientv3.StatusResponse, len(e.all))
	errs := make([]error, len(e.all))
	var wg sync.WaitGroup
	for i := range e.all {
		wg.Go(func() { found[i], errs[i] = e.memberStatus(ctx, i) })
	}
	wg.Wait()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	some := slices.Contains(errs, nil)
	for i, s := range found {
		url := e.endpointOf(i).url
		if errs[i] != nil {
			if some {
				e.logger.Warn("an etcd member does not answer: starting without it", "member", url, "err", errs[i])
			}
			continue
		}
		if err := e.checkMember(url, s); err != nil {
			return err
		}
	}
	if err := checkLimits(ctx, e, etcdlog.Root+cluster+"/probe"); err != nil {
		if why := e.UnavailableReason(); why != "" {
			return fmt.Errorf("etcd is not reachable (%s): is a majority of its members running and connected? check `zonewise etcd members`", why)
		}
		return err
	}
	return nil
}

// checkTimeout bounds the wait for an etcd that is starting, too.
const checkTimeout = 30 * time.Second

// checkMember checks the status of one member.
func (e *etcdMembers) checkMember(url string, s *clientv3.StatusResponse) error {
	major, minor := 0, 0
	if _, err := fmt.Sscanf(s.Version, "%d.%d", &major, &minor); err != nil || major != 3 || minor < minEtcdMinor {
		return fmt.Errorf("etcd at %s has version %q: want 3.%d or later", url, s.Version, minEtcdMinor)
	}
	if s.DbSizeQuota > 0 && s.DbSizeQuota < minEtcdQuota {
		e.logger.Warn("etcd's quota is small: inline stops at 40 % of it, appends at 60 %", "endpoint", url, "quota_bytes", s.DbSizeQuota,
			"remedy", "start etcd with --quota-backend-bytes=2147483648, or use `zonewise etcd`")
	}
	if len(s.Errors) > 0 {
		e.logger.Warn("etcd reports alarms", "endpoint", url, "alarms", s.Errors, "remedy", "zonewise repair nospace")
	}
	return nil
}

// checkLimits tries the two limits that no RPC shows. Neither transaction
// changes anything: no key was ever created at a negative revision.
func checkLimits(ctx context.Context, kv etcdlog.KV, key string) error {
	never := &etcdserverpb.Compare{Result: etcdserverpb.Compare_LESS, Target: etcdserverpb.Compare_CREATE, Key: []byte(key),
		TargetUnion: &etcdserverpb.Compare_CreateRevision{CreateRevision: 0}}
	many := &etcdserverpb.TxnRequest{Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestRange{
		RequestRange: &etcdserverpb.RangeRequest{Key: []byte(key)}}}}}
	for range needTxnOps {
		many.Compare = append(many.Compare, never)
	}
	large := &etcdserverpb.TxnRequest{Compare: []*etcdserverpb.Compare{never}, Success: []*etcdserverpb.RequestOp{{Request: &etcdserverpb.RequestOp_RequestPut{
		RequestPut: &etcdserverpb.PutRequest{Key: []byte(key), Value: bytes.Repeat([]byte("x"), needRequest)}}}}}
	if err := probeTxn(ctx, kv, many); errors.Is(err, rpctypes.ErrTooManyOps) {
		return fmt.Errorf("etcd takes fewer than %d operations in a transaction: start it with --max-txn-ops=%d, or use `zonewise etcd`", needTxnOps, needTxnOps)
	} else if err != nil {
		return quorumError(err)
	}
	if err := probeTxn(ctx, kv, large); errors.Is(err, rpctypes.ErrRequestTooLarge) {
		return fmt.Errorf("etcd takes no request of %d bytes: start it with --max-request-bytes=4194304, or use `zonewise etcd`", needRequest)
	} else if err != nil {
		return quorumError(err)
	}
	return nil
}

// probePause is between two tries of a probe.
const probePause = 200 * time.Millisecond

// probeTxn sends a transaction that changes nothing until a member has served it,
// or ctx has ended: members that start, or of which one is given up just now,
// answer the next time.
func probeTxn(ctx context.Context, kv etcdlog.KV, txn *etcdserverpb.TxnRequest) error {
	for {
		_, err := kv.Txn(ctx, txn)
		if !etcdlog.MemberCannotServe(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(probePause):
		}
	}
}

// quorumError explains the most likely reason of a probe without an answer.
func quorumError(err error) error {
	return fmt.Errorf("probe etcd: %w: is a majority of its members running and connected? check `zonewise etcd members`", err)
}
