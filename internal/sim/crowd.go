package sim

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// crowdTopics is for how many topics of the crowd there is room, if the other
// client that makes topics has none.
const crowdTopics = 4

// topicLimit is the most topics that a simulated cluster may have.
func topicLimit() int { return len(topics()) + crowdTopics }

// limits are the lowered ones of a seed whose etcd is not lost: a recovery, too,
// would have to know them.
func (w *world) limits() *metadata.Limits {
	if ending(w.seed) != nil {
		return nil
	}
	l := metadata.DefaultLimits()
	l.Topics = topicLimit()
	return &l
}

// crowd makes topics until the limit refuses one, deletes one of them, and makes
// the refused one then.
type crowd struct{ temper }

func (c *crowd) run(ctx context.Context) { c.turns(ctx, c.live) }

func crowdName(i int) string { return fmt.Sprintf("crowd%d", i) }

func (c *crowd) live(ctx context.Context) error {
	for i := range crowdTopics + 1 {
		if err := c.deleteTopic(ctx, crowdName(i)); err != nil {
			return err
		}
	}
	made := 0
	for ; made <= crowdTopics; made++ {
		code, err := c.make(ctx, crowdName(made))
		if err != nil {
			return err
		}
		if code == errThrottled {
			c.w.count(limitReached, 1)
			break
		}
	}
	switch {
	case made > crowdTopics:
		return c.wrong("%d topics were made, there is room for %d", made, crowdTopics)
	case made == 0:
		return errTurn
	}
	if err := c.deleteTopic(ctx, crowdName(0)); err != nil {
		return err
	}
	for range 50 { // the other one may have taken the room
		code, err := c.make(ctx, crowdName(made))
		if err != nil {
			return err
		}
		if code == errNone {
			break
		}
		if err := c.pause(ctx); err != nil {
			return err
		}
	}
	for i := range made + 1 {
		if err := c.deleteTopic(ctx, crowdName(i)); err != nil {
			return err
		}
	}
	return nil
}

// make makes a topic; the answer is that it is there, or that the limit refuses it.
func (c *crowd) make(ctx context.Context, name string) (int16, error) {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 5000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, -1
	q.Topics = append(q.Topics, t)
	code, unsure, err := c.until(ctx, q, 7, func(r kmsg.Response) int16 { return r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode }, errThrottled)
	switch {
	case err != nil:
		return 0, err
	case code == errNone, code == errThrottled:
		return code, nil
	case code == errTopicExists && unsure:
		return errNone, nil
	}
	return 0, c.wrong("create %s: error %d", name, code)
}

func (c *crowd) deleteTopic(ctx context.Context, name string) error {
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TimeoutMillis, q.TopicNames = 5000, []string{name}
	code, _, err := c.until(ctx, q, 4, func(r kmsg.Response) int16 { return r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode }, errUnknownTopic)
	if err == nil && code != errNone && code != errUnknownTopic {
		return c.wrong("delete %s: error %d", name, code)
	}
	return err
}
