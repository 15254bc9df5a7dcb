package schema

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ranges are the versions that kmsg and the definitions have in common, of the
// requests that a broker may serve.
func ranges(t testing.TB) map[int16][2]int16 {
	out := map[int16][2]int16{}
	for _, block := range strings.Split(requests, "\nrequest ")[1:] {
		head, _, _ := strings.Cut(block, "\n")
		words := strings.Fields(head)
		v, err := parseVersions(words[2])
		if err != nil {
			t.Fatal(err)
		}
		key := kmsg.Key(0)
		for k := range int16(100) {
			if q := kmsg.RequestForKey(k); q != nil && kmsg.NameForKey(k) == words[1] {
				key = kmsg.Key(k)
				out[key.Int16()] = [2]int16{v.first, min(v.last, q.MaxVersion())}
			}
		}
	}
	if len(out) < 40 {
		t.Fatalf("%d requests in common", len(out))
	}
	return out
}

func table(t testing.TB) *Table {
	tb, err := Load(ranges(t))
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

// fill sets v and all below it at random.
func fill(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Version" && f.Name != "UnknownTags" {
				fill(r, v.Field(i), depth+1)
			}
		}
		if tags := v.FieldByName("UnknownTags"); tags.IsValid() && r.IntN(8) == 0 {
			for range 1 + r.IntN(4) {
				tags.Addr().Interface().(*kmsg.Tags).Set(100+uint32(r.IntN(50)), make([]byte, r.IntN(20)))
			}
		}
	case reflect.Pointer:
		if r.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(r, v.Elem(), depth)
		} else {
			v.SetZero()
		}
	case reflect.Slice:
		n := r.IntN(6)
		if v.Type().Elem().Kind() == reflect.Uint8 {
			n = r.IntN(100)
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i), depth+1)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(r, v.Index(i), depth)
		}
	case reflect.String:
		v.SetString(strings.Repeat("x", r.IntN(40)))
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(r.IntN(200) - 100))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(r.Uint64N(200))
	case reflect.Float64:
		v.SetFloat(r.Float64())
	default:
		panic(v.Kind().String())
	}
}

// weigh counts array elements and bytes of memory of a decoded value, beside
// its own place.
func weigh(v reflect.Value) (elements, bytes int64) {
	add := func(e, b int64) { elements, bytes = elements+e, bytes+b }
	switch v.Kind() {
	case reflect.Struct:
		if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
			add(0, int64(tags.Len())*40)
			return elements, bytes
		}
		for i := range v.NumField() {
			add(weigh(v.Field(i)))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			add(0, int64(v.Type().Elem().Size()))
			add(weigh(v.Elem()))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return 0, 0 // the frame's
		}
		add(int64(v.Len()), int64(v.Len())*int64(v.Type().Elem().Size()))
		for i := range v.Len() {
			add(weigh(v.Index(i)))
		}
	case reflect.String:
		add(0, int64(v.Len()))
	}
	return elements, bytes
}

func TestMeasureAgreesWithTheDecoder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	tb := table(t)
	for key, versions := range ranges(t) {
		for version := versions[0]; version <= versions[1]; version++ {
			for range 40 {
				q := kmsg.RequestForKey(key)
				fill(r, reflect.ValueOf(q).Elem(), 0)
				q.SetVersion(version)
				body := q.AppendTo(nil)
				w := measurer{remaining: body, flexible: q.IsFlexible(), size: Size{Bytes: tb.Shape(key, version).body.bytes}}
				if err := w.measureStruct(&tb.Shape(key, version).body); err != nil || len(w.remaining) > 0 {
					t.Fatalf("%s version %d: %v, %d bytes left of %d", kmsg.NameForKey(key), version, err, len(w.remaining), len(body))
				}
				back := kmsg.RequestForKey(key)
				back.SetVersion(version)
				if err := back.ReadFrom(body); err != nil {
					t.Fatal(err)
				}
				elements, bytes := weigh(reflect.ValueOf(back).Elem())
				bytes += int64(reflect.TypeOf(back).Elem().Size())
				if w.size.Elements != elements || w.size.Bytes < bytes || w.size.Bytes > 4*bytes+256 {
					t.Fatalf("%s version %d: measured %+v, decoded %d elements, %d bytes", kmsg.NameForKey(key), version, w.size, elements, bytes)
				}
				for cut := range min(len(body), 50) { // never beyond the end
					_, _ = tb.Shape(key, version).Measure(body[:cut])
				}
			}
		}
	}
}

// body4 is a FindCoordinator request of version 4 with n keys of one byte.
func body4(n int) []byte {
	b := binary.AppendUvarint([]byte{0}, uint64(n)+1)
	for range n {
		b = append(b, 2, 'k')
	}
	return append(b, 0)
}

func TestMeasureRefusesWhatKafkaRefuses(t *testing.T) {
	tb := table(t)
	find := tb.Shape(10, 4)
	tags := binary.AppendUvarint([]byte{0, 1}, MaxTaggedFields+1)
	for i := range uint64(MaxTaggedFields + 1) {
		tags = append(binary.AppendUvarint(tags, i), 0)
	}
	for name, tt := range map[string]struct {
		shape *Shape
		body  []byte
		want  error
	}{
		"a million keys":            {find, body4(MaxArrayLength), nil},
		"one more":                  {find, body4(MaxArrayLength + 1), ErrLimit},
		"more keys than bytes":      {find, []byte{0, 0xff, 0xff, 0xff, 0x07}, ErrShort},
		"no list of keys":           {find, []byte{0, 0, 0}, ErrNull},
		"a key that is null":        {find, []byte{0, 2, 0, 0}, ErrNull},
		"too many tags":             {find, tags, ErrLimit},
		"as many as may be":         {find, append(binary.AppendUvarint([]byte{0, 1}, MaxTaggedFields), tags[4:4+2*128+3*(MaxTaggedFields-128)]...), nil},
		"no list of topics":         {tb.Shape(3, 1), []byte{0xff, 0xff, 0xff, 0xff}, nil},
		"topics in version 0":       {tb.Shape(3, 0), []byte{0xff, 0xff, 0xff, 0xff}, ErrNull},
		"a group's name, negative":  {tb.Shape(42, 0), []byte{0, 0, 0, 1, 0xff, 0xff}, ErrNull},
		"nothing at all":            {find, nil, ErrShort},
		"a string of 32,768 bytes":  {find, append([]byte{0, 2, 0x81, 0x80, 0x02}, make([]byte, 40_000)...), ErrInvalid},
		"a topic's name, too short": {tb.Shape(3, 1), []byte{0, 0, 0, 1, 0, 5, 'a'}, ErrShort},
	} {
		if _, err := tt.shape.Measure(tt.body); !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
}

func TestMeasureAllocatesNothing(t *testing.T) {
	find := table(t).Shape(10, 4)
	body := body4(100_000)
	if n := testing.AllocsPerRun(3, func() { _, _ = find.Measure(body) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestMeasuredMemoryIsWhatDecodingTakes holds the estimate against the
// allocator, for requests made to be expensive.
func TestMeasuredMemoryIsWhatDecodingTakes(t *testing.T) {
	names := kmsg.NewPtrMetadataRequest()
	for range 200_000 {
		topic, name := kmsg.NewMetadataRequestTopic(), "t"
		topic.Topic = &name
		names.Topics = append(names.Topics, topic)
	}
	names.Version = 12
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 13
	for range 50_000 {
		topic := kmsg.NewFetchRequestTopic()
		topic.Partitions = make([]kmsg.FetchRequestTopicPartition, 2)
		fetch.Topics = append(fetch.Topics, topic)
	}
	tags := kmsg.NewPtrDescribeConfigsRequest()
	tags.Version = 4
	for range 20_000 {
		res := kmsg.NewDescribeConfigsRequestResource()
		for i := range uint32(5) {
			res.UnknownTags.Set(i+1, nil)
		}
		tags.Resources = append(tags.Resources, res)
	}
	keys := kmsg.NewPtrFindCoordinatorRequest()
	keys.Version = 4
	keys.CoordinatorKeys = strings.Split(strings.Repeat("kk,", 500_000), ",")
	tb := table(t)
	for _, q := range []kmsg.Request{names, fetch, tags, keys} {
		body := q.AppendTo(nil)
		size, err := tb.Shape(q.Key(), q.GetVersion()).Measure(body)
		if err != nil {
			t.Fatal(err)
		}
		back := kmsg.RequestForKey(q.Key())
		back.SetVersion(q.GetVersion())
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := back.ReadFrom(body); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		took := int64(after.TotalAlloc - before.TotalAlloc)
		if size.Bytes < took*9/10 || size.Bytes > 4*took {
			t.Errorf("%s: measured %d bytes, decoding %d bytes took %d", kmsg.NameForKey(q.Key()), size.Bytes, len(body), took)
		}
		t.Logf("%s: %d bytes on the wire, measured %d, took %d", kmsg.NameForKey(q.Key()), len(body), size.Bytes, took)
	}
}

// FuzzMeasure: what Measure lets through is decoded without error, and takes
// no more memory than was measured.
func FuzzMeasure(f *testing.F) {
	tb := table(f)
	f.Add(int16(10), int16(4), body4(3))
	f.Add(int16(3), int16(12), []byte{2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 't', 0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		s := tb.Shape(key, version)
		if s == nil {
			return
		}
		size, err := s.Measure(body)
		if err != nil {
			return
		}
		q := kmsg.RequestForKey(key)
		q.SetVersion(version)
		if err := q.ReadFrom(body); err != nil {
			t.Fatalf("measured, but not decoded: %v", err)
		}
		if _, bytes := weigh(reflect.ValueOf(q).Elem()); bytes > size.Bytes {
			t.Fatalf("measured %d bytes, decoded %d", size.Bytes, bytes)
		}
	})
}

func BenchmarkMeasure(b *testing.B) {
	find := table(b).Shape(10, 4)
	body := body4(1000)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		if _, err := find.Measure(body); err != nil {
			b.Fatal(err)
		}
	}
}
