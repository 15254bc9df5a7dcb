package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/zonewise/zonewise/metadata"
)

// Two consumers whose expression matches 2,500 topics of 64 characters share
// them, one joining after the other, and in spite of what each says of itself:
// 160 KiB of names for each assignor, and what it has had.
func TestKgoConsumersOfManyTopics(t *testing.T) {
	const topics = 2500
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, nil)
	ctx := testContext(t)
	adm := kadm.NewClient(n.client(t, "a"))
	for i := 0; i < topics; i += 500 {
		var names []string
		for j := range 500 {
			names = append(names, fmt.Sprintf("wide-%059d", i+j))
		}
		if made, err := adm.CreateTopics(ctx, 1, -1, nil, names...); err != nil || made.Error() != nil {
			t.Fatal(err, made.Error())
		}
	}
	for name, balancers := range map[string][]kgo.GroupBalancer{
		"range and sticky":   {kgo.RangeBalancer(), kgo.StickyBalancer()},
		"cooperative-sticky": {kgo.CooperativeStickyBalancer()},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			join := func() chan int {
				got := make(chan int, 100)
				count := func(by int) func(context.Context, *kgo.Client, map[string][]int32) {
					return func(_ context.Context, _ *kgo.Client, parts map[string][]int32) { got <- by * len(parts) }
				}
				cl := n.client(t, "a", kgo.ConsumerGroup(name), kgo.ConsumeRegex(), kgo.ConsumeTopics("wide-.*"), kgo.Balancers(balancers...),
					kgo.OnPartitionsAssigned(count(1)), kgo.OnPartitionsRevoked(count(-1)), kgo.OnPartitionsLost(count(-1)), kgo.HeartbeatInterval(200*time.Millisecond))
				go func() {
					for ctx.Err() == nil {
						cl.PollFetches(ctx)
					}
				}()
				return got
			}
			first := join()
			has, other, rounds := 0, 0, 0
			for has < topics {
				select {
				case by := <-first:
					has += by
				case <-ctx.Done():
					t.Fatalf("the first has %d", has)
				}
			}
			second := join()
			for rounds == 0 || has+other != topics {
				select {
				case by := <-first:
					has += by
				case by := <-second:
					other, rounds = other+by, rounds+1
				case <-ctx.Done():
					t.Fatalf("the first has %d, the second %d", has, other)
				}
			}
		})
	}
}

// A JoinGroup of 2 x 900 KiB forms a generation, through the frame, the request's
// memory and an entry of the log.
func TestALargeJoinFormsAGeneration(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, n *node, dial func() *raw) {
		r := dial()
		if code := r.joinAndSync("g", 900<<10, 900<<10); code != noError {
			t.Errorf("SyncGroup: %d", code)
		}
		var used int
		for _, u := range n.server.LimitUsages() {
			if u.Name == "group_member_bytes" {
				used = u.Used
			}
		}
		if used < 1800<<10 || used > 1900<<10 {
			t.Errorf("%d bytes of members are counted", used)
		}
	})
}
