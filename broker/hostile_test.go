package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/test/testenv/hostile"
)

// TestHostileRequestsTakeBoundedMemoryAndWork: for every API, the requests that
// are most expensive for their bytes. What they allocate is a bounded multiple
// of their bytes, or of what an answer may have, and none takes longer than its
// size explains: quadratic work shows as seconds.
func TestHostileRequestsTakeBoundedMemoryAndWork(t *testing.T) {
	const size = 512 << 10
	const factor = 250 // bytes allocated for each of the request, its answer included
	w := newWorld(t)
	n := w.tcp("a", []metadata.ZoneID{"a"}, func(c *Config) { c.AutoCreate = false })
	dial := func() *raw {
		c, err := net.Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		return &raw{t: t, c: c}
	}
	setup := dial()
	for i := range 50 {
		setup.makeTopic("t"+strconv.Itoa(i), 20)
	}
	names := map[string]func(int) string{
		"one name":   func(int) string { return "t1" },
		"many names": strconv.Itoa,
	}
	for _, a := range newAPITable(true) {
		if a.key == 0 {
			continue // its partitions are counted before it is decoded
		}
		for kind, name := range names {
			bytes := size
			if a.key == 24 || a.key == 27 {
				bytes = 16 << 10 // each transaction is a commit, or waits for one
			}
			requests, what := hostile.Requests(a.key, a.max, bytes, name)
			for i, q := range requests {
				label := fmt.Sprintf("%s%s, %s", kmsg.NameForKey(a.key), what[i], kind)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				begun := time.Now()
				r := dial()
				r.c.SetDeadline(begun.Add(25 * time.Second))
				frame := r.frame(q)
				go r.c.Write(frame)
				got, err := drainAnswer(r.c)
				took := time.Since(begun)
				r.c.Close()
				runtime.ReadMemStats(&after)
				allocated := int64(after.TotalAlloc-before.TotalAlloc) - 2*int64(len(frame))
				if most := int64(factor*size) + n.server.responses.maxPerConn; allocated > most {
					t.Errorf("%s: %d bytes allocated for %d (answer %d, %v)", label, allocated, len(frame), got, err)
				}
				if took > 20*time.Second {
					t.Fatalf("%s: took %v (answer %d, %v)", label, took, got, err)
				}
				if testing.Verbose() {
					t.Logf("%-60s %8d bytes, answer %8d, %5d MiB, %6d ms %v", label, len(frame), got, allocated>>20, took.Milliseconds(), err)
				}
			}
		}
	}
}

// drainAnswer reads an answer and forgets it.
func drainAnswer(c io.Reader) (int64, error) {
	var prefix [4]byte
	if _, err := io.ReadFull(c, prefix[:]); err != nil {
		return 0, err
	}
	return io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(prefix[:])))
}
