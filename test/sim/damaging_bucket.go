package sim

import (
	"bytes"
	"context"
	"strings"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// damagingBucket is the bucket behind a network that damages selected responses.
type damagingBucket struct {
	bucket.Bucket
	w       *world
	process string // that makes the requests
}

func (d damagingBucket) Put(ctx context.Context, name string, body []byte) error {
	if strings.Contains(name, "/archive/") && d.w.useDamage(&d.w.damageArchives, damaged) {
		d.w.trace("damaged %s", name)
		body = bytes.Clone(body)
		body[len(body)/2] ^= 1
	}
	if d.w.denyArchive(name) {
		bucket.Report(ctx, bucket.Attempt{Op: bucket.OpPut, Name: name, Status: 403, Bytes: int64(len(body))})
		return bucket.ErrDenied
	}
	d.w.observePut(name)
	return d.Bucket.Put(ctx, name, body)
}

// Get damages reads of objects, archives and checkpoints in transit: the stored
// bytes are intact.
func (d damagingBucket) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	d.w.observeGet(name)
	body, err := d.Bucket.Get(ctx, name, off, length)
	if err != nil || len(body) == 0 || d.process == "operator" {
		return body, err
	}
	kind, what := &d.w.damageReads, readDamaged
	switch {
	case strings.Contains(name, "/checkpoint/"):
		kind, what = &d.w.damageCheckpoints, checkpointDamaged
	case !strings.Contains(name, "/wal/") && !strings.Contains(name, "/archive/"):
		return body, nil
	}
	if d.w.useDamage(kind, what) {
		d.w.trace("damaged on its way to %s: %s %d+%d", d.process, name, off, length)
		body = bytes.Clone(body)
		body[len(body)/2] ^= 2 // another bit than Put flips: a second flip of that one would undo the damage just where it is checked
	}
	return body, nil
}

// useDamage decrements the number of reads to damage, and reports whether there was one.
func (w *world) useDamage(left *int, what string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *left == 0 {
		return false
	}
	*left--
	w.observed.coverage[what]++
	return true
}

// damageArchive flips a bit of the next archive in transit to the bucket.
func (r *run) damageArchive(int) { r.addDamage(&r.damageArchives, 1) }

// damageRead flips a bit of each of the next responses with record bytes or entries.
func (r *run) damageRead(n int) {
	r.addDamage(&r.damageReads, 1+int(r.generateNumber("reads", "damage", n)%3))
}

// damageCheckpoint flips a bit of the next checkpoint that is read.
func (r *run) damageCheckpoint(int) { r.addDamage(&r.damageCheckpoints, 1) }

// maxDamagedInARow is one less than the damaged reads of one object after which a
// broker takes the stored object to be damaged, and stops.
const maxDamagedInARow = 2

func (r *run) addDamage(left *int, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	*left = min(*left+n, maxDamagedInARow)
}
