package broker

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func metadataOf(create bool, names ...string) *kmsg.MetadataRequest {
	q := kmsg.NewPtrMetadataRequest()
	q.Version, q.AllowAutoTopicCreation = 12, create
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &name
		q.Topics = append(q.Topics, t)
	}
	return q
}

func TestTopicsAreMadeOnFirstUseAtABoundedRate(t *testing.T) {
	var log bytes.Buffer
	change := func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }
	inBubble(t, change, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		made, throttled, next := 0, 0, 0
		ask := func(topics int) *kmsg.MetadataResponse {
			var names []string
			for range topics {
				next++
				names = append(names, fmt.Sprintf("t%d", next))
			}
			resp := r.roundTrip(metadataOf(true, names...)).(*kmsg.MetadataResponse)
			for _, t := range resp.Topics {
				switch t.ErrorCode {
				case 0:
					made++
				case kerr.ThrottlingQuotaExceeded.Code:
					throttled++
				}
			}
			return resp
		}
		begun := time.Now()
		for range 12 {
			if resp := ask(200); (resp.ThrottleMillis > 0) != (throttled > 0) {
				t.Fatalf("throttle time %d ms with %d topics throttled", resp.ThrottleMillis, throttled)
			}
		}
		seconds := time.Since(begun).Seconds()
		if most := autoCreateBurst + int(seconds*autoCreateRate) + 1; made < autoCreateBurst || made > most || made+throttled != 2400 {
			t.Errorf("%d of %d topics made in %.1f s, want %d to %d; %d throttled", made, next, seconds, autoCreateBurst, most, throttled)
		}
		time.Sleep(10 * time.Second)
		before := made
		if ask(200); made-before < 10*autoCreateRate {
			t.Errorf("%d topics after ten seconds, want %d", made-before, 10*autoCreateRate)
		}
		if got := int(testutil.ToFloat64(n.server.metrics.topicsRefused)); got != throttled {
			t.Errorf("the metric says %d were refused, clients saw %d", got, throttled)
		}
		if lines := strings.Count(log.String(), "auto-creation of topics refused"); lines != 1 {
			t.Errorf("%d lines in the log, want one a minute:\n%s", lines, log.String())
		}
		if code := r.roundTrip(metadataOf(false, "t1")).(*kmsg.MetadataResponse).Topics[0].ErrorCode; code != 0 {
			t.Errorf("a topic that is there: %d", code)
		}
	})
}

func TestRatesOfAutoCreationTellClientsApart(t *testing.T) {
	now := time.Unix(1000, 0)
	a := newAutoCreateLimiter(now)
	if got := a.takeTokens("one", 3000, now); got != autoCreateBurst {
		t.Errorf("one: %d, want %d", got, autoCreateBurst)
	}
	if got := a.takeTokens("two", 10, now); got != 10 {
		t.Errorf("two: %d, want 10", got)
	}
	sum := 0
	for i := range 20 {
		sum += a.takeTokens(fmt.Sprint(i), 1000, now)
	}
	if sum != autoCreateBrokerBurst-autoCreateBurst-10 {
		t.Errorf("all others: %d, want %d", sum, autoCreateBrokerBurst-autoCreateBurst-10)
	}
	for i := range 3 * maxAutoCreateClients {
		a.takeTokens(fmt.Sprintf("many%d", i), 1, now.Add(time.Duration(i)*time.Millisecond))
	}
	if len(a.clients) > maxAutoCreateClients {
		t.Errorf("%d clients remembered", len(a.clients))
	}
}
