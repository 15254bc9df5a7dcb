package sim

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// limitClientTopics is the number of topics that this client can create while the
// churn client has none.
const limitClientTopics = 4

// topicLimit is the maximum number of topics of a simulated cluster.
func topicLimit() int { return len(testTopics()) + limitClientTopics }

// clusterLimits returns lowered limits for a seed whose etcd is not lost: a recovery
// would have to know them too.
func (w *world) clusterLimits() *metadata.Limits {
	if etcdEndFault(w.seed) != nil {
		return nil
	}
	l := metadata.DefaultLimits()
	l.Topics = topicLimit()
	return &l
}

// topicLimitClient creates topics until the limit refuses one, deletes one of them, and
// then creates the refused one.
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
	for range 50 { // the churn client may have taken the free place
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

// createUpToLimit creates a topic until it exists or the limit refuses it.
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
