package sim

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// checkReaders: each reader saw each partition without gaps or repeats and without
// going back, from whichever broker, and the same records as the log (promises 2
// and 5).
func (c *checker) checkReaders() {
	for _, key := range slices.Sorted(maps.Keys(c.h.Reads)) {
		list := c.h.Reads[key]
		tp, at := TP{}, map[int64]Record{}
		for _, g := range list {
			for _, r := range g.Reads {
				if !r.Mark.Kind.isControl() {
					tp = r.Record.TP
				}
			}
		}
		if _, gone := c.h.LostPartitions[tp]; gone || tp.Topic == "" {
			continue // a recreated partition has another history
		}
		tail := c.h.finalLog(tp)
		for _, r := range tail.Reads {
			at[r.Offset] = r.Record
		}
		c.checkReader(key, tp, tail, at)
	}
}

func (c *checker) checkReader(key string, tp TP, tail FinalLog, at map[int64]Record) {
	next := int64(0)
	jump := false
	for _, g := range c.h.Reads[key] {
		if g.Reset {
			if g.From >= c.h.TrimsRequested[tp] && !c.inLostTail(tp, g.From) {
				c.reportFinding("reader got an unexpected out-of-range", "%s: offset %d out of range, which nothing had trimmed", key, g.From)
			}
			if jump = true; isExpiring(tp.Topic) { // it may be that nothing is read there any more
				next = max(next, g.To)
			}
			continue
		}
		for _, r := range g.Reads {
			switch {
			case r.Offset == next || jump && r.Offset > next && r.Offset <= c.h.TrimsRequested[tp]:
			case c.h.recoverySkippedTo(tp, next, r):
			case r.Offset < next:
				c.reportFinding("read again", "%s: offset %d after %d", key, r.Offset, next-1)
			case r.Offset <= c.h.TrimsRequested[tp] && next < c.h.TrimsRequested[tp]: // the trim came between two fetches
			default:
				c.reportFinding("skipped by a reader", "%s: offset %d after %d", key, r.Offset, next-1)
			}
			jump = false
			if want, ok := at[r.Offset]; ok && want != r.Record && !c.inLostTail(tp, r.Offset) {
				c.reportFinding("read differently", "%s: offset %d was %v, is %v", key, r.Offset, r.Record, want)
			} else if !ok && r.Offset >= tail.Start && !c.inLostTail(tp, r.Offset) {
				c.reportFinding("read and lost", "%s: %v was read at offset %d, which no longer exists", key, r.Record, r.Offset)
			}
			next = r.Offset + 1
		}
	}
	if next < tail.End && !c.h.recoverySkipped(tp, next, tail.End) && next != tail.Start {
		c.reportFinding("reader stuck", "%s: at %d of %d", key, next, tail.End)
	}
}

func (c *checker) inLostTail(tp TP, offset int64) bool {
	for _, l := range c.h.Lost {
		if l.TP == tp && offset >= l.From && offset < l.To {
			return true
		}
	}
	return false
}

// checkOffsets: a committed offset never goes back, and a fetch that began after
// the response to a commit returns it or a later one (promise 5).
func (c *checker) checkOffsets() {
	type key struct {
		group string
		tp    TP
	}
	by := map[key][]OffsetEvent{}
	for _, e := range c.h.OffsetEvents {
		k := key{e.Group, e.TP}
		by[k] = append(by[k], e)
	}
	keys := slices.SortedFunc(maps.Keys(by), func(a, b key) int {
		return strings.Compare(a.group+"/"+a.tp.String(), b.group+"/"+b.tp.String())
	})
	for _, k := range keys {
		for _, f := range by[k] {
			if f.Fetch && f.OK {
				c.checkOffset(f, by[k])
			}
		}
	}
}

// checkOffset checks one fetch against the commits, which one client made in order.
func (c *checker) checkOffset(f OffsetEvent, all []OffsetEvent) {
	least, most := int64(-1), int64(-1)
	mayFetch := false
	for _, e := range all {
		mayFetch = mayFetch || !e.Fetch && e.Begun.Before(f.End) && c.h.mayFetchAs(f.TP, e.Offset, f.Offset)
		switch {
		case e.Fetch:
		case e.OK && e.End.Before(f.Begun) && !c.recoveredBetween(e.End, f.End):
			least = max(least, e.Offset)
			most = max(most, e.Offset)
		case e.Begun.Before(f.End):
			most = max(most, e.Offset)
		}
	}
	if f.Offset < least {
		c.reportFinding("committed offset went back", "%s %v: %d was committed, %d is fetched", f.Group, f.TP, least, f.Offset)
	}
	if f.Offset > most && !mayFetch {
		c.reportFinding("offset never committed", "%s %v: %d is fetched, %d was the highest ever committed", f.Group, f.TP, f.Offset, most)
	}
}

func (c *checker) recoveredBetween(from, to time.Time) bool {
	for _, l := range c.h.Lost {
		if from.Before(l.At) && !l.At.After(to) {
			return true
		}
	}
	return false
}

// checkHashes: every broker at a revision has the same state (promise 2).
func (c *checker) checkHashes() {
	seen := map[metadata.Revision]StateHash{}
	for _, s := range c.h.Hashes {
		if o, ok := seen[s.Revision]; ok && o.Hash != s.Hash {
			c.reportFinding("states differ", "revision %d: %s has %016x, %s has %016x", s.Revision, o.Broker, o.Hash, s.Broker, s.Hash)
		}
		seen[s.Revision] = s
	}
}

// checkAssignments: in one generation of a group a partition has one owner.
func (c *checker) checkAssignments() {
	type key struct {
		group      string
		generation int32
		recovered  int
		partition  int32
	}
	by := map[key]string{}
	for _, o := range c.h.Assignments {
		for _, p := range o.Partitions {
			k := key{o.Group, o.Generation, o.Recovered, p}
			if other, ok := by[k]; ok && other != o.Member {
				c.reportFinding("two owners", "%s generation %d: partition %d is %s's and %s's", o.Group, o.Generation, p, other, o.Member)
			}
			by[k] = o.Member
		}
	}
}

// checkOwnerships: in a group of the consumer protocol a partition has one owner at
// a time (KIP-848).
func (c *checker) checkOwnerships() {
	list := slices.Clone(c.h.Ownerships)
	slices.SortFunc(list, func(a, b Ownership) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Partition, b.Partition), a.Since.Compare(b.Since), cmp.Compare(a.Member, b.Member))
	})
	var last Ownership // of the earlier ones, the one that ends last
	for _, h := range list {
		same := h.Group == last.Group && h.Partition == last.Partition
		if same && h.Member != last.Member && h.Since.Before(last.Till) {
			c.reportFinding("two owners", "group %s: partition %d was given to %s at %v and was %s's until %v", h.Group, h.Partition, h.Member, h.Since, last.Member, last.Till)
		}
		if !same || h.Till.After(last.Till) {
			last = h
		}
	}
}
