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

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/router"
)

// Server is one broker's Kafka door.
type Server struct {
	cfg      Config
	apis     map[int16]*api
	opened   time.Time
	ctx      context.Context
	cancel   context.CancelFunc
	frames   *memory       // request frames not yet answered
	bulk     *budget       // those of more than smallBytes that carry no records
	spare    chan struct{} // holds one: the room that FrameBytes has beyond both
	requests *memory       // decoded requests
	heavy    chan struct{} // capacity: how many requests may do heavy work at once
	answers  *memory       // answers not yet written
	polls    *memory       // fetches that wait, and fetch sessions
	crowded  chan struct{} // capacity 1: somebody waits for memory or heavy work
	draining atomic.Bool
	wait     *registry
	readers  *groupIndex
	cluster  atomic.Pointer[cachedView]
	clients  *router.Counters
	meter    *Meter
	metrics  *counters
	ids      *idSource
	codecs   *codecs
	topics   *autoCreation
	logLimit logLimit
	pids     producerIDs
	slots    atomic.Int64 // fetch sessions taken

	mu        sync.Mutex // guards what follows
	closed    bool
	listeners map[net.Listener]metadata.ZoneID
	conns     map[*conn]struct{}
	accepted  uint64         // connections, ever
	wg        sync.WaitGroup // accept loops and connections
}

// Open makes a server without listeners. It must be called before the replica
// starts, because it observes what is applied.
func Open(cfg Config) (*Server, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, apis: map[int16]*api{}, opened: time.Now(),
		frames: newMemory(cfg.FrameBytes-MaxFrameBytes-cfg.FrameBytes/8, cfg.FrameBytes/4), bulk: newBudget(cfg.FrameBytes / 8), spare: make(chan struct{}, 1),
		requests: newMemory(cfg.RequestBytes, cfg.RequestBytes/4), heavy: make(chan struct{}, maxHeavy), answers: newMemory(cfg.AnswerBytes, cfg.AnswerBytes/4),
		polls: newMemory(cfg.PollBytes, cfg.PollBytes*3/4), crowded: make(chan struct{}, 1),
		wait: newRegistry(), readers: newGroupIndex(),
		ids: newIDSource(cfg.Rand), codecs: newCodecs(), topics: newAutoCreation(time.Now()),
		listeners: map[net.Listener]metadata.ZoneID{}, conns: map[*conn]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.metrics = newCounters(s)
	s.meter = newMeter(cfg.Zone)
	s.clients = router.NewCounters(cfg.Zone)
	table := apis(cfg.Groups != nil)
	if err := loadShapes(table); err != nil {
		return nil, fmt.Errorf("open kafka server: BUG: %w", err)
	}
	for i := range table {
		s.apis[table[i].key] = &table[i]
		table[i].asked = s.metrics.request(table[i].key)
	}
	for _, b := range s.held() {
		b.crowded = s.wakeRelief
	}
	s.wg.Go(s.relieve)
	cfg.Replica.Observe(s.wait.applied)
	cfg.Replica.AfterBatch(s.wait.flush)
	cfg.Replica.Observe(s.readers.applied)
	return s, nil
}

// Meter returns the read side of the ledger: what this broker counted.
func (s *Server) Meter() *Meter { return s.meter }

// Clients returns the clients of this broker, by zone and kind of evidence.
func (s *Server) Clients() *router.Counters { return s.clients }

// AddListener serves connections of ln as those of clients of a zone ("": of
// clients whose zone is to be found by other evidence). It may be called at
// any time; the server owns ln from here on.
func (s *Server) AddListener(zone metadata.ZoneID, ln net.Listener) error {
	s.cfg.Replica.View(s.readers.seed)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.draining.Load() {
		ln.Close()
		return errors.New("add listener: the server is closing")
	}
	s.listeners[ln] = zone
	s.wg.Go(func() { s.accept(zone, ln) })
	return nil
}

// acceptPause is how long an accept that failed waits: file descriptors run
// out and come back.
const acceptPause = 50 * time.Millisecond

func (s *Server) accept(zone metadata.ZoneID, ln net.Listener) {
	for {
		nc, err := ln.Accept()
		if err != nil {
			if s.ctx.Err() != nil || s.draining.Load() || errors.Is(err, net.ErrClosed) {
				return
			}
			s.cfg.Log.Warn("accept connection", "listener", ln.Addr(), "error", err)
			select {
			case <-time.After(acceptPause):
				continue
			case <-s.ctx.Done():
				return
			}
		}
		s.welcome(zone, nc)
	}
}

// readBuffer is for small requests that come together; larger frames are read
// past it.
const readBuffer = 4 << 10

func (s *Server) welcome(zone metadata.ZoneID, nc net.Conn) {
	c := &conn{s: s, zone: zone, queue: make(chan pending, MaxPipelined),
		bytes: newBudget(MaxPipelinedBytes), placed: map[placeKey]router.Evidence{}}
	c.net = &countedConn{Conn: nc, feed: &c.feed, reads: &c.reads, sends: &c.sends}
	c.in = bufio.NewReaderSize(c.net, readBuffer)
	c.ctx, c.cancel = context.WithCancel(s.ctx)
	c.lastAsked.Store(s.sinceOpen())
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
		s.metrics.turnedAway.Inc()
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

// Draining times: how often connections are looked at, how long one must have
// asked nothing, and after what time that is asked of none; where all brokers
// drain, and a client has nowhere to go and asks without a pause, that is soon.
const (
	drainStep   = 20 * time.Millisecond
	drainQuiet  = 300 * time.Millisecond
	drainInsist = 2 * time.Second
)

// Drain takes no more work and lets clients go: listeners close, Produce and
// Fetch answer "not leader" with the new leader as a hint, what was appended
// is answered, and a connection is closed when it has asked nothing for a
// moment, or after a while as soon as all is answered. It returns when none is
// left, or when ctx ends. The caller has taken the session out of the placement
// first.
func (s *Server) Drain(ctx context.Context) error {
	s.draining.Store(true)
	s.closeListeners()
	s.wait.wakeAll()
	begun := time.Now()
	for {
		quiet, insist := drainQuiet, drainInsist
		s.cfg.Replica.View(func(st *metadata.State) {
			if len(st.Placement().Brokers("")) == 0 {
				insist = drainQuiet
			}
		})
		if time.Since(begun) > insist {
			quiet = 0
		}
		left := s.dropQuiet(quiet)
		if left == 0 {
			return nil
		}
		select {
		case <-time.After(drainStep):
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

// dropQuiet closes connections that have asked nothing for that long and
// returns how many there are.
func (s *Server) dropQuiet(quiet time.Duration) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sorted() {
		if c.unanswered.Load() == 0 && time.Duration(s.sinceOpen()-c.lastAsked.Load()) >= quiet {
			c.net.Close()
		}
	}
	return len(s.conns)
}

// sorted lists the connections in the order in which they came, so that a
// seed replays. The caller holds mu.
func (s *Server) sorted() []*conn {
	return slices.SortedFunc(maps.Keys(s.conns), func(a, b *conn) int { return cmp.Compare(a.number, b.number) })
}

// Close ends all connections and waits for their goroutines.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for _, c := range s.sorted() {
		c.net.Close()
	}
	s.mu.Unlock()
	s.cancel()
	s.closeListeners()
	s.wg.Wait()
	return nil
}
