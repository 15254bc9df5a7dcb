package sim

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
)

// checkBucket compares the bucket's listing with the state: referenced objects
// exist; an object without a reference is named by an entry, or was left behind by
// a dead session (promises 3 and 6).
func (r *run) checkBucket() {
	l := r.anyInstance()
	if l == nil {
		return
	}
	ctx := context.Background()
	list, err := r.mem.List(ctx, cluster+"/", "", 0)
	if err != nil {
		r.history.reportViolation("list the bucket: %v", err)
		return
	}
	there := map[string]bool{}
	for _, o := range list {
		there[strings.TrimPrefix(o.Name, cluster+"/")] = true
	}
	refs, live, archives := r.referencedObjects(l)
	named := r.objectsInEntries(ctx, archives)
	for _, key := range refs {
		if !there[key] {
			r.history.reportViolation("%s is referenced but not in the bucket", key)
		}
	}
	for key := range there {
		part := strings.Split(key, "/")
		if len(part) != 4 || part[1] != "wal" {
			continue
		}
		session, err := strconv.ParseUint(part[2], 16, 64)
		if err != nil {
			r.history.reportViolation("object %s: %v", key, err)
		}
		if live[metadata.SessionID(session)] && !named[key] {
			r.history.reportViolation("%s of a live session is in the bucket but in no entry", key)
		}
		if !named[key] {
			r.orphanedObjects++
		}
	}
}

// referencedObjects lists the keys that the state refers to, and the live sessions.
func (r *run) referencedObjects(l *brokerInstance) (keys []string, live map[metadata.SessionID]bool, archives []metadata.ArchiveRef) {
	live = map[metadata.SessionID]bool{}
	seen := map[string]bool{}
	l.node.Replica().View(func(st *metadata.State) {
		for _, s := range st.Sessions() {
			live[s.ID] = true
		}
		archives = st.Archives()
		for _, t := range st.Topics() {
			for p := range t.Partitions {
				tp := metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)}
				for _, sp := range st.Spans(nil, tp, 0, 1<<20) {
					name, _, ok := st.Object(sp)
					if ok && !seen[name.Key()] {
						seen[name.Key()] = true
						keys = append(keys, name.Key())
					}
				}
			}
		}
	})
	for _, a := range archives {
		keys = append(keys, a.Object)
	}
	return keys, live, archives
}

// objectsInEntries collects the objects that entries name, from archives and etcd.
func (r *run) objectsInEntries(ctx context.Context, archives []metadata.ArchiveRef) map[string]bool {
	named := map[string]bool{}
	take := func(b []byte) {
		var e metadata.Entry
		if len(b) == 0 || metadata.DecodeEntry(b, &e) != nil {
			return
		}
		if r.opt.Entries {
			r.entries = append(r.entries, fmt.Sprintf("entry of %v %v/%v/%d: %d parts, %+v", e.Time, e.Session, e.Lane, e.Seq, len(e.Parts), e.Commands))
		}
		for _, list := range [][]metadata.ObjectRef{e.Objects, e.Orphans} {
			for _, o := range list {
				named[o.Name.Key()] = true
			}
		}
	}
	for _, ref := range archives {
		body, err := r.mem.Get(ctx, cluster+"/"+ref.Object, 0, -1)
		if err != nil {
			continue // reported as referenced and missing
		}
		a, err := metadata.DecodeArchive(body)
		if err != nil {
			r.history.reportViolation("archive %s: %v", ref.Object, err)
			continue
		}
		for i := range a.Entries {
			take(a.Entries[i].Bytes)
		}
	}
	for _, kv := range r.currentEtcd().Dump() {
		if strings.HasPrefix(string(kv.Key), fmt.Sprintf("%s%s/log/", etcdlog.Root, cluster)) {
			take(kv.Value)
		}
	}
	return named
}

func (r *run) anyInstance() *brokerInstance {
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			return l
		}
	}
	return nil
}
