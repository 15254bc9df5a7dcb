package oracle

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// hiddenConn is the connection of the requests that are not compared.
const hiddenConn = "#"

// awaitVisible waits until an acknowledged change is visible: Kafka's controller
// responds before its brokers have applied the change, and its transaction
// coordinator before the markers are written. These requests are not compared.
func (r *Runner) awaitVisible(ctx context.Context, q kmsg.Request, resp kmsg.Response) {
	switch a := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		if q.(*kmsg.CreateTopicsRequest).ValidateOnly {
			return
		}
		for _, t := range a.Topics {
			if t.ErrorCode == 0 {
				r.awaitTopic(ctx, t.Topic, 1)
			}
		}
		if r.serverAssigns {
			sleepFor(ctx, visiblePause) // Kafka's group coordinator is notified after the partition's leader
		}
	case *kmsg.CreatePartitionsResponse:
		if q.(*kmsg.CreatePartitionsRequest).ValidateOnly {
			return
		}
		for i, t := range a.Topics {
			if t.ErrorCode == 0 && i < len(q.(*kmsg.CreatePartitionsRequest).Topics) {
				r.awaitTopic(ctx, t.Topic, partitionCount(q.(*kmsg.CreatePartitionsRequest), t.Topic))
			}
		}
	case *kmsg.DeleteTopicsResponse:
		for _, t := range a.Topics {
			if t.ErrorCode == 0 && t.Topic != nil {
				r.awaitTopic(ctx, *t.Topic, 0)
				sleepFor(ctx, visiblePause) // for the groups' offsets, which are deleted later
			}
		}
	case *kmsg.EndTxnResponse:
		if a.ErrorCode == 0 {
			r.awaitEnd(ctx, q.(*kmsg.EndTxnRequest).TransactionalID)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		q := q.(*kmsg.IncrementalAlterConfigsRequest)
		for i, res := range q.Resources {
			set := map[string]string{}
			for _, c := range res.Configs {
				if c.Op == kmsg.IncrementalAlterConfigOpSet && c.Value != nil {
					set[c.Name] = *c.Value
				}
			}
			if !q.ValidateOnly && i < len(a.Resources) && a.Resources[i].ErrorCode == 0 {
				r.awaitConfigs(ctx, res.ResourceType, res.ResourceName, set)
			}
		}
	case *kmsg.AlterConfigsResponse:
		q := q.(*kmsg.AlterConfigsRequest)
		for i, res := range q.Resources {
			set := map[string]string{}
			for _, c := range res.Configs {
				if c.Value != nil {
					set[c.Name] = *c.Value
				}
			}
			if !q.ValidateOnly && i < len(a.Resources) && a.Resources[i].ErrorCode == 0 {
				r.awaitConfigs(ctx, res.ResourceType, res.ResourceName, set)
			}
		}
	}
}

// configTimeout allows for late notification of a broker on a busy machine.
const configTimeout = 2 * time.Second

// awaitConfigs waits until settings can be read. For a value that is returned in
// another form than it was set, it waits until configTimeout. A deleted setting has
// nothing to wait for: visiblePause must be enough.
func (r *Runner) awaitConfigs(ctx context.Context, kind kmsg.ConfigResourceType, name string, want map[string]string) {
	if len(want) == 0 {
		sleepFor(ctx, visiblePause)
		return
	}
	for end := time.Now().Add(configTimeout); time.Now().Before(end) && ctx.Err() == nil; sleepFor(ctx, retryPause) {
		d := kmsg.NewPtrDescribeConfigsRequest()
		d.SetVersion(1)
		d.Resources = []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name}}
		resp, err := r.connFor(hiddenConn).roundTrip(ctx, d)
		if err != nil {
			r.connFor(hiddenConn).close()
			continue
		}
		left := len(want)
		for _, c := range resp.(*kmsg.DescribeConfigsResponse).Resources[0].Configs {
			if value, ok := want[c.Name]; ok && c.Value != nil && *c.Value == value && c.Source != kmsg.ConfigSourceDefaultConfig {
				left--
			}
		}
		if left == 0 {
			return
		}
	}
}

func partitionCount(q *kmsg.CreatePartitionsRequest, topic string) int {
	for _, t := range q.Topics {
		if t.Topic == topic {
			return int(t.Count)
		}
	}
	return 1
}

// awaitTopic waits until a topic has at least the given number of partitions, each
// with a leader that serves it; with 0, until it is gone.
func (r *Runner) awaitTopic(ctx context.Context, topic string, partitions int) {
	for end := time.Now().Add(untilTimeout); time.Now().Before(end) && ctx.Err() == nil; sleepFor(ctx, retryPause) {
		q := kmsg.NewPtrMetadataRequest()
		q.SetVersion(9)
		q.AllowAutoTopicCreation = false
		q.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr(topic)}}
		resp, err := r.connFor(hiddenConn).roundTrip(ctx, q)
		if err != nil {
			r.connFor(hiddenConn).close()
			continue
		}
		t := &resp.(*kmsg.MetadataResponse).Topics[0]
		probe := kmsg.NewPtrListOffsetsRequest()
		probe.SetVersion(7)
		probe.ReplicaID = -1
		part := kmsg.ListOffsetsRequestTopic{Topic: topic}
		led := 0
		for _, p := range t.Partitions {
			if p.ErrorCode == 0 && p.Leader >= 0 {
				led++
			}
			part.Partitions = append(part.Partitions, kmsg.ListOffsetsRequestTopicPartition{Partition: p.Partition, CurrentLeaderEpoch: -1, Timestamp: -1})
		}
		if partitions == 0 {
			if len(t.Partitions) > 0 {
				continue
			}
			part.Partitions = []kmsg.ListOffsetsRequestTopicPartition{{CurrentLeaderEpoch: -1, Timestamp: -1}}
		} else if led < partitions || led < len(t.Partitions) {
			continue
		}
		probe.Topics = []kmsg.ListOffsetsRequestTopic{part}
		if r.allServed(ctx, probe, partitions > 0) {
			return
		}
	}
}

// allServed reports whether all partitions are served (want), or none of them.
func (r *Runner) allServed(ctx context.Context, probe *kmsg.ListOffsetsRequest, want bool) bool {
	resp, err := r.connFor(hiddenConn).roundTrip(ctx, probe)
	if err != nil {
		r.connFor(hiddenConn).close()
		return false
	}
	for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
		for _, p := range t.Partitions {
			if (p.ErrorCode == 0) != want {
				return false
			}
		}
	}
	return true
}

// awaitEnd waits until the markers of a transaction are written.
func (r *Runner) awaitEnd(ctx context.Context, id string) {
	if _, ok := r.target.Versions[65]; !ok {
		return
	}
	for end := time.Now().Add(untilTimeout); time.Now().Before(end) && ctx.Err() == nil; sleepFor(ctx, retryPause) {
		q := kmsg.NewPtrDescribeTransactionsRequest()
		q.TransactionalIDs = []string{id}
		resp, err := r.connFor(hiddenConn).roundTrip(ctx, q)
		if err != nil {
			r.connFor(hiddenConn).close()
			continue
		}
		states := resp.(*kmsg.DescribeTransactionsResponse).TransactionStates
		if len(states) == 1 && states[0].State != "PrepareCommit" && states[0].State != "PrepareAbort" && states[0].ErrorCode == 0 {
			return
		}
	}
}
