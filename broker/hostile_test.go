package broker

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"reflect"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// hostile makes the requests of an API that are as expensive for their bytes as
// an array in them allows: every array in turn with so many elements that the
// request has about so many bytes. names are what the elements name.
func hostile(key, version int16, bytes int, name func(i int) string) (out []kmsg.Request, what []string) {
	var arrays func(t reflect.Type, path []int) [][]int
	arrays = func(t reflect.Type, path []int) (all [][]int) {
		for i := range t.NumField() {
			f := t.Field(i)
			if !f.IsExported() || f.Type.Kind() != reflect.Slice || f.Type.Elem().Kind() == reflect.Uint8 {
				continue
			}
			here := append(append([]int{}, path...), i)
			all = append(all, here)
			if f.Type.Elem().Kind() == reflect.Struct {
				all = append(all, arrays(f.Type.Elem(), here)...)
			}
		}
		return all
	}
	for _, path := range arrays(reflect.TypeOf(kmsg.RequestForKey(key)).Elem(), nil) {
		size := func(n int) (kmsg.Request, int) {
			q := kmsg.RequestForKey(key)
			if d, ok := q.(interface{ Default() }); ok {
				d.Default()
			}
			q.SetVersion(version)
			v := reflect.ValueOf(q).Elem()
			for depth, i := range path {
				k := 1
				if depth == len(path)-1 {
					k = n
				}
				f := v.Field(i)
				f.Set(reflect.MakeSlice(f.Type(), k, k))
				for j := range k {
					baptize(f.Index(j), j, name)
				}
				if k > 0 && f.Type().Elem().Kind() == reflect.Struct {
					v = f.Index(0)
				}
			}
			return q, len(q.AppendTo(nil))
		}
		_, none := size(0)
		_, some := size(100)
		if some-none < 100 {
			continue // not in this version
		}
		q, _ := size(min((bytes-none)*100/(some-none), 1_000_000))
		out = append(out, q)
		t := reflect.TypeOf(q).Elem()
		text := ""
		for _, i := range path {
			f := t.Field(i)
			text += "." + f.Name
			if t = f.Type.Elem(); t.Kind() != reflect.Struct {
				break
			}
		}
		what = append(what, text)
	}
	return out, what
}

// baptize gives an element of an array names and small numbers.
func baptize(v reflect.Value, n int, name func(int) string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(name(n))
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.String {
			s := name(n)
			v.Set(reflect.ValueOf(&s))
		}
	case reflect.Struct:
		if d, ok := v.Addr().Interface().(interface{ Default() }); ok {
			d.Default()
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "UnknownTags" && f.Type.Kind() != reflect.Struct {
				baptize(v.Field(i), n, name)
			}
		}
		if f := v.FieldByName("ResourceType"); f.IsValid() {
			f.SetInt(int64(kmsg.ConfigResourceTypeTopic))
		}
	}
}

// TestHostileRequestsTakeBoundedMemoryAndWork: for every API, the requests that
// are most expensive for their bytes. What they allocate is a bounded multiple
// of their bytes, or of what an answer may have, and none takes longer than its
// size explains: quadratic work shows as seconds.
func TestHostileRequestsTakeBoundedMemoryAndWork(t *testing.T) {
	const size = 1 << 20
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
	for _, a := range apis(true) {
		if a.key == 0 {
			continue // its partitions are counted before it is decoded
		}
		for kind, name := range names {
			bytes := size
			if a.key == 24 || a.key == 27 {
				bytes = 16 << 10 // each transaction is a commit, or waits for one
			}
			requests, what := hostile(a.key, a.max, bytes, name)
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
				if most := int64(factor*size) + n.server.answers.each; allocated > most {
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
