package groups

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// modern is a member of the consumer protocol as its client sees it. It gives
// up and takes over partitions at once.
type modern struct {
	n        *node
	id       string
	instance *string
	names    []string
	regex    *string
	epoch    int32
	owned    []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic
	out      *kmsg.ConsumerGroupHeartbeatResponse
}

func (c *modern) request() *kmsg.ConsumerGroupHeartbeatRequest {
	r := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	r.Version, r.Group, r.MemberID, r.MemberEpoch, r.InstanceID, r.RebalanceTimeoutMillis = 1, "g", c.id, c.epoch, c.instance, -1
	if c.epoch == 0 {
		r.RebalanceTimeoutMillis, r.SubscribedTopicNames, r.SubscribedTopicRegex = 60_000, c.names, c.regex
	}
	r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	for _, t := range c.owned {
		r.Topics = append(r.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
	}
	return r
}

func (c *modern) send(r *kmsg.ConsumerGroupHeartbeatRequest) int16 {
	c.out = c.n.coord.ConsumerHeartbeat(context.Background(), Client{ID: "cl", Host: "/127.0.0.1"}, r)
	if c.out.ErrorCode == noError {
		c.epoch = c.out.MemberEpoch
		if c.out.Assignment != nil {
			c.owned = c.out.Assignment.Topics
		}
	}
	return c.out.ErrorCode
}

func (c *modern) sendHeartbeat() int16 { return c.send(c.request()) }

// leave leaves with epoch -1 or -2.
func (c *modern) leave(epoch int32) int16 {
	c.epoch = epoch
	code := c.sendHeartbeat()
	c.epoch, c.owned = 0, nil
	return code
}

// has lists the partitions of t that it was told to have.
func (c *modern) has() (out []int32) {
	for _, t := range c.owned {
		out = append(out, t.Partitions...)
	}
	return out
}

// rounds lets members beat in turn.
func rounds(t *testing.T, n int, cs ...*modern) {
	t.Helper()
	for range n {
		for _, c := range cs {
			if code := c.sendHeartbeat(); code != noError {
				t.Fatalf("beat of %s: %d %s", c.id, code, textOrEmpty(c.out.ErrorMessage))
			}
		}
	}
}

// commit commits under the member's epoch.
func (c *modern) commit(version int16, epoch int32) int16 {
	old := &consumer{n: c.n, group: "g", id: c.id, generation: epoch}
	r := old.commitRequest("t", 0, 7)
	r.Version = version
	return c.n.coord.CommitOffsets(context.Background(), Client{}, r).Topics[0].Partitions[0].ErrorCode
}

func (n *node) consumerDescribe() kmsg.ConsumerGroupDescribeResponseGroup {
	r := kmsg.NewPtrConsumerGroupDescribeRequest()
	r.Version, r.Groups = 1, []string{"g"}
	return n.coord.ConsumerDescribe(context.Background(), Client{}, r).Groups[0]
}

func (n *node) listed(types ...string) string {
	r := kmsg.NewPtrListGroupsRequest()
	r.Version, r.TypesFilter = 5, types
	out := ""
	for _, g := range n.coord.List(context.Background(), Client{}, r).Groups {
		out += fmt.Sprint(g.Group, " ", g.GroupType, " ", g.GroupState, " ", g.ProtocolType, ";")
	}
	return out
}

func (n *node) modern(id string) *modern { return &modern{n: n, id: id, names: []string{"t"}} }
