package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// Topics that are made on first use are made at a bounded rate: a client with a
// fault in its topic names would otherwise take all topics that a cluster may
// have in seconds. Whoever is over it is told THROTTLING_QUOTA_EXCEEDED and
// after how long to ask again: Java, franz-go, librdkafka and kafka-python try
// again, and the first two name that error when they give up.
const (
	// autoCreateBurst and autoCreateRate are what one client may make at once,
	// and per second from then on. A client is a principal at an address.
	autoCreateBurst = 1000
	autoCreateRate  = 5
	// The same for all clients of a broker.
	autoCreateBrokerBurst = 5000
	autoCreateBrokerRate  = 20
	// autoCreateClients is how many clients are told apart; the others share
	// the broker's rate alone.
	autoCreateClients = 10_000
	// autoCreateThrottle is after how long a client is to ask again.
	autoCreateThrottle = time.Second
)

// tokens is a token bucket; the zero value is not used.
type tokens struct {
	rate, burst float64 // per second, at most
	have        float64
	at          time.Time
}

func newTokens(rate, burst float64, now time.Time) *tokens {
	return &tokens{rate: rate, burst: burst, have: burst, at: now}
}

func (b *tokens) refill(now time.Time) {
	b.have = min(b.burst, b.have+b.rate*now.Sub(b.at).Seconds())
	b.at = now
}

// full reports whether nothing was taken lately.
func (b *tokens) full(now time.Time) bool {
	b.refill(now)
	return b.have >= b.burst
}

// autoCreation bounds how many topics are made on first use.
type autoCreation struct {
	mu      sync.Mutex
	all     *tokens
	clients map[string]*tokens
}

func newAutoCreation(now time.Time) *autoCreation {
	return &autoCreation{all: newTokens(autoCreateBrokerRate, autoCreateBrokerBurst, now), clients: map[string]*tokens{}}
}

// take returns how many of want topics a client may make now.
func (a *autoCreation) take(client string, want int, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := a.clients[client]
	if own == nil && len(a.clients) >= autoCreateClients {
		for name, b := range a.clients { // whoever has taken nothing lately
			if b.full(now) {
				delete(a.clients, name)
			}
		}
	}
	a.all.refill(now)
	n := min(want, int(a.all.have))
	if own == nil && len(a.clients) < autoCreateClients {
		own = newTokens(autoCreateRate, autoCreateBurst, now)
		a.clients[client] = own
	}
	if own != nil {
		own.refill(now)
		n = min(n, int(own.have))
		own.have -= float64(n)
	}
	a.all.have -= float64(n)
	return n
}

// autoCreate makes missing topics with the defaults, in one entry. What may not
// be made now has its code set, and throttled says so.
func (s *Server) autoCreate(ctx context.Context, r *request, want []wantedTopic, missing []int) (throttled bool) {
	var at []int
	for _, i := range missing { // each name once
		w := &want[i]
		if w.name == nil || !w.id.IsZero() {
			continue
		}
		if code, _ := s.nameProblem(*w.name); code != errNone {
			w.code = code
			continue
		}
		at = append(at, i)
	}
	if len(at) == 0 {
		return false
	}
	refused := map[int]int16{}
	n := s.topics.take(r.conn.principal()+r.conn.host(), min(len(at), maxTopicsPerRequest), time.Now())
	if n < len(at) {
		throttled = true
		s.refuseAutoCreation(r, len(at)-n, "its rate of topics made on first use is used up")
		for _, i := range at[n:] {
			refused[i] = errThrottled
		}
	}
	at = at[:n]
	cmds := make([]metadata.Command, len(at))
	for k, i := range at {
		cmds[k] = s.newTopic(*want[i].name)
	}
	var out metadata.Outcome
	var err error
	if len(cmds) > 0 {
		out, err = s.submit(ctx, cmds)
	}
	for k, i := range at {
		switch code, text := r.commandError(out, err, k); code {
		case errNone:
			s.metrics.topicsCreated.Inc()
		case errTopicExists:
		case errTimedOut:
			refused[i] = errLeaderNotAvailable // Kafka's answer while a topic is made
		case errThrottled:
			refused[i], throttled = code, true
			s.refuseAutoCreation(r, 1, "the cluster is at a limit: "+text)
		default:
			refused[i] = code
		}
	}
	s.lookWanted(ctx, want)
	for i, code := range refused {
		if want[i].code == errUnknownTopic {
			want[i].code = code
		}
	}
	return throttled
}

// refuseAutoCreation counts topics that were not made, and says so in the log
// at most once a minute.
func (s *Server) refuseAutoCreation(r *request, n int, why string) {
	s.metrics.topicsRefused.Add(float64(n))
	if s.logLimit.allow("auto-create", time.Now()) {
		s.cfg.Log.Warn(fmt.Sprintf("topics are not made on first use: %s; their clients are told THROTTLING_QUOTA_EXCEEDED and ask again", why),
			"client", r.clientID, "host", r.conn.host(), "topics", n)
	}
}
