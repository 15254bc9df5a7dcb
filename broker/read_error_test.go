package broker

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/test/testenv/logtext"
)

// failingReader fails every read, after what happens in between.
type failingReader struct {
	Reader
	during func()
	err    error
}

func (f *failingReader) Read(context.Context, s3stream.ReadRequest) (s3stream.ReadResult, error) {
	f.during()
	return s3stream.ReadResult{}, f.err
}

func (f *failingReader) OffsetForTime(context.Context, metadata.TopicPartition, metadata.UnixMilli) (metadata.Offset, metadata.UnixMilli, bool, error) {
	f.during()
	return 0, 0, false, f.err
}

// What a consumer is told of records that cannot be read, and who is alarmed: a
// missing object is an error that names it and the partition, a state that is too
// old to tell is retried, and what was deleted meanwhile is neither.
func TestWhatIsToldOfRecordsThatCannotBeRead(t *testing.T) {
	corrupt := &s3stream.CorruptError{Object: "wal/5/standard-1", Detail: "is missing from the bucket, but the state refers to it"}
	stale := fmt.Errorf("%w: wait for the newest state: %w", s3stream.ErrUnavailable, context.DeadlineExceeded)
	for name, c := range map[string]struct {
		err     error
		trimmed bool
		want    *kerr.Error
		alarm   bool
	}{
		"missing":           {corrupt, false, kerr.KafkaStorageError, true},
		"missing, trimmed":  {corrupt, true, kerr.OffsetOutOfRange, false},
		"no barrier":        {stale, false, kerr.KafkaStorageError, false},
		"trimmed":           {fmt.Errorf("read: %w", s3stream.ErrTrimmed), true, kerr.OffsetOutOfRange, false},
		"trimmed elsewhere": {fmt.Errorf("read: %w", s3stream.ErrTrimmed), false, kerr.OffsetOutOfRange, false},
	} {
		t.Run(name, func(t *testing.T) {
			var out logtext.Text
			reader := &failingReader{err: c.err, during: func() {}}
			inBubble(t, func(cfg *Config) {
				reader.Reader = cfg.Reader
				cfg.Reader, cfg.Log = reader, slog.New(slog.NewTextHandler(&out, nil))
			}, func(t *testing.T, n *node, dial func() *raw) {
				r := dial()
				id := r.makeTopic("t", 1)
				r.roundTrip(produceOf(9, "t", id, -1, batchOf(nowMs(), "v")))
				var trimmed atomic.Bool
				reader.during = func() {
					if !c.trimmed || trimmed.Swap(true) {
						return
					}
					if o, err := n.wal.Submit(t.Context(), []metadata.Command{metadata.TrimPartition{Topic: id, LogStart: 1}}, nil); err != nil || o.Code != metadata.CodeOK {
						t.Errorf("trim: %+v, %v", o, err)
					}
				}
				resp := r.fetch(fetchOf(11, 0, -1, 10, fetchWant{topic: "t"}))
				if got := resp.Topics[0].Partitions[0].ErrorCode; got != c.want.Code {
					t.Errorf("error %v, want %v", kerr.ErrorForCode(got), c.want)
				}
				text := out.String()
				out.Reset()
				if got := strings.Contains(text, "level=ERROR"); got != c.alarm {
					t.Errorf("an error is logged: %v, want %v: %s", got, c.alarm, text)
				}
				if c.trimmed {
					return
				}
				got := r.listOffset("t", 5)
				if listed := out.String(); got.ErrorCode != c.want.Code || strings.Contains(listed, "level=ERROR") != c.alarm {
					t.Errorf("a search: error %v, want %v; %s", kerr.ErrorForCode(got.ErrorCode), c.want, listed)
				}
				if c.alarm && !(strings.Contains(text, corrupt.Object) && strings.Contains(text, "topic=t") && strings.Contains(text, "partition=0")) {
					t.Errorf("it does not name object and partition: %s", text)
				}
			})
		})
	}
}
