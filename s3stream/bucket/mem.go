package bucket

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mem is a bucket in memory, for tests and the simulation. Bytes are copied on
// the way in and on the way out, so neither side can change what the other one
// holds. It starts no goroutine, and its lock guards memory only, so it is safe
// inside a synctest bubble; Modified is then the bubble's time.
type Mem struct {
	mu      sync.Mutex
	objects map[string]memObject // by name; guarded by mu
	sorted  []string             // the names, in byte order; guarded by mu
}

// memObject is never changed once stored.
type memObject struct {
	body     []byte
	modified int64 // unix ms
}

// NewMem returns an empty bucket.
func NewMem() *Mem { return &Mem{objects: map[string]memObject{}} }

// Put implements Bucket.
func (m *Mem) Put(ctx context.Context, name string, body []byte) error {
	if err := checkRequest(ctx, OpPut, name, CheckName(name), checkBody(name, body)); err != nil {
		return err
	}
	status := 200
	if !m.insertObject(name, memObject{body: bytes.Clone(body), modified: time.Now().UnixMilli()}) {
		status = 412
	}
	Report(ctx, Attempt{Op: OpPut, Name: name, Status: status, Bytes: int64(len(body))})
	if status == 412 {
		return opError(OpPut, name, ErrExists)
	}
	return nil
}

func (m *Mem) insertObject(name string, object memObject) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.objects[name]; there {
		return false
	}
	m.objects[name] = object
	at, _ := slices.BinarySearch(m.sorted, name)
	m.sorted = slices.Insert(m.sorted, at, name)
	return true
}

// Get implements Bucket.
func (m *Mem) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	if err := checkRequest(ctx, OpGet, name, CheckName(name)); err != nil {
		return nil, err
	}
	if length == 0 && off >= 0 {
		return []byte{}, nil
	}
	m.mu.Lock()
	object, there := m.objects[name]
	m.mu.Unlock()
	if !there {
		Report(ctx, Attempt{Op: OpGet, Name: name, Status: 404})
		return nil, opError(OpGet, name, ErrNotFound)
	}
	from, to, ok := resolveRange(int64(len(object.body)), off, length)
	if !ok {
		Report(ctx, Attempt{Op: OpGet, Name: name, Status: 416})
		return nil, opError(OpGet, name, ErrRange)
	}
	Report(ctx, Attempt{Op: OpGet, Name: name, Status: getStatus(off, length), Bytes: to - from})
	return append([]byte{}, object.body[from:to]...), nil
}

// List implements Bucket.
func (m *Mem) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	if err := checkRequest(ctx, OpList, prefix); err != nil {
		return nil, err
	}
	found := m.listObjects(prefix, after, limit)
	reportPages(ctx, prefix, len(found))
	return found, nil
}

func (m *Mem) listObjects(prefix, after string, limit int) []Info {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Info
	at, _ := slices.BinarySearch(m.sorted, max(prefix, after))
	for _, name := range m.sorted[at:] {
		if !strings.HasPrefix(name, prefix) || limit > 0 && len(found) == limit {
			break
		}
		if name > after {
			object := m.objects[name]
			found = append(found, Info{Name: name, Size: int64(len(object.body)), Modified: object.modified})
		}
	}
	return found
}

// Delete implements Bucket.
func (m *Mem) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := checkRequest(ctx, OpDelete, names[0], CheckNames(names)); err != nil {
		return nil, err
	}
	m.removeObjects(names)
	reportBatches(ctx, names)
	return DeleteResult(names, nil)
}

func (m *Mem) removeObjects(names []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		if _, there := m.objects[name]; !there {
			continue
		}
		delete(m.objects, name)
		at, _ := slices.BinarySearch(m.sorted, name)
		m.sorted = slices.Delete(m.sorted, at, at+1)
	}
}

// checkRequest returns what stops a request before it is sent: a context that has
// ended, or the first of the faults given. Nothing is reported then.
func checkRequest(ctx context.Context, op Op, name string, faults ...error) error {
	for _, err := range append(faults, ctx.Err()) {
		if err != nil {
			return opError(op, name, err)
		}
	}
	return nil
}

// getStatus is what S3 answers to a get that succeeds.
func getStatus(off, length int64) int {
	if off == 0 && length < 0 {
		return 200
	}
	return 206
}

// reportPages reports the list requests that S3 would have seen for that number
// of names: one per page, and one where there is nothing.
func reportPages(ctx context.Context, prefix string, found int) {
	for first := true; first || found > 0; found -= PageNames {
		first = false
		Report(ctx, Attempt{Op: OpList, Name: prefix, Status: 200})
	}
}

// reportBatches reports the delete requests that S3 would have seen: one object
// by its own request, more of them PageNames at a time.
func reportBatches(ctx context.Context, names []string) {
	status := 200
	if len(names) == 1 {
		status = 204
	}
	for batch := range slices.Chunk(names, PageNames) {
		Report(ctx, Attempt{Op: OpDelete, Name: batch[0], Status: status})
	}
}
