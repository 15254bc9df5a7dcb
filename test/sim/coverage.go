package sim

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/wal"
)

// Coverage counts interesting states. Over a set of seeds none may be zero.
type Coverage map[string]int

// The states that a set of seeds must reach.
const (
	unknownWon          = "commit of unknown outcome that won"
	putLate             = "put that landed late"
	secondArchiver      = "archive finished by a second holder"
	midDeletion         = "start in the middle of a deletion"
	resubmitted         = "run refused and submitted again"
	guardLate           = "guard failed after a time-out"
	lostTail            = "recovery with a lost tail"
	hedgeWon            = "PUT sent under a second name that was faster"
	getHedged           = "GET sent a second time that was faster"
	uploadsPassed       = "two uploads ended out of order"
	fullStart           = "broker started from checkpoint, archives and keys"
	lostInFlight        = "session lost with requests in flight"
	duplicate           = "retry answered as a duplicate"
	gapWaited           = "batch waited for a missing sequence"
	compacted           = "watch compacted under a follower"
	rewound             = "broker stopped at an etcd that went back"
	damaged             = "archive damaged on its way"
	endRetried          = "end of a transaction of unknown outcome retried"
	txnTimedOut         = "transaction timed out"
	zombieFenced        = "zombie fenced by its epoch"
	lateRefused         = "batch refused by its transaction's start"
	txnRecovered        = "transaction aborted by a recovery"
	partitionReassigned = "partition passed on between consumers"
	recoveryGapRead     = "reader that passed what a recovery passed over"
	handedOver          = "partition finished at its former broker before it went on"
	orderRisked         = "partition that went on without its former broker"
	peerDead            = "peer that was found dead"
	topicAgain          = "topic made again under a name that was deleted"
	configRead          = "config read at another broker as it was set"
	laneMoved           = "topic moved to the other lane"
	limitReached        = "topic refused at the cluster's limit"
	clockFound          = "broker that found its clock off"
	readDamaged         = "object or archive damaged as it was read"

	checkpointDamaged = "checkpoint damaged as it was read"

	expiredByAge        = "records expired by their age"
	expiredBySize       = "records expired by the partition's size"
	recordsDeleted      = "records deleted by a client"
	readerExpired       = "reader whose next records had expired"
	releasedSlowly      = "release of several entries"
	objectDeleted       = "object deleted"
	archiveCollected    = "archive deleted"
	duplicateCollected  = "duplicate archive deleted"
	checkpointCollected = "checkpoint object deleted"
	deletedPartly       = "deletion of several objects confirmed for some"
	deletedLate         = "deletion that landed late"
	deletionDenied      = "deletion denied"
	deletionHeld        = "deletion held back in doubt"
	leftoverFound       = "leftover found and buried"
	verified            = "bucket verified, and clean"
	readInGrace         = "reader on an object in its grace"
	baseMade            = "recovery base made"
	startMissed         = "start or catching up that met a deleted object"
	recoveredCollected  = "recovery after deletions"
)

func (c Coverage) addCounts(o Coverage) {
	for k, n := range o {
		c[k] += n
	}
}

// Missing lists the states that were never reached.
func (c Coverage) Missing() (out []string) {
	for _, k := range slices.Sorted(maps.Keys(newCoverage())) {
		if c[k] == 0 {
			out = append(out, k)
		}
	}
	return out
}

func newCoverage() Coverage {
	c := Coverage{}
	for _, k := range []string{unknownWon, putLate, secondArchiver, midDeletion, resubmitted, guardLate, lostTail, hedgeWon, getHedged, uploadsPassed,
		fullStart, lostInFlight, duplicate, gapWaited, compacted, rewound, damaged,
		endRetried, txnTimedOut, zombieFenced, lateRefused, txnRecovered, partitionReassigned, recoveryGapRead,
		handedOver, orderRisked, peerDead, topicAgain, configRead, laneMoved, limitReached, clockFound, readDamaged, checkpointDamaged,
		expiredByAge, expiredBySize, recordsDeleted, readerExpired, releasedSlowly, objectDeleted, archiveCollected, duplicateCollected, checkpointCollected,
		deletedPartly, deletedLate, deletionDenied, deletionHeld, leftoverFound, readInGrace, baseMade, startMissed, recoveredCollected, verified} {
		c[k] = 0
	}
	return c
}

// observations collects what is observed during a run; the world's lock guards it.
type observations struct {
	coverage      Coverage
	newestUpload  map[string]uint64    // by session and lane: the highest upload that ended
	startReads    map[string]uint8     // by instance: 1 a checkpoint was read, 2 an archive
	walStats      map[string]wal.Stats // by instance and session: the newest statistics
	appendStats   map[string]etcdlog.Stats
	hedgedGets    map[string]uint64                     // by instance: second GETs that were faster
	handovers     map[string][2]uint64                  // by instance: hand-overs that succeeded, and that failed
	deadPeers     map[string]map[metadata.BrokerID]bool // by instance: peers that it considers dead
	sessionOpened map[string]bool                       // instances that had a session
}

func newObservations() *observations {
	return &observations{newCoverage(), map[string]uint64{}, map[string]uint8{}, map[string]wal.Stats{}, map[string]etcdlog.Stats{}, map[string]uint64{},
		map[string][2]uint64{}, map[string]map[metadata.BrokerID]bool{}, map[string]bool{}}
}

// observeBucketRequest records one completed request.
func (w *world) observeBucketRequest(instance string, l bucket.TraceLine) {
	part := strings.Split(l.Name, "/")
	w.observeStorageRequest(instance, l, part)
	if l.Err != nil || len(part) < 4 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.observed
	switch {
	case l.Op == bucket.OpPut && part[2] == "wal" && len(part) == 5:
		lane, rest, _ := strings.Cut(part[4], "-")
		number, _ := strconv.ParseUint(strings.SplitN(rest, "-", 2)[0], 16, 64)
		key := part[3] + "/" + lane
		if number < s.newestUpload[key] {
			s.coverage[uploadsPassed]++
		}
		s.newestUpload[key] = max(s.newestUpload[key], number)
	case l.Op == bucket.OpGet && l.Off == 0 && l.Len < 0 && instance != "operator":
		before := s.startReads[instance]
		switch part[2] {
		case "checkpoint":
			s.startReads[instance] |= 1
		case "archive":
			s.startReads[instance] |= before << 1 & 2 // after a checkpoint
		}
		if s.startReads[instance] == 3 && before != 3 {
			s.coverage[fullStart]++
		}
	}
}

// observeInstance reads an instance's counters.
func (w *world) observeInstance(l *brokerInstance) {
	id := l.id + "/" + strconv.Itoa(int(l.node.Broker()))
	st, ap := l.node.WALStats(), l.log.Stats()
	finished, risked := l.node.Handovers()
	dead := l.node.DeadPeers()
	collected := l.node.Garbage()
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.node.Broker() != metadata.NoBroker {
		w.observed.sessionOpened[l.id] = true
	}
	if old := w.observed.walStats[id]; old.GapWaits <= st.GapWaits && old.Objects <= st.Objects {
		w.observed.walStats[id] = st
	}
	w.observed.appendStats[l.id] = ap
	w.observed.hedgedGets[l.id] = l.node.GETStats().Won
	w.observeCollector(l.id, collected)
	w.observed.handovers[l.id] = [2]uint64{finished, risked}
	for b := range dead {
		if !w.observed.deadPeers[l.id][b] {
			w.observed.coverage[peerDead]++
		}
	}
	w.observed.deadPeers[l.id] = dead
}

// observeStart records whether a deletion of keys is in progress.
func (w *world) observeStart() {
	prefix := etcdlog.Root + cluster + "/"
	truncated := ""
	e := w.currentEtcd()
	for _, kv := range e.Dump() {
		if string(kv.Key) == prefix+"truncated" {
			truncated = string(kv.Value)
		}
	}
	for _, kv := range e.Dump() {
		if rest, ok := strings.CutPrefix(string(kv.Key), prefix+"log/"); ok && rest[:min(16, len(rest))] <= truncated {
			w.countState(midDeletion, 1)
			return
		}
	}
}

func (w *world) countState(what string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.observed.coverage[what] += n
}

// collectCoverage sums up what the run reached.
func (r *run) collectCoverage() Coverage {
	c := newCoverage()
	c.addCounts(r.observed.coverage)
	for _, e := range r.etcds {
		c[compacted] += e.Stats().WatchesCompacted
	}
	for _, s := range r.observed.walStats {
		c[resubmitted] += int(s.Resubmitted)
		c[duplicate] += int(s.Duplicates + s.Attached)
		c[gapWaited] += int(s.GapWaits)
		c[hedgeWon] += int(s.PUTs.Won)
	}
	for _, m := range r.observed.handovers {
		c[handedOver] += int(m[0])
		c[orderRisked] += int(m[1])
	}
	for _, s := range r.observed.appendStats {
		c[unknownWon] += int(s.FoundLanded)
		c[guardLate] += int(s.GuardFails)
	}
	for _, won := range r.observed.hedgedGets {
		c[getHedged] += int(won)
	}
	c[putLate] += r.latePuts
	r.collectStorageCoverage(c)
	for _, a := range r.history.Acks {
		if a.Base != Unknown && r.history.wasLost(a.First.TP, a.Base, a.At) {
			c[lostTail]++
		}
	}
	for _, list := range r.history.Reads {
		for _, g := range list {
			for _, x := range g.Reads {
				if x.Mark.Kind == MarkGap {
					c[recoveryGapRead]++
				}
			}
		}
	}
	holder := map[int32]string{}
	for _, h := range r.history.Ownerships {
		if was, ok := holder[h.Partition]; ok && was != h.Member {
			c[partitionReassigned]++
		}
		holder[h.Partition] = h.Member
	}
	return c
}
