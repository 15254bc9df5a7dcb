package broker

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zonewise/zonewise/internal/membudget"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// Server serves the Kafka protocol for one broker.
type Server struct {
	cfg          Config
	apis         map[int16]*api
	opened       time.Time
	ctx          context.Context
	cancel       context.CancelFunc
	frames       *memoryPool       // request frames not yet answered
	bulkFrames   *membudget.Budget // large frames of requests other than Produce
	spareFrame   chan struct{}     // capacity 1: FrameBytes' reserve for one frame
	requests     *memoryPool       // decoded requests
	heavySlots   chan struct{}     // capacity: how many requests may do heavy work at once
	responses    *memoryPool       // responses not yet written
	polls        *memoryPool       // waiting fetches, and fetch sessions
	stallCheck   chan struct{}     // capacity 1: a request waits for memory or a heavy slot
	draining     atomic.Bool
	pollRegistry *pollRegistry
	clientGroups *clientGroupIndex
	routerView   atomic.Pointer[cachedRouterView]
	clients      *router.Counters
	meter        *Meter
	metrics      *counters
	ids          *idSource
	codecs       *codecs
	autoCreates  *autoCreateLimiter
	logLimit     logRateLimiter
	producerIDs  producerIDBlock
	sessionSlots atomic.Int64 // fetch sessions taken

	mu        sync.Mutex // guards what follows
	closed    bool
	listeners map[net.Listener]metadata.ZoneID
	conns     map[*conn]struct{}
	accepted  uint64         // connections so far
	wg        sync.WaitGroup // accept loops and connections
}

// Open returns a server without listeners. It must be called before the replica
// starts, because it observes applied entries.
func Open(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, apis: map[int16]*api{}, opened: time.Now(),
		spareFrame: make(chan struct{}, 1), heavySlots: make(chan struct{}, maxHeavyRequests), stallCheck: make(chan struct{}, 1),
		pollRegistry: newPollRegistry(), clientGroups: newClientGroupIndex(),
		ids: newIDSource(cfg.Rand), codecs: newCodecs(), autoCreates: newAutoCreateLimiter(time.Now()),
		listeners: map[net.Listener]metadata.ZoneID{}, conns: map[*conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.frames = newMemoryPool(cfg.FrameBytes-MaxFrameBytes-cfg.FrameBytes/8, cfg.FrameBytes/4, s.wakeStallWatch)
	s.bulkFrames = membudget.New(cfg.FrameBytes/8, s.wakeStallWatch)
	s.requests = newMemoryPool(cfg.RequestBytes, cfg.RequestBytes/4, s.wakeStallWatch)
	s.responses = newMemoryPool(cfg.ResponseBytes, cfg.ResponseBytes/4, s.wakeStallWatch)
	s.polls = newMemoryPool(cfg.PollBytes, cfg.PollBytes*3/4, nil) // a stalled client cannot keep it from others
	s.metrics = newCounters(s)
	s.meter = newMeter(cfg.Zone)
	s.clients = router.NewCounters(cfg.Zone)
	table := newAPITable(cfg.Groups != nil)
	if err := loadRequestShapes(table); err != nil {
		return nil, fmt.Errorf("open kafka server: BUG: %w", err)
	}
	for i := range table {
		s.apis[table[i].key] = &table[i]
		table[i].requests = s.metrics.requestCounter(table[i].key)
	}
	s.wg.Go(s.watchStalls)
	cfg.Replica.Observe(s.pollRegistry.observeEntry)
	cfg.Replica.AfterBatch(s.pollRegistry.wakeTouched)
	cfg.Replica.Observe(s.clientGroups.observeEntry)
	return s, nil
}

// Meter returns the read side of the cost ledger: this broker's counts.
func (s *Server) Meter() *Meter { return s.meter }

// Clients returns the clients of this broker, by zone and kind of evidence.
func (s *Server) Clients() *router.Counters { return s.clients }

// AddListener serves the connections of ln as those of clients of a zone ("": the
// zone is found by other evidence). It may be called at any time; the server owns
// ln afterwards.
func (s *Server) AddListener(zone metadata.ZoneID, ln net.Listener) error {
	s.cfg.Replica.View(s.clientGroups.loadGroups)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining.Load() {
		ln.Close()
		return errors.New("add listener: the server is closing")
	}
	s.listeners[ln] = zone
	s.wg.Go(func() { s.acceptLoop(zone, ln) })
	return nil
}

// acceptPause is the pause after a failed accept: file descriptors run out and
// become free again.
const acceptPause = 50 * time.Millisecond

func (s *Server) acceptLoop(zone metadata.ZoneID, ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if s.ctx.Err() != nil || s.draining.Load() || errors.Is(err, net.ErrClosed) {
				return
			}
			s.cfg.Log.Warn("accept connection failed", "listener", ln.Addr(), "err", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		s.startConn(zone, nc)
	}
}

// readBufferSize is for small requests that arrive together; larger frames
// bypass the buffer.
const readBufferSize = 4 << 10

func (s *Server) startConn(zone metadata.ZoneID, nc net.Conn) {
	c := &conn{s: s, zone: zone, queue: make(chan pendingRequest, MaxPipelined),
		frameBudget: membudget.New(MaxPipelinedBytes, nil), evidenceByKey: map[evidenceKey]router.Evidence{}}
	c.net = &countedConn{Conn: nc, activity: &c.activity, requestStall: &c.requestStall, responseStall: &c.responseStall}
	c.reader = bufio.NewReaderSize(c.net, readBufferSize)
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.lastRequest.Store(s.sinceOpen())
	limit := s.connectionLimit()
	s.mu.Lock()
	full := s.closed || len(s.conns) >= limit
	if !full {
		s.conns[c] = struct{}{}
		s.accepted++
		c.number = s.accepted
		s.wg.Add(1)
	}
	s.mu.Unlock()
	if full {
		s.metrics.connectionsRefused.Inc()
		c.cancel()
		nc.Close()
		return
	}
	go func() {
		defer s.wg.Done()
		c.serve()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
}

func (s *Server) sinceOpen() int64 { return int64(time.Since(s.opened)) }

// Times of draining: the interval of checks, how long a connection must have been
// idle to be closed, and after what time idleness is no longer required; that is
// short if all brokers drain, because clients then retry here without a pause.
const (
	drainCheckInterval = 20 * time.Millisecond
	drainIdleTime      = 300 * time.Millisecond
	drainIdleLimit     = 2 * time.Second
)

// Drain stops accepting work and moves clients away. Listeners close, Produce
// and Fetch return NOT_LEADER_OR_FOLLOWER with the new leader as a hint,
// appended batches are answered, and a connection is closed once it is idle or,
// after a while, as soon as it has no unanswered request. It returns when no
// connection is left, or when ctx ends. The caller has removed the session from
// the placement before.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.closeListeners()
	s.pollRegistry.wakeAll()
	begun := time.Now()
	for {
		quiet, insist := drainIdleTime, drainIdleLimit
		s.cfg.Replica.View(func(st *metadata.State) {
			if len(st.Placement().Brokers("")) == 0 {
				insist = drainIdleTime
			}
		})
		if time.Since(begun) > insist {
			quiet = 0
		}
		left := s.closeIdleConns(quiet)
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(drainCheckInterval):
		case <-ctx.Done():
			return fmt.Errorf("drain: %d connections left: %w", left, ctx.Err())
		}
	}
}

func (s *Server) closeListeners() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ln := range s.listeners {
		ln.Close()
	}
	clear(s.listeners)
}

// closeIdleConns closes connections that have been idle for quiet, and returns
// how many connections there are.
func (s *Server) closeIdleConns(quiet time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.connsByArrival() {
		if c.unanswered.Load() == 0 && time.Duration(s.sinceOpen()-c.lastRequest.Load()) >= quiet {
			c.net.Close()
		}
	}
	return len(s.conns)
}

// connsByArrival lists the connections in order of arrival, so that a seed
// replays. The caller holds mu.
func (s *Server) connsByArrival() []*conn {
	return slices.SortedFunc(maps.Keys(s.conns), func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
}

// Close ends all connections and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, c := range s.connsByArrival() {
		c.net.Close()
	}
	s.mu.Unlock()
	s.cancel()
	s.closeListeners()
	s.wg.Wait()
	return nil
}
