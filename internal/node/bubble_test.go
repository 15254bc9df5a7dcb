package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/wal"
)

// bubbleCluster are brokers in a synctest bubble, over one log and one bucket.
// Nobody connects to their Kafka listeners: batches come in where connections
// bring them, at the broker's Writer. Peers are reached through their HTTP
// handlers, without a network.
type bubbleCluster struct {
	t      *testing.T
	log    *metadata.MemLog
	bucket bucket.Bucket
	config func(*Config) // of the brokers that start from then on

	mu        sync.Mutex
	at        map[string]*Node
	requested map[metadata.TopicPartition][]string // the brokers that were requested to finish a partition
	silent    map[string]bool                      // peers that do not answer until the caller gives up
}

// newBubbleCluster: every PUT takes put.
func newBubbleCluster(t *testing.T, put time.Duration) *bubbleCluster {
	slow := bucket.Delay(bucket.NewMem(), func(op bucket.Op, _ string, _ int, _ int64) time.Duration {
		if op == bucket.OpPut {
			return put
		}
		return 0
	})
	return &bubbleCluster{t: t, log: metadata.NewMemLog(), bucket: slow, at: map[string]*Node{}, requested: map[metadata.TopicPartition][]string{}, silent: map[string]bool{}}
}

// quietListener is a listener without connections.
type quietListener struct {
	once   sync.Once
	closed chan struct{}
}

func (l *quietListener) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}
func (l *quietListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *quietListener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9} }

// start runs a broker and waits until it serves; its Peer address is its name.
func (c *bubbleCluster) start(name string, zone metadata.ZoneID) *Node {
	c.t.Helper()
	cfg := DefaultConfig()
	cfg.Cluster, cfg.Zone, cfg.Log, cfg.Bucket = "main", zone, c.log, c.bucket
	cfg.Kafka, cfg.Peer = metadata.Address{Host: name, Port: 9}, name
	cfg.Listen = func(metadata.ZoneID, int) (net.Listener, error) {
		return &quietListener{closed: make(chan struct{})}, nil
	}
	cfg.Logger = slog.New(slog.DiscardHandler)
	cfg.Rand = rand.New(rand.NewPCG(1, uint64(name[0])))
	cfg.Metrics, cfg.Peers = prometheus.NewRegistry(), c
	cfg.Fatal = func(err error) { c.t.Errorf("%s: fatal: %v", name, err) }
	if c.config != nil {
		c.config(&cfg)
	}
	n, err := Start(cfg)
	if err != nil {
		c.t.Fatal(err)
	}
	c.mu.Lock()
	c.at[name] = n
	c.mu.Unlock()
	if err := n.WaitReady(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
	return n
}

// close ends all brokers.
func (c *bubbleCluster) close() {
	for _, n := range c.at {
		n.Close()
	}
}

func (c *bubbleCluster) Probe(context.Context, string) error { return nil }

// DrainPartition sends the request to a broker's peer handler, as HTTPPeers
// does.
func (c *bubbleCluster) DrainPartition(ctx context.Context, addr string, tp metadata.TopicPartition) error {
	c.mu.Lock()
	c.requested[tp] = append(c.requested[tp], addr)
	n, silent := c.at[addr], c.silent[addr]
	c.mu.Unlock()
	if n == nil {
		return errors.New("connection refused")
	}
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s?topic=%s&partition=%d", peerDrainPath, tp.Topic, tp.Partition), nil)
	r.Header.Set("Authorization", "Bearer "+peerToken)
	w := httptest.NewRecorder()
	n.PeerHandler(peerToken, nil).ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		return errors.New(w.Body.String())
	}
	return nil
}

// takeAsked returns the brokers that were requested to finish a partition since
// the last call.
func (c *bubbleCluster) takeAsked(tp metadata.TopicPartition) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := c.requested[tp]
	delete(c.requested, tp)
	return out
}

// topic creates a topic.
func (c *bubbleCluster) topic(at *Node, partitions int32) metadata.TopicID {
	c.t.Helper()
	id := metadata.TopicID{7}
	out, err := at.writer.Submit(c.t.Context(), []metadata.Command{metadata.CreateTopic{ID: id, Name: "t", Partitions: partitions, ReplicationFactor: 1}}, nil)
	if err != nil || out.Commands[0].Code != metadata.CodeOK {
		c.t.Fatal(out, err)
	}
	return id
}

// plainBatch is a batch of one record of a producer without idempotence.
func plainBatch(t *testing.T, tp metadata.TopicPartition, zone metadata.ZoneID, activity *wal.ConnectionActivity) wal.Batch {
	t.Helper()
	b := make([]byte, 100)
	be := binary.BigEndian
	be.PutUint32(b[8:], uint32(len(b)-metadata.BatchPrefixSize))
	b[16] = 2
	be.PutUint64(b[35:], uint64(time.Now().UnixMilli()))
	be.PutUint64(b[43:], uint64(1<<64-1))
	be.PutUint16(b[51:], 1<<16-1)
	be.PutUint32(b[53:], 1<<32-1)
	be.PutUint32(b[57:], 1)
	h, err := metadata.ParseBatchHeader(b)
	if err != nil {
		t.Fatal(err)
	}
	return wal.Batch{Partition: tp, Lane: metadata.LaneStandard, Bytes: b, Header: h, Zone: zone, Activity: activity}
}

// send appends a batch of a client of zone a as a connection's reader does; the
// offset comes by the channel.
func (c *bubbleCluster) send(n *Node, tp metadata.TopicPartition, activity *wal.ConnectionActivity) <-chan metadata.Offset {
	c.t.Helper()
	return c.sendFrom(n, tp, "a", activity)
}

// sendFrom is send for a client of some zone.
func (c *bubbleCluster) sendFrom(n *Node, tp metadata.TopicPartition, zone metadata.ZoneID, activity *wal.ConnectionActivity) <-chan metadata.Offset {
	c.t.Helper()
	ack, err := n.writer.Append(c.t.Context(), plainBatch(c.t, tp, zone, activity))
	out := make(chan metadata.Offset, 1)
	if err != nil {
		c.t.Errorf("append to %d of broker %d: %v", tp.Partition, n.Broker(), err)
		out <- -1
		return out
	}
	go func() {
		offset, err := ack.Result()
		if err != nil {
			c.t.Errorf("batch for %d at broker %d: %v", tp.Partition, n.Broker(), err)
		}
		out <- offset
	}()
	return out
}

// leader is the broker that is a zone's hint for a partition.
func (c *bubbleCluster) leader(tp metadata.TopicPartition, zone metadata.ZoneID) *Node {
	for _, n := range c.at {
		var p *metadata.Placement
		n.replica.View(func(s *metadata.State) { p = s.Placement() })
		if p.Leader(tp, zone) == n.Broker() {
			return n
		}
	}
	c.t.Fatalf("nobody leads partition %d", tp.Partition)
	return nil
}

func (n *Node) orderAtRisk() uint64 { return n.writer.wal.Load().Stats().OrderAtRisk }
