// Command jsonl implements the commands of `make clients` for the clients written in
// Go (franz-go, Sarama, kafka-go), like the programs in clients-java, clients-python
// and clients-node. test/suites/clients/doc.go describes the commands.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
)

// options are the flags of every command.
type options struct {
	Family     string
	Bootstrap  string
	ClientID   string
	Topic      string
	Partitions int
	Group      string
	Refreshes  int
	Version    string // sarama: the configured broker version
	Protocol   string
}

// header is one header of a record: name and value (base64 in JSON).
type header struct {
	Name  string
	Value []byte
}

// MarshalJSON writes ["name","base64"].
func (h header) MarshalJSON() ([]byte, error) { return json.Marshal([]any{h.Name, h.Value}) }

// UnmarshalJSON reads what MarshalJSON writes.
func (h *header) UnmarshalJSON(b []byte) error {
	pair := []any{&h.Name, &h.Value}
	return json.Unmarshal(b, &pair)
}

// order is a line of produce's input: a record, and how to send it.
type order struct {
	I          int      `json:"i"`
	Partition  int32    `json:"partition"`
	Key        []byte   `json:"key"`
	Value      []byte   `json:"value"`
	Headers    []header `json:"headers"`
	Codec      string   `json:"codec"`
	Idempotent bool     `json:"idempotent"`
}

// mode is what makes two orders need different producers.
type mode struct {
	codec      string
	idempotent bool
}

// read is a line of consume's output.
type read struct {
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Key       []byte   `json:"key"`
	Value     []byte   `json:"value"`
	Headers   []header `json:"headers"`
}

// answered receives a record's position, or its error. It may be called from several
// goroutines.
type answered func(i int, partition int32, offset int64, err error)

// family is one client library.
type family interface {
	module() string
	create(ctx context.Context, o options) error
	// send produces orders of one mode when they arrive, and calls done with the
	// result of each. It returns when all are answered.
	send(ctx context.Context, o options, m mode, orders <-chan order, done answered) error
	// consume reads as a member of a group until ctx ends; then it commits
	// and leaves.
	consume(ctx context.Context, o options) error
	// leaders refreshes the metadata and calls seen with each response.
	leaders(ctx context.Context, o options, seen func(leaders map[int32]string, brokers []string)) error
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "jsonl:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("want create, produce, stream, consume or leaders")
	}
	var o options
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.Family, "family", "", "franz-go, sarama or kafka-go")
	fs.StringVar(&o.Bootstrap, "bootstrap", "", "host:port")
	fs.StringVar(&o.ClientID, "client-id", "", "client.id")
	fs.StringVar(&o.Topic, "topic", "", "topic")
	fs.IntVar(&o.Partitions, "partitions", 1, "create: of the topic")
	fs.StringVar(&o.Group, "group", "", "consume: group")
	fs.IntVar(&o.Refreshes, "refreshes", 1, "leaders: of the metadata")
	fs.StringVar(&o.Protocol, "group-protocol", "", "franz-go: consumer, else classic")
	fs.StringVar(&o.Version, "version", "", "sarama: the broker's version; empty: Sarama's default")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	families := map[string]family{"franz-go": franz{}, "sarama": saramaFamily{}, "kafka-go": kafkaGo{}}
	f := families[o.Family]
	if f == nil {
		return fmt.Errorf("family %q: want franz-go, sarama or kafka-go", o.Family)
	}
	emit(map[string]any{"client": o.Family, "version": moduleVersion(f.module())})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	switch args[0] {
	case "create":
		return f.create(ctx, o)
	case "produce":
		return produce(ctx, f, o)
	case "stream":
		return stream(ctx, f, o)
	case "consume":
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() { // ends with the program
			_, _ = io.Copy(io.Discard, os.Stdin) // an error ends it as well
			cancel()
		}()
		if err := f.consume(ctx, o); err != nil {
			return err
		}
		emit(map[string]any{"closed": true})
		return nil
	case "leaders":
		n := 0
		return f.leaders(ctx, o, func(leaders map[int32]string, brokers []string) {
			n++
			emit(map[string]any{"refresh": n, "leaders": leaders, "brokers": brokers})
		})
	}
	return fmt.Errorf("unknown word %q", args[0])
}

var out struct {
	sync.Mutex
	sync.Once
	w *json.Encoder
}

// emit prints one line.
func emit(v any) {
	out.Lock()
	defer out.Unlock()
	out.Do(func() { out.w = json.NewEncoder(os.Stdout) })
	if err := out.w.Encode(v); err != nil {
		panic(err) // the reader is gone
	}
}

// emitAssigned prints all partitions that this member has now.
func emitAssigned(partitions []int32) {
	if partitions == nil {
		partitions = []int32{}
	}
	emit(map[string]any{"assigned": partitions})
}

// moduleVersion is the version of a module that this program was built with.
func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, d := range info.Deps {
			if d.Path == path {
				return d.Version
			}
		}
	}
	return "unknown"
}
