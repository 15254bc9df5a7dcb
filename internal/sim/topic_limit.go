package sim

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// limitClientTopics is for how many topics of the crowd there is room, if the other
// client that makes topics has none.
const limitClientTopics = 4

// topicLimit is the most topics that a simulated cluster may have.
func topicLimit() int { return len(testTopics()) + limitClientTopics }

// clusterLimits are the lowered ones of a seed whose etcd is not lost: a recovery, too,
// would have to know them.
func (w *world) clusterLimits() *metadata.Limits {
	if etcdEndFault(w.seed) != nil {
		return nil
	}
	l := metadata.DefaultLimits()
	l.Topics = topicLimit()
	return &l
}

// topicLimitClient makes topics until the limit refuses one, deletes one of them, and makes
// the refused one then.
type topicLimitClient struct{ topicChurnClient }

func (c *topicLimitClient) run(ctx context.Context) { c.runRounds(ctx, c.runRound) }

func limitClientTopic(i int) string { return fmt.Sprintf("crowd%d", i) }

func (c *topicLimitClient) runRound(ctx context.Context) error {
	for i := range limitClientTopics + 1 {
		if err := c.deleteNamedTopic(ctx, limitClientTopic(i)); err != nil {
			return err
		}
	}
	made := 0
	for ; made <= limitClientTopics; made++ {
		code, err := c.createUpToLimit(ctx, limitClientTopic(made))
		if err != nil {
			return err
		}
		if code == errThrottled {
			c.w.countState(limitReached, 1)
			break
		}
	}
	switch {
	case made > limitClientTopics:
		return c.reportViolation("%d topics were created, the limit leaves room for %d", made, limitClientTopics)
	case made == 0:
		return errRoundOver
	}
	if err := c.deleteNamedTopic(ctx, limitClientTopic(0)); err != nil {
		return err
	}
	for range 50 { // the other one may have taken the room
		code, err := c.createUpToLimit(ctx, limitClientTopic(made))
		if err != nil {
			return err
		}
		if code == errNone {
			break
		}
		if err := c.backOff(ctx); err != nil {
			return err
		}
	}
	for i := range made + 1 {
		if err := c.deleteNamedTopic(ctx, limitClientTopic(i)); err != nil {
			return err
		}
	}
	return nil
}

// createUpToLimit makes a topic; the answer is that it is there, or that the limit refuses it.
func (c *topicLimitClient) createUpToLimit(ctx context.Context, name string) (int16, error) {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.TimeoutMillis = 5000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, -1
	q.Topics = append(q.Topics, t)
	code, unsure, err := c.requestUntilFinal(ctx, q, 7, func(r kmsg.Response) int16 { return r.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode }, errThrottled)
	switch {
	case err != nil:
		return 0, err
	case code == errNone, code == errThrottled:
		return code, nil
	case code == errTopicExists && unsure:
		return errNone, nil
	}
	return 0, c.reportViolation("create %s: error %d", name, code)
}

func (c *topicLimitClient) deleteNamedTopic(ctx context.Context, name string) error {
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.TimeoutMillis, q.TopicNames = 5000, []string{name}
	code, _, err := c.requestUntilFinal(ctx, q, 4, func(r kmsg.Response) int16 { return r.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode }, errUnknownTopic)
	if err == nil && code != errNone && code != errUnknownTopic {
		return c.reportViolation("delete %s: error %d", name, code)
	}
	return err
}
