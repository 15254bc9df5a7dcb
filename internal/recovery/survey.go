package recovery

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// ErrNothing means that the bucket holds no archive to recover from.
var ErrNothing = errors.New("nothing to recover from")

// Marker is the object incarnation/<n>: who recovered, and from what. It is
// written once, before the new etcd holds anything.
type Marker struct {
	Incarnation metadata.Incarnation `json:"incarnation"`
	Base        metadata.Revision    `json:"base"`
	Archive     string               `json:"archive"` // key of the last one that counts
	Extent      metadata.Extent      `json:"generation"`
	Revision    metadata.Revision    `json:"revision"` // of its last entry; later ones of older incarnations are lost
}

// Validate returns what is wrong with m.
func (m Marker) Validate() error {
	if m.Incarnation < 2 || m.Base != m.Incarnation.Base() || m.Archive == "" || m.Revision < 1 || m.Revision >= m.Base {
		return fmt.Errorf("incarnation marker %d: base %d, archive %q at revision %d are inconsistent", m.Incarnation, m.Base, m.Archive, m.Revision)
	}
	return nil
}

const markerFolder = "incarnation/"

// MarkerKey names the marker of an incarnation, below "<cluster>/".
func MarkerKey(n metadata.Incarnation) string { return metadata.IncarnationKey(n) }

// storedObject is one archive or checkpoint by its name.
type storedObject struct {
	key         string
	incarnation metadata.Incarnation
	number      uint64 // generation, or revision
}

// bucketSurvey is what the names in a bucket show.
type bucketSurvey struct {
	incarnations []metadata.Incarnation // with objects, ascending
	markers      map[metadata.Incarnation]Marker
	archives     []storedObject // newest incarnation first, in it the highest generation
	checkpoints  []storedObject // the same, by revision
}

// surveyBucket lists what the bucket below "<cluster>/" has for a recovery.
func surveyBucket(ctx context.Context, objects bucket.Bucket) (*bucketSurvey, error) {
	s := &bucketSurvey{markers: map[metadata.Incarnation]Marker{}}
	if err := s.findIncarnations(ctx, objects); err != nil {
		return nil, err
	}
	if err := s.readMarkers(ctx, objects); err != nil {
		return nil, err
	}
	for _, n := range s.incarnations {
		for i, into := range []*[]storedObject{&s.archives, &s.checkpoints} { // always in this order: a seed replays
			prefix := fmt.Sprintf("%d/%s/", n, []string{"archive", "checkpoint"}[i])
			list, err := objects.List(ctx, prefix, "", 0)
			if err != nil {
				return nil, fmt.Errorf("list %s: %w", prefix, err)
			}
			for _, o := range list {
				if number, ok := numberIn(strings.TrimPrefix(o.Name, prefix)); ok {
					*into = append(*into, storedObject{o.Name, n, number})
				}
			}
		}
	}
	for _, list := range [][]storedObject{s.archives, s.checkpoints} {
		slices.SortFunc(list, func(a, b storedObject) int {
			return cmp.Or(cmp.Compare(b.incarnation, a.incarnation), cmp.Compare(b.number, a.number), cmp.Compare(a.key, b.key))
		})
	}
	return s, nil
}

// numberIn reads the 16 hexadecimal digits that the names of archives and
// checkpoints begin with.
func numberIn(name string) (uint64, bool) {
	if len(name) < 17 || name[16] != '/' && name[16] != '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(name[:16], 16, 64)
	return n, err == nil
}

// findIncarnations finds the incarnations that have objects, one request for each.
func (s *bucketSurvey) findIncarnations(ctx context.Context, objects bucket.Bucket) error {
	for after := ""; ; {
		list, err := objects.List(ctx, "", after, 1)
		if err != nil {
			return fmt.Errorf("list the bucket: %w", err)
		}
		if len(list) == 0 {
			slices.Sort(s.incarnations)
			return nil
		}
		folder, _, ok := strings.Cut(list[0].Name, "/")
		if n, err := strconv.ParseUint(folder, 10, 32); ok && err == nil && n > 0 {
			s.incarnations = append(s.incarnations, metadata.Incarnation(n))
		}
		after = list[0].Name
		if ok {
			after = folder + "0" // behind everything in the folder: '0' follows '/'
		}
	}
}

func (s *bucketSurvey) readMarkers(ctx context.Context, objects bucket.Bucket) error {
	list, err := objects.List(ctx, markerFolder, "", 0)
	if err != nil {
		return fmt.Errorf("list %s: %w", markerFolder, err)
	}
	for _, o := range list {
		m, err := readMarker(ctx, objects, o.Name)
		if err != nil {
			return err
		}
		s.markers[m.Incarnation] = m
	}
	return nil
}

func readMarker(ctx context.Context, objects bucket.Bucket, key string) (m Marker, err error) {
	body, err := objects.Get(ctx, key, 0, -1)
	if err != nil {
		return m, fmt.Errorf("read %s: %w", key, err)
	}
	return ParseMarker(key, body)
}

// ParseMarker reads the marker that is stored under a key.
func ParseMarker(key string, body []byte) (m Marker, err error) {
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("decode %s: %w", key, err)
	}
	if err := m.Validate(); err != nil {
		return m, fmt.Errorf("decode %s: %w", key, err)
	}
	if MarkerKey(m.Incarnation) != key {
		return m, fmt.Errorf("decode %s: it names incarnation %d", key, m.Incarnation)
	}
	return m, nil
}

// newestIncarnation is the highest incarnation of which there is a trace.
func (s *bucketSurvey) newestIncarnation() metadata.Incarnation {
	n := metadata.Incarnation(1)
	for _, i := range s.incarnations {
		n = max(n, i)
	}
	for i := range maps.Keys(s.markers) {
		n = max(n, i)
	}
	return n
}

// isCurrent reports whether something of an incarnation at a revision is part of
// the cluster's history: later recoveries may have begun before it.
func (s *bucketSurvey) isCurrent(n metadata.Incarnation, at metadata.Revision) bool {
	for i, m := range s.markers {
		if i > n && at > m.Revision {
			return false
		}
	}
	return true
}
