package hostile

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Attack is a request that some connections send to a broker repeatedly.
type Attack struct {
	Broker      string // host:port
	Connections int
	For         time.Duration
	Key         int16
	Version     int16  // of the request
	Array       string // one of Requests' descriptions; "": the first
	Bytes       int    // of each request
	OneName     bool   // all elements have the name Name; otherwise each has a different one
	Name        string
	Silent      bool // responses are not read
}

// Result counts what an attack sent and received.
type Result struct{ Sent, Answered, Bytes int64 }

// Frame is the attack's request as it is sent.
func (a Attack) Frame() ([]byte, error) {
	q := kmsg.RequestForKey(a.Key)
	if q == nil {
		return nil, fmt.Errorf("no request has key %d", a.Key)
	}
	name := func(i int) string { return fmt.Sprintf("%s%d", a.Name, i) }
	if a.OneName {
		name = func(int) string { return a.Name }
	}
	all, arrays := Requests(a.Key, a.Version, a.Bytes, name)
	for i := range all {
		if a.Array == "" || arrays[i] == a.Array {
			return kmsg.NewRequestFormatter(kmsg.FormatterClientID("attacker")).AppendRequest(nil, all[i], 1), nil
		}
	}
	return nil, fmt.Errorf("%s has no array %s", kmsg.NameForKey(a.Key), a.Array)
}

// Run attacks until the time is over or ctx ends.
func (a Attack) Run(ctx context.Context) (Result, error) {
	frame, err := a.Frame()
	if err != nil {
		return Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, a.For)
	defer cancel()
	var sent, answered, bytes atomic.Int64
	var all sync.WaitGroup
	for range a.Connections {
		all.Go(func() {
			for ctx.Err() == nil {
				a.attackOnce(ctx, frame, &sent, &answered, &bytes)
			}
		})
	}
	all.Wait()
	return Result{sent.Load(), answered.Load(), bytes.Load()}, nil
}

// attackOnce runs one connection until it ends.
func (a Attack) attackOnce(ctx context.Context, frame []byte, sent, answered, bytes *atomic.Int64) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", a.Broker)
	if err != nil {
		return
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	for ctx.Err() == nil {
		if _, err := c.Write(frame); err != nil {
			return
		}
		sent.Add(1)
		if a.Silent {
			continue
		}
		var prefix [4]byte
		if _, err := io.ReadFull(c, prefix[:]); err != nil {
			return
		}
		n, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(prefix[:])))
		if err != nil {
			return
		}
		answered.Add(1)
		bytes.Add(n)
	}
}

// Main runs the attack that text describes, in a process of its own, and writes the
// result.
func Main(ctx context.Context, text string, out io.Writer) error {
	var a Attack
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		return fmt.Errorf("decode attack: %w", err)
	}
	r, err := a.Run(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(r)
}
