package etcdlog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

var (
	_ metadata.Log      = (*Log)(nil)
	_ metadata.LogAdmin = (*Log)(nil)
)

// Config configures a Log.
type Config struct {
	Cluster string
	Client  Client
	// Applied finds out the outcome of an append whose keys are deleted. It may
	// be set later, by UseApplied, as a replica needs its log first.
	Applied metadata.Applied
	Logger  *slog.Logger
	// Rand seeds every jitter; nil is a random seed.
	Rand *rand.Rand
	// LeaseTTL is how long a session lasts without a renewal; whole seconds,
	// default 5 s.
	LeaseTTL time.Duration
	// AttemptTimeout is how long one request may take before it is sent again;
	// default 2 s. It doubles with each attempt up to 16 s.
	AttemptTimeout time.Duration
	// DeletePause is the mean pause between two deletes of Truncate; default 5
	// ms, so that 20,000 keys take half a second and leave room for commits.
	DeletePause time.Duration
	// MemberZone returns the zone of the etcd member of a name; nil: not known.
	MemberZone func(member string) metadata.ZoneID
}

// Limits of the package.
const (
	minLeaseTTL       = 2 * time.Second // etcd grants no less
	maxLeaseTTL       = time.Minute
	pageBytes         = 4 << 20 // target for one page of entries
	minPageKeys       = 16      // so that even pages of 1 MiB entries stay below 16 MiB
	maxPageKeys       = 2000
	deleteKeys        = 200       // of one delete (design: etcd's latency suffers from larger ones)
	watchBacklog      = 10_000    // undelivered entries at which a follower starts again
	watchBytes        = 256 << 20 // bytes of them
	maxAttemptWait    = 16 * time.Second
	compactionMaxWait = 5 * time.Minute // for how long compaction waits for a follower
)

// Log is the order of one cluster, in etcd.
type Log struct {
	cfg    Config
	c      Client
	k      keys
	format Format
	// incarnationCreated is the etcd create revision of incarnation/<n>, which
	// guards every write.
	incarnationCreated int64
	// formatModRevision is the etcd mod revision of the format that this program
	// read, which guards opening a session.
	formatModRevision int64
	seed              uint64
	applied           atomic.Pointer[metadata.Applied]

	seen     knownProgress
	counters appendCounters

	mu              sync.Mutex // guards the fields below
	sessions        map[metadata.SessionID]*session
	closed          bool
	revisionHistory []revisionSample // of CompactStore
}

// Open opens the cluster's log. ErrNoCluster where etcd does not have it.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	if cfg.LeaseTTL == 0 {
		cfg.LeaseTTL = 5 * time.Second
	}
	if cfg.AttemptTimeout == 0 {
		cfg.AttemptTimeout = 2 * time.Second
	}
	if cfg.DeletePause == 0 {
		cfg.DeletePause = 5 * time.Millisecond
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.LeaseTTL < minLeaseTTL || cfg.LeaseTTL > maxLeaseTTL || cfg.LeaseTTL%time.Second != 0 {
		return nil, fmt.Errorf("open log: lease of %v; want whole seconds from %v to %v", cfg.LeaseTTL, minLeaseTTL, maxLeaseTTL)
	}
	client := &outageReporter{Client: cfg.Client, log: cfg.Logger}
	f, ok, err := ReadFormat(ctx, client, cfg.Cluster)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	if !ok {
		return nil, fmt.Errorf("open log of cluster %q: %w", cfg.Cluster, ErrNoCluster)
	}
	l := &Log{cfg: cfg, c: client, k: newKeys(cfg.Cluster), format: f, sessions: map[metadata.SessionID]*session{}}
	if cfg.Rand != nil {
		l.seed = cfg.Rand.Uint64()
	} else {
		l.seed = rand.Uint64()
	}
	if cfg.Applied != nil {
		l.UseApplied(cfg.Applied)
	}
	st, err := l.readState(ctx, l.k.formatKey(), l.k.incarnationKey(f.Incarnation))
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	inc, format := st.values[l.k.incarnationKey(f.Incarnation)], st.values[l.k.formatKey()]
	if inc == nil || format == nil {
		return nil, fmt.Errorf("open log: etcd has no incarnation %d of cluster %q: %s: %w", f.Incarnation, cfg.Cluster, adviceRestored, metadata.ErrNewerIncarnation)
	}
	l.incarnationCreated, l.formatModRevision = inc.CreateRevision, format.ModRevision
	return l, nil
}

// UseApplied sets the replica that Append uses.
func (l *Log) UseApplied(a metadata.Applied) { l.applied.Store(&a) }

// Format returns the cluster's format as it was at Open.
func (l *Log) Format() Format { return l.format }

// PeerToken reads the brokers' shared secret.
func (l *Log) PeerToken(ctx context.Context) (string, error) {
	st, err := l.readState(ctx, l.k.tokenKey())
	if err != nil {
		return "", fmt.Errorf("read peer token: %w", err)
	}
	kv := st.values[l.k.tokenKey()]
	if kv == nil {
		return "", errors.New("read peer token: etcd has none; recover the cluster")
	}
	return string(kv.Value), nil
}

// Close ends the goroutines of sessions left open without revoking their leases,
// as a crash does. Appends under way end with their own context.
func (l *Log) Close() {
	l.mu.Lock()
	l.closed = true
	var open []*session
	for _, s := range l.sessions {
		open = append(open, s)
	}
	l.mu.Unlock()
	for _, s := range open {
		s.stop()
	}
}

// toLogRevision converts an etcd revision into the cluster's, toEtcdRevision the
// reverse.
func (l *Log) toLogRevision(rev int64) metadata.Revision {
	return l.format.Base + metadata.Revision(rev)
}
func (l *Log) toEtcdRevision(rev int64) int64 { return rev - int64(l.format.Base) }

// Barrier implements metadata.Log.
func (l *Log) Barrier(ctx context.Context) (metadata.Revision, error) {
	st, err := l.readState(ctx)
	if err != nil {
		return 0, fmt.Errorf("read barrier: %w", l.fenceIfOlder(ctx, err))
	}
	return l.toLogRevision(st.head), nil
}

// Start implements metadata.Log.
func (l *Log) Start(ctx context.Context) (metadata.StartPoint, error) {
	st, err := l.readState(ctx, l.k.checkpointKey(), l.k.formatKey())
	if err != nil {
		return metadata.StartPoint{}, fmt.Errorf("read start point: %w", l.addAdvice(ctx, err))
	}
	p := metadata.StartPoint{
		Incarnation:    l.format.Incarnation,
		Revision:       l.toLogRevision(st.rev),
		Head:           l.toLogRevision(st.head),
		Extent:         st.extent,
		ArchivedUpTo:   st.truncated,
		ArchivedObject: st.archive,
		Level:          l.format.Level,
	}
	if kv := st.values[l.k.checkpointKey()]; kv != nil {
		if p.Checkpoint, err = decodePointer(kv.Value); err != nil {
			return metadata.StartPoint{}, fmt.Errorf("read start point: %w", err)
		}
	}
	return p, nil
}

// readState is one linearizable read of the log's own keys, and of extra ones, at
// one revision.
func (l *Log) readState(ctx context.Context, extra ...string) (logState, error) {
	t := &txnReq{Success: l.stateOps()}
	for _, k := range extra {
		t.Success = append(t.Success, getOp(k))
	}
	before := l.seen.get()
	resp, err := l.sendOnce(ctx, "read", t)
	if err != nil {
		return logState{}, err
	}
	return l.decodeState(before, resp)
}

// isRefused reports errors of etcd that mean that the request was not executed,
// and that the same request will get again.
func isRefused(err error) bool {
	for _, e := range []error{
		rpctypes.ErrRequestTooLarge, rpctypes.ErrTooManyOps, rpctypes.ErrDuplicateKey, rpctypes.ErrEmptyKey,
		rpctypes.ErrPermissionDenied, rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed, rpctypes.ErrInvalidAuthToken,
	} {
		if errors.Is(err, e) {
			return !errors.Is(err, rpctypes.ErrInvalidAuthToken) // an expired token is renewed
		}
	}
	return false
}
