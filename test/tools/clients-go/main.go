package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// target is a client's bootstrap address and identity.
type target struct {
	Name      string
	Bootstrap []string
	ClientID  string
	Rack      string
}

// family is a client library.
type family interface {
	create(ctx context.Context, t target, topic string, partitions int) error
	// producer opens a producer with acks=all, idempotent if the library supports it.
	producer(t target, o produceOptions) (producer, error)
	// group consumes as one member until ctx ends, commits what was passed to seen,
	// and leaves.
	group(ctx context.Context, t target, o consumeOptions, seen func(record)) error
	// leaders refreshes the metadata the given number of times, and calls seen with
	// every partition's leader each time.
	leaders(ctx context.Context, t target, topic string, refreshes int, seen func(addr string)) error
}

// producer sends records to the partition that they name.
type producer interface {
	// send may block; done is called once, with the offset or the error.
	send(partition int32, value []byte, done func(offset int64, err error))
	close() // waits for what was sent
}

// record is what a consumer read.
type record struct {
	partition int32
	offset    int64
	value     []byte
}

func familyOf(name string) (family, error) {
	switch name {
	case "franz":
		return franz{}, nil
	case "sarama":
		return saramaFamily{}, nil
	case "kafka-go":
		return kafkaGo{}, nil
	}
	return nil, fmt.Errorf("family %q: want franz, sarama or kafka-go", name)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "clients-go:", err)
		os.Exit(1)
	}
}

// options are the flags of all commands.
type options struct {
	family, bootstrap, clientID, topic string
	partitions, refreshes              int
	produce                            produceOptions
	consume                            consumeOptions
	targets                            targets
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("want create, produce, consume or leaders")
	}
	o := &options{}
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.family, "family", "franz", "franz, sarama or kafka-go")
	fs.StringVar(&o.bootstrap, "bootstrap", "", "host:port, divided by ';'")
	fs.StringVar(&o.clientID, "client-id", "clients-go", "client.id")
	fs.StringVar(&o.topic, "topic", "", "topic")
	fs.IntVar(&o.partitions, "partitions", 1, "of the topic")
	fs.IntVar(&o.refreshes, "refreshes", 1, "leaders: how often the metadata is refreshed")
	fs.Var(&o.targets, "producer", "NAME,BOOTSTRAP,CLIENTID; repeat")
	fs.Var(&o.targets, "member", "NAME,BOOTSTRAP,CLIENTID[,RACK]; repeat")
	o.produce.declare(fs)
	o.consume.declare(fs)
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	f, err := familyOf(o.family)
	if err != nil {
		return err
	}
	o.produce.topic, o.produce.partitions, o.consume.topic = o.topic, o.partitions, o.topic
	ctx, cancel := untilStdinEnds()
	defer cancel()
	one := target{Name: "one", Bootstrap: strings.Split(o.bootstrap, ";"), ClientID: o.clientID}
	switch args[0] {
	case "create":
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		return f.create(ctx, one, o.topic, o.partitions)
	case "produce":
		return runProduce(ctx, f, o.targets, o.produce)
	case "consume":
		return runConsume(ctx, f, o.targets, o.consume)
	case "leaders":
		return runLeaders(ctx, f, one, o)
	}
	return fmt.Errorf("unknown verb %q", args[0])
}

// untilStdinEnds ends the context when the parent process closes the pipe.
func untilStdinEnds() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // ends with the program
		_, _ = io.Copy(io.Discard, os.Stdin) // an error ends it too
		cancel()
	}()
	return ctx, cancel
}

func runLeaders(ctx context.Context, f family, t target, o *options) error {
	found := map[string]int{}
	if err := f.leaders(ctx, t, o.topic, o.refreshes, func(addr string) { found[addr]++ }); err != nil {
		return err
	}
	return print(map[string]any{"refreshes": o.refreshes, "leaders": found})
}

func print(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(line))
	return err
}

// targets is a repeated flag.
type targets []target

// String implements flag.Value.
func (t *targets) String() string { return fmt.Sprint(len(*t)) }

// Set implements flag.Value.
func (t *targets) Set(text string) error {
	parts := strings.Split(text, ",")
	if len(parts) < 3 {
		return fmt.Errorf("%q: want NAME,BOOTSTRAP,CLIENTID", text)
	}
	one := target{Name: parts[0], Bootstrap: strings.Split(parts[1], ";"), ClientID: parts[2]}
	if len(parts) > 3 {
		one.Rack = parts[3]
	}
	*t = append(*t, one)
	return nil
}
