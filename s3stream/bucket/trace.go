package bucket

import (
	"context"
	"hash/crc32"
	"time"
)

// TraceLine is one call and its result. It has a hash of the bytes: by names
// and sizes alone two runs that differ can look the same.
type TraceLine struct {
	Op    Op
	Name  string // of a list, the prefix; of a delete, the first name
	Off   int64  // get
	Len   int64  // get; of a list, the limit; of a delete, the number of names
	After string // list
	Bytes int64  // payload put or got; of a list, the number of names found; of a delete, of names confirmed
	Sum   uint32 // CRC32C of the payload; of a list, of the names found; of a delete, of names confirmed
	Err   error
	Begun time.Time
	Took  time.Duration
}

// Trace reports every call to b after it has ended, on the goroutine that made
// it, possibly on several at once. For what S3 bills, use WithObserver.
func Trace(b Bucket, report func(TraceLine)) Bucket { return tracedBucket{b, report} }

type tracedBucket struct {
	b      Bucket
	report func(TraceLine)
}

func (t tracedBucket) reportLine(line TraceLine, err error) {
	line.Err, line.Took = err, time.Since(line.Begun)
	t.report(line)
}

func (t tracedBucket) Put(ctx context.Context, name string, body []byte) error {
	line := TraceLine{Op: OpPut, Name: name, Bytes: int64(len(body)), Sum: checksum(body), Begun: time.Now()}
	err := t.b.Put(ctx, name, body)
	t.reportLine(line, err)
	return err
}

func (t tracedBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	line := TraceLine{Op: OpGet, Name: name, Off: off, Len: length, Begun: time.Now()}
	body, err := t.b.Get(ctx, name, off, length)
	line.Bytes, line.Sum = int64(len(body)), checksum(body)
	t.reportLine(line, err)
	return body, err
}

func (t tracedBucket) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	line := TraceLine{Op: OpList, Name: prefix, After: after, Len: int64(limit), Begun: time.Now()}
	infos, err := t.b.List(ctx, prefix, after, limit)
	line.Bytes = int64(len(infos))
	for _, info := range infos {
		line.Sum = addName(line.Sum, info.Name)
	}
	t.reportLine(line, err)
	return infos, err
}

func (t tracedBucket) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	line := TraceLine{Op: OpDelete, Len: int64(len(names)), Begun: time.Now()}
	if len(names) > 0 {
		line.Name = names[0]
	}
	deleted, err = t.b.Delete(ctx, names...)
	line.Bytes = int64(len(deleted))
	for _, name := range deleted {
		line.Sum = addName(line.Sum, name)
	}
	t.reportLine(line, err)
	return deleted, err
}

func addName(sum uint32, name string) uint32 {
	return crc32.Update(sum, castagnoli(), append([]byte(name), 0))
}

func checksum(body []byte) uint32 { return crc32.Checksum(body, castagnoli()) }

// castagnoli is made once by the standard library, which returns that same one.
func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) }
