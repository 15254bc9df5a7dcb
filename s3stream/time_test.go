package s3stream

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/metadata"
)

// allRecords lists a partition's records by the test's own reading.
func (w *world) allRecords(t *testing.T, tp metadata.TopicPartition) (out []record) {
	s := &Store{}
	for b := w.want[tp]; len(b) > 0; {
		h, err := metadata.ParseBatchHeader(b)
		if err != nil {
			t.Fatal(err)
		}
		err = s.eachRecord(storedBatch{bytes: b[:h.Size], header: h, base: h.BaseOffset}, func(r record) bool { out = append(out, r); return true })
		if err != nil {
			t.Fatal(err)
		}
		b = b[h.Size:]
	}
	return out
}

func TestSearchByTimeFindsTheFirstRecordNotBefore(t *testing.T) {
	for seed := range uint64(4) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, seed)
			s := w.store(slow(w.mem))
			defer s.Close()
			w.fill(s, 20, 5, 3000)
			for n := range 3 {
				tp := part(n)
				for range 2 { // the second time behind a raised log start
					records := w.allRecords(t, tp)
					v, _ := head(w, tp)
					for len(records) > 0 && records[0].offset < v.LogStart {
						records = records[1:]
					}
					for range 30 {
						ts := metadata.UnixMilli(990 + w.rng.IntN(1030))
						var want record
						ok := false
						for _, r := range records {
							if r.timestamp >= ts {
								want, ok = r, true
								break
							}
						}
						o, at, found, err := s.OffsetForTime(t.Context(), tp, ts)
						if err != nil || found != ok || (record{o, at}) != want {
							t.Fatalf("at %d: %d at %d, %v, %v; want %+v, %v", ts, o, at, found, err, want, ok)
						}
					}
					var want record
					for i, r := range records {
						if i == 0 || r.timestamp > want.timestamp {
							want = r
						}
					}
					if o, at, found, err := s.MaxTimestamp(t.Context(), tp); err != nil || found != (len(records) > 0) || (record{o, at}) != want {
						t.Fatalf("greatest: %d at %d, %v, %v; want %+v", o, at, found, err, want)
					}
					w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{
						metadata.TrimPartition{Topic: tp.Topic, Partition: tp.Partition, LogStart: v.Next / 2}}})
				}
			}
			if _, _, found, err := s.MaxTimestamp(t.Context(), part(7)); found || err != nil {
				t.Errorf("empty partition: %v, %v", found, err)
			}
		})
	}
}

// A marker is a record to a search by time, as it is in Kafka.
func TestSearchByTimeFindsMarkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		s := w.store(w.mem)
		defer s.Close()
		tp := part(0)
		do := func(c metadata.Command) metadata.CommandOutcome {
			t.Helper()
			out := w.apply(metadata.LaneControl, &metadata.Entry{Commands: []metadata.Command{c}})
			if out.Code != metadata.CodeOK || out.Commands[0].Code != metadata.CodeOK {
				t.Fatalf("%+v", out)
			}
			return out.Commands[0]
		}
		x := do(metadata.InitTxn{ID: "x", Producer: metadata.NoProducer, Epoch: -1, Timeout: 60_000})
		id := metadata.ProducerID(x.Value)
		do(metadata.AddToTxn{ID: "x", Producer: id, Epoch: x.Epoch, Partitions: []metadata.TopicPartition{tp}})
		do(metadata.EndTxn{ID: "x", Producer: id, Epoch: x.Epoch, Bump: true})
		o, at, found, err := s.MaxTimestamp(t.Context(), tp)
		if o != 0 || !found || err != nil {
			t.Fatalf("greatest: %d at %d, %v, %v", o, at, found, err)
		}
		if o, same, found, err := s.OffsetForTime(t.Context(), tp, at); o != 0 || same != at || !found || err != nil {
			t.Errorf("at the marker's time: %d at %d, %v, %v", o, same, found, err)
		}
		if _, _, found, err := s.OffsetForTime(t.Context(), tp, at+1); found || err != nil {
			t.Errorf("later: %v, %v", found, err)
		}
	})
}

func head(w *world, tp metadata.TopicPartition) (v metadata.PartitionView, ok bool) {
	w.View(func(s *metadata.State) { v, ok = s.Partition(tp) })
	return v, ok
}

func gunzip(codec int, in []byte, limit int) ([]byte, error) {
	if codec != 1 {
		return nil, errors.New("unknown codec")
	}
	r, err := gzip.NewReader(bytes.NewReader(in))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(r, int64(limit)))
}

func TestSearchByTimeLooksIntoCompressedBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		s := w.store(w.mem, func(c *Config) { c.Decompress = gunzip })
		defer s.Close()
		plain := makeBatch(batchSpec{producer: -1, records: 5, size: 100, ts: 1000})
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(plain[metadata.BatchHeaderSize:])
		_ = z.Close()
		b := append(bytes.Clone(plain[:metadata.BatchHeaderSize]), packed.Bytes()...)
		b[22] |= 1
		resign(b)
		w.commitObject(s, []ObjectPart{{Partition: part(0), Batches: [][]byte{b}}})
		if o, at, found, err := s.OffsetForTime(t.Context(), part(0), 1003); o != 3 || at != 1003 || !found || err != nil {
			t.Errorf("%d at %d, %v, %v", o, at, found, err)
		}
		bad := bytes.Clone(b)
		bad[len(bad)-20] ^= 0xff
		bad[80] ^= 0xff
		resign(bad)
		w.commitObject(s, []ObjectPart{{Partition: part(1), Batches: [][]byte{bad}}})
		if _, _, _, err := s.OffsetForTime(t.Context(), part(1), 1003); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "decompress") {
			t.Error(err)
		}
	})
}

// resign makes length and CRC right.
func resign(b []byte) {
	binary.BigEndian.PutUint32(b[8:], uint32(len(b)-metadata.BatchPrefixSize))
	binary.BigEndian.PutUint32(b[17:], metadata.BatchCRC(b))
}

func FuzzRecords(f *testing.F) {
	f.Add(makeBatch(batchSpec{producer: -1, records: 3, size: 10}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := metadata.ParseBatchHeader(b)
		if err != nil || h.LastOffsetDelta < 0 {
			return
		}
		h.Attributes &^= metadata.AttrCompression
		n := int32(0)
		_ = (&Store{}).eachRecord(storedBatch{bytes: b[:h.Size], header: h}, func(r record) bool { n++; return true })
		if n > max(h.RecordCount, 0) {
			t.Fatal(n)
		}
	})
}
