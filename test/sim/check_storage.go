package sim

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// storageSampling: every so many samples of the states, the objects that the newest
// of them names are looked for in the bucket.
const storageSampling = 25

// behindTimeout is how long after a live object was missed a state that still names
// it is a violation: a broker that was behind knows its death by then.
const behindTimeout = 3 * time.Second

// listBucket returns the objects in the bucket by their keys below the cluster's
// prefix, and when they were written.
func (r *run) listBucket() map[string]time.Time {
	list, err := r.mem.List(context.Background(), cluster+"/", "", 0)
	if err != nil {
		r.history.reportViolation("list the bucket: %v", err)
	}
	there := make(map[string]time.Time, len(list))
	for _, o := range list {
		there[strings.TrimPrefix(o.Name, cluster+"/")] = time.UnixMilli(o.Modified)
	}
	return there
}

// newestInstance returns the running broker whose state is the newest.
func (r *run) newestInstance() (newest *brokerInstance) {
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil && (newest == nil || l.node.Replica().Applied() > newest.node.Replica().Applied()) {
			newest = l
		}
	}
	return newest
}

// checkNamedObjects: what the state names as live is in the bucket, always, and what
// a start or a recovery from the older recovery base needs is named.
func (r *run) checkNamedObjects() {
	l := r.newestInstance()
	if l == nil {
		return
	}
	there, now := r.listBucket(), time.Now()
	var gone []string
	var revision metadata.Revision
	l.node.Replica().View(func(st *metadata.State) {
		revision = st.Revision()
		st.NamedObjects(func(o metadata.NamedObject) bool {
			if _, ok := there[o.Key]; !ok && !o.Dead {
				gone = append(gone, o.Key)
			}
			return true
		})
		r.checkBaseIsFollowed(st)
	})
	slices.Sort(gone)
	r.mu.Lock()
	missing := map[string]missingObject{}
	var reports []string
	for _, key := range gone {
		m, before := r.storage.missing[key]
		if !before {
			m = missingObject{now, revision}
		}
		if missing[key] = m; now.Sub(m.since) >= behindTimeout && revision > m.revision {
			reports = append(reports, key)
		}
	}
	r.storage.missing = missing
	r.mu.Unlock()
	for _, key := range reports[:min(len(reports), maxReports)] {
		r.history.reportViolation("%s is live in the state of %s at revision %d and is not in the bucket", key, l.id, revision)
	}
}

// checkBaseIsFollowed: from the older recovery base on, every extent up to the newest
// archive has its archive.
func (r *run) checkBaseIsFollowed(st *metadata.State) {
	var base *metadata.CheckpointRecord
	for _, c := range st.Checkpoints() {
		if c.Base {
			base = &c
			break
		}
	}
	archives := st.Archives()
	if base == nil || len(archives) == 0 {
		return
	}
	has := map[metadata.Extent]bool{}
	for _, a := range archives {
		has[a.Extent] = true
	}
	for x := base.Extent; x <= archives[len(archives)-1].Extent; x++ {
		if !has[x] {
			r.history.reportViolation("extent %d has no archive, the recovery base at revision %d needs it", x, base.Revision)
			return
		}
	}
}

// checkStorage ends the run: retention goes on, topics are deleted, and all brokers
// stop but two, of which one starts late. Then the bucket has what the state names,
// and nothing else.
func (r *run) checkStorage() {
	if r.opt.Entries {
		r.recordEntries()
	}
	k := r.keeper
	if !k.set(r.ctx, retentionTimes()[0], retentionSizes()[0]) {
		r.history.reportViolation("the retention could not be set at the end")
	}
	c := &topicLimitClient{topicChurnClient{client: client{w: r.world, name: "end", addrs: r.brokerAddrs(0)}}}
	c.recoveriesBefore = r.recoveryCount()
	for _, topic := range []string{"bulk", "ship"} {
		if err := c.deleteNamedTopic(r.ctx, topic); err != nil {
			r.history.reportViolation("delete %s at the end: %v", topic, err)
		}
	}
	c.closeConn()
	k.closeConn()
	r.suspendStart(r.processes[1].name, lateStart)
	for i, p := range r.processes[1:] {
		o := stopOrder{drain: i > 1, downtime: time.Hour}
		if i == 0 {
			o.downtime = 0
		}
		p.requestStop(o)
	}
	r.setStorageFaulty(true, r.seed%4 == 2)
	time.Sleep(archivesDenied + 1)
	r.setStorageFaulty(true, false)
	time.Sleep(lateStart - archivesDenied)
	r.setStorageFaulty(false, false)
	r.waitStorageClean()
	r.trace("calm: the bucket is clean")
	r.verifyBucket()
}

// verifyBucket: `zonewise verify --deep` finds nothing wrong at the end, object by
// object, so that a seed replays.
func (r *run) verifyBucket() {
	l := r.newestInstance()
	if l == nil {
		return
	}
	report, err := verify.Run(r.ctx, verify.Config{Bucket: bucket.Prefix(r.mem, cluster), Log: l.log, State: verify.ReplicaState(l.node.Replica()), Deep: true,
		Concurrency: 1, LeftoverGrace: metadata.UnixMilli(leftoverGrace.Milliseconds()), MaxFindings: maxReports})
	switch {
	case err != nil:
		r.history.reportViolation("verify the bucket at the end: %v", err)
	case report.Result != verify.Clean:
		r.history.reportViolation("verify finds %s at the end: %+v", report.Result, report.Findings)
	default:
		r.countState(verified, 1)
	}
}

// lateStart is how long the broker that starts late is suspended, and deletions have
// faults; archivesDenied is for how long no archive can be written in a quarter of the
// seeds; cleanTimeout is how long it takes at most from then on until nothing is in the
// bucket that does not belong there.
const (
	lateStart      = 25 * time.Second
	archivesDenied = 20 * time.Second
	cleanTimeout   = 100 * time.Second
)

// waitStorageClean waits until the bucket and the state agree.
func (r *run) waitStorageClean() {
	var wrong []string
	for end := time.Now().Add(cleanTimeout); time.Now().Before(end); {
		time.Sleep(500*time.Millisecond + 1)
		late := r.processes[1].current.Load()
		l := r.processes[0].current.Load()
		switch {
		case l == nil:
			wrong = []string{"the last broker does not run"}
			continue
		case late == nil || late.node.Ready() != nil:
			wrong = []string{"the broker that started late does not serve"}
			continue
		}
		if wrong = r.compareStorage(l); len(wrong) == 0 {
			r.checkNamedObjects()
			return
		}
	}
	for _, w := range wrong[:min(len(wrong), 2*maxReports)] {
		r.history.reportViolation("%v after the end: %s", cleanTimeout, w)
	}
}

// inProgress is how old an object is at most that a running broker has written and
// that no entry names yet.
const inProgress = 8 * time.Second

// compareStorage returns what is not as it has to be when everything has ended.
func (r *run) compareStorage(l *brokerInstance) (wrong []string) {
	report := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	there := r.listBucket()
	l.node.Replica().View(func(st *metadata.State) {
		named := map[string]metadata.NamedObject{}
		st.NamedObjects(func(o metadata.NamedObject) bool { named[o.Key] = o; return true })
		open := map[metadata.SessionID]bool{}
		for _, s := range st.Sessions() {
			open[s.ID] = true
		}
		for _, key := range slices.Sorted(maps.Keys(there)) {
			if _, ok := named[key]; !ok && !r.mayBeUnnamed(key, there[key], open) {
				report("%s is in the bucket and not in the state", key)
			}
		}
		for _, key := range slices.Sorted(maps.Keys(named)) {
			if _, ok := there[key]; !ok && !named[key].Dead {
				report("%s is live in the state and not in the bucket", key)
			}
		}
		if n := st.QueuedReleases(); n > 0 {
			report("%d releases wait", n)
			return
		}
		if s, some := st.LeftoversDue(math.MinInt64 / 2); some && s.Session != 0 {
			report("leftovers of session %s are not searched for", s.Session)
		}
		if len(open) > 2 {
			report("%d sessions are open", len(open))
		}
		wrong = append(wrong, compareSpans(st, named)...)
		wrong = append(wrong, checkExpiredAll(st)...)
		wrong = append(wrong, findUnneededArchives(st)...)
		for _, g := range st.Garbage(nil, 0, st.DeletableUpTo(), st.Time()-metadata.UnixMilli(r.garbageGrace().Milliseconds())-10_000, 1) {
			if _, ok := there[g.Key]; ok {
				report("%s is dead since revision %d and is not deleted", g.Key, g.Revision)
			}
		}
	})
	return wrong
}

// mayBeUnnamed reports whether an object may be in the bucket although the state does
// not name it: an incarnation's marker, leftovers of former incarnations, what a
// running broker has just written.
func (r *run) mayBeUnnamed(key string, written time.Time, open map[metadata.SessionID]bool) bool {
	k, err := metadata.ParseObjectKey(key)
	switch {
	case err != nil:
		return false
	case k.Class == metadata.ObjectIncarnation, int(k.Incarnation) <= r.recoveryCount():
		return true
	}
	return open[k.Session] && time.Since(written) < inProgress
}

// compareSpans compares the objects that are live, and the live inline bytes of the
// archives, with the spans.
func compareSpans(st *metadata.State, named map[string]metadata.NamedObject) (wrong []string) {
	used, inline := map[string]bool{}, map[metadata.Extent]int64{}
	for _, t := range st.Topics() {
		for p := range t.Partitions {
			tp := metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)}
			v, _ := st.Partition(tp)
			spans := st.Spans(nil, tp, 0, math.MaxInt32)
			if len(spans) > 0 && spans[0].End() <= v.LogStart {
				wrong = append(wrong, fmt.Sprintf("%s/%d starts at %d and has a span that ends at %d", t.Name, p, v.LogStart, spans[0].End()))
			}
			for _, sp := range spans {
				if name, _, ok := st.Object(sp); ok {
					used[name.Key()] = true
				} else if a, ok := st.Archive(sp.Revision); ok && sp.Inline() {
					inline[a.Extent] += int64(sp.Length)
				}
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(named)) {
		if o := named[key]; o.Class == metadata.ObjectWAL && o.Dead == used[key] {
			wrong = append(wrong, fmt.Sprintf("%s is dead: %v, and has spans: %v", key, o.Dead, used[key]))
		}
	}
	for _, a := range st.Archives() {
		if a.LiveInline != inline[a.Extent] {
			wrong = append(wrong, fmt.Sprintf("the archive of extent %d has %d live bytes, its spans have %d", a.Extent, a.LiveInline, inline[a.Extent]))
		}
	}
	return wrong
}

// checkExpiredAll returns which partitions have more than their retention.
func checkExpiredAll(st *metadata.State) (wrong []string) {
	for _, t := range st.Topics() {
		if !isExpiring(t.Name) {
			continue
		}
		for p := range t.Partitions {
			tp := metadata.TopicPartition{Topic: t.ID, Partition: metadata.Partition(p)}
			sum, spans := int64(0), st.Spans(nil, tp, 0, math.MaxInt32)
			for _, sp := range spans {
				if !sp.Marker() {
					sum += int64(sp.Length)
				}
			}
			switch limit := configNumber(t, "retention.bytes"); {
			case len(spans) == 0:
			case t.Name == ageTopic && spans[0].MaxTimestamp >= 0:
				wrong = append(wrong, fmt.Sprintf("%s/%d has %d spans that expired", t.Name, p, len(spans)))
			case t.Name == sizeTopic && sum-int64(spans[0].Length) >= limit:
				wrong = append(wrong, fmt.Sprintf("%s/%d has %d bytes, its first span %d, retention.bytes is %d", t.Name, p, sum, spans[0].Length, limit))
			}
		}
	}
	return wrong
}

// keptExtents is how many extents before the newest checkpoint's are kept.
const keptExtents = 6

// findUnneededArchives returns the archives that should be dead.
func findUnneededArchives(st *metadata.State) (wrong []string) {
	list, archives := st.Checkpoints(), st.Archives()
	var bases []metadata.CheckpointRecord
	for _, c := range list {
		if c.Base {
			bases = append(bases, c)
		}
	}
	if len(bases) < 2 {
		return []string{fmt.Sprintf("there are %d recovery bases", len(bases))}
	}
	for _, a := range archives {
		if a.LiveInline == 0 && a.Extent+2 < bases[0].Extent && a.Extent+keptExtents < bases[1].Extent {
			wrong = append(wrong, fmt.Sprintf("the archive of extent %d is not dead, the older recovery base is at extent %d", a.Extent, bases[0].Extent))
		}
	}
	return wrong
}

// recordEntries appends the entries in archives and etcd to the trace.
func (r *run) recordEntries() {
	take := func(b []byte) {
		var e metadata.Entry
		if len(b) > 0 && metadata.DecodeEntry(b, &e) == nil {
			r.entries = append(r.entries, fmt.Sprintf("entry of %v %v/%v/%d: %d parts, %+v", e.Time, e.Session, e.Lane, e.Seq, len(e.Parts), e.Commands))
		}
	}
	for key := range r.listBucket() {
		if k, err := metadata.ParseObjectKey(key); err != nil || k.Class != metadata.ObjectArchive {
			continue
		}
		body, err := r.mem.Get(context.Background(), cluster+"/"+key, 0, -1)
		if err != nil {
			continue
		}
		if a, err := metadata.DecodeArchive(body); err == nil {
			for i := range a.Entries {
				take(a.Entries[i].Bytes)
			}
		}
	}
	for _, kv := range r.currentEtcd().Dump() {
		if strings.HasPrefix(string(kv.Key), fmt.Sprintf("%s%s/log/", etcdlog.Root, cluster)) {
			take(kv.Value)
		}
	}
}

func (r *run) anyInstance() *brokerInstance {
	for _, p := range r.processes {
		if l := p.current.Load(); l != nil {
			return l
		}
	}
	return nil
}
