package broker

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
)

// The rate of auto-created topics is bounded: otherwise a client with a bug in its
// topic names would use up the cluster's topic limit in seconds. Over the rate a
// client gets THROTTLING_QUOTA_EXCEEDED and a throttle time: Java, franz-go,
// librdkafka and kafka-python retry, and the first two report that error when they
// give up.
const (
	// autoCreateBurst and autoCreateRate are how many topics one client may create at
	// once, and per second after that. A client is a principal at an address.
	autoCreateBurst = 1000
	autoCreateRate  = 5
	// The same for all clients of a broker.
	autoCreateBrokerBurst = 5000
	autoCreateBrokerRate  = 20
	// maxAutoCreateClients is how many clients have a rate of their own; the others
	// only have the broker's.
	maxAutoCreateClients = 10_000
	// autoCreateThrottle is the throttle time of a refused client.
	autoCreateThrottle = time.Second
)

// tokenBucket is a token bucket; the zero value is not used.
type tokenBucket struct {
	rate, burst float64 // tokens per second, and the maximum
	available   float64
	refilledAt  time.Time
}

func newTokenBucket(rate, burst float64, now time.Time) *tokenBucket {
	return &tokenBucket{rate: rate, burst: burst, available: burst, refilledAt: now}
}

func (b *tokenBucket) refill(now time.Time) {
	b.available = min(b.burst, b.available+b.rate*now.Sub(b.refilledAt).Seconds())
	b.refilledAt = now
}

// isFull reports whether no tokens were taken recently.
func (b *tokenBucket) isFull(now time.Time) bool {
	b.refill(now)
	return b.available >= b.burst
}

// autoCreateLimiter bounds the rate of auto-created topics.
type autoCreateLimiter struct {
	mu      sync.Mutex
	broker  *tokenBucket
	clients map[string]*tokenBucket
}

func newAutoCreateLimiter(now time.Time) *autoCreateLimiter {
	return &autoCreateLimiter{broker: newTokenBucket(autoCreateBrokerRate, autoCreateBrokerBurst, now), clients: map[string]*tokenBucket{}}
}

// takeTokens returns how many of want topics a client may create now.
func (a *autoCreateLimiter) takeTokens(client string, want int, now time.Time) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	own := a.clients[client]
	if own == nil && len(a.clients) >= maxAutoCreateClients {
		for name, b := range a.clients { // evict the clients that took nothing recently
			if b.isFull(now) {
				delete(a.clients, name)
			}
		}
	}
	a.broker.refill(now)
	n := min(want, int(a.broker.available))
	if own == nil && len(a.clients) < maxAutoCreateClients {
		own = newTokenBucket(autoCreateRate, autoCreateBurst, now)
		a.clients[client] = own
	}
	if own != nil {
		own.refill(now)
		n = min(n, int(own.available))
		own.available -= float64(n)
	}
	a.broker.available -= float64(n)
	return n
}

// autoCreateTopics creates missing topics with the defaults, in one entry.
// Topics over the rate get their error code, and throttled reports them.
func (s *Server) autoCreateTopics(ctx context.Context, r *request, want []requestedTopic, missing []int) (throttled bool) {
	var at []int
	for _, i := range missing { // names are distinct
		w := &want[i]
		if w.name == nil || !w.id.IsZero() {
			continue
		}
		if code, _ := s.checkNewTopicName(*w.name); code != noError {
			w.code = code
			continue
		}
		at = append(at, i)
	}
	if len(at) == 0 {
		return false
	}
	refused := map[int]int16{}
	n := s.autoCreates.takeTokens(r.conn.principal()+r.conn.host(), min(len(at), maxTopicsPerRequest), time.Now())
	if n < len(at) {
		throttled = true
		s.reportAutoCreateRefusal(r, len(at)-n, "the client's auto-creation rate is exceeded")
		for _, i := range at[n:] {
			refused[i] = kerr.ThrottlingQuotaExceeded.Code
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
		case noError:
			s.metrics.topicsCreated.Inc()
		case kerr.TopicAlreadyExists.Code:
		case kerr.RequestTimedOut.Code:
			refused[i] = kerr.LeaderNotAvailable.Code // Kafka's code while a topic is being created
		case kerr.ThrottlingQuotaExceeded.Code:
			refused[i], throttled = code, true
			s.reportAutoCreateRefusal(r, 1, "the cluster is at a limit: "+text)
		default:
			refused[i] = code
		}
	}
	s.resolveRequestedTopics(ctx, want)
	for i, code := range refused {
		if want[i].code == kerr.UnknownTopicOrPartition.Code {
			want[i].code = code
		}
	}
	return throttled
}

// reportAutoCreateRefusal counts topics that were not created, and logs it at
// most once a minute.
func (s *Server) reportAutoCreateRefusal(r *request, n int, why string) {
	s.metrics.topicsRefused.Add(float64(n))
	if s.logLimit.allow("auto-create", time.Now()) {
		s.cfg.Log.Warn(fmt.Sprintf("auto-creation of topics refused: %s; clients get THROTTLING_QUOTA_EXCEEDED and retry", why),
			"client", r.clientID, "host", r.conn.host(), "topics", n)
	}
}
