//go:build performance

package kafkaoracle

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Three brokers form one cluster that accepts a topic with three replicas.
func TestThreeBrokersAreOneCluster(t *testing.T) {
	k := Start(t, Options{Brokers: 3})
	client, err := kgo.NewClient(kgo.SeedBrokers(k.Bootstrap...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	for { // the last broker may still be registering
		brokers, err := admin.ListBrokers(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if len(brokers) == 3 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if _, err := admin.CreateTopic(ctx, 3, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "t", Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}
