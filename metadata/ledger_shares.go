package metadata

import (
	"github.com/zonewise/zonewise/internal/apportion"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// payerKey is the payer of a part of an entry.
type payerKey struct {
	topic     TopicID
	principal string
}

// payerShare is what one payer has in one entry.
type payerShare struct {
	key     payerKey
	bytes   uint64 // accepted
	records uint64 // accepted
	inline  uint64 // record bytes that travelled in the entry, accepted or not
	runs    uint64
}

// bookEntryCosts books what an entry brought and what it cost on the way: its
// PUTs, and its bytes between zones.
func (s *State) bookEntryCosts(c *CommittedEntry, e *Entry, outcomes [][]RunOutcome) {
	shares := s.payerShares(e, outcomes)
	zone := e.Route.Broker
	for i := range shares {
		sh := &shares[i]
		s.bookQuantity(sh.cellKey(costkeys.ComponentBytesIn, zone, ""), costkeys.Units(sh.bytes))
		s.bookQuantity(sh.cellKey(costkeys.ComponentRecordsIn, zone, ""), costkeys.Units(sh.records))
	}
	s.bookPuts(e, shares)
	s.bookNetworkHops(c, e, shares)
}

func (sh *payerShare) cellKey(c Component, src, dst ZoneID) CellKey {
	return CellKey{Topic: sh.key.topic, Component: c, Src: src, Dst: dst, Principal: sh.key.principal}
}

// payerShares sums an entry's runs by payer, in order of first appearance.
func (s *State) payerShares(e *Entry, outcomes [][]RunOutcome) []payerShare {
	shares := s.scratch.shares[:0]
	if s.scratch.index == nil {
		s.scratch.index = map[payerKey]int{}
	}
	clear(s.scratch.index)
	for i := range e.Parts {
		p := &e.Parts[i]
		for j := range p.Runs {
			r := &p.Runs[j]
			k := payerKey{e.Topics[p.Topic], e.Principals[r.Principal]}
			at, known := s.scratch.index[k]
			if !known {
				at = len(shares)
				s.scratch.index[k] = at
				shares = append(shares, payerShare{key: k})
			}
			sh := &shares[at]
			sh.runs++
			if outcomes[i][j].Code == CodeOK {
				sh.bytes += uint64(r.Bytes)
				sh.records += uint64(r.Records)
			}
			if p.Object == InlineObject {
				sh.inline += uint64(r.Bytes)
			}
		}
	}
	s.scratch.shares = shares
	return shares
}

// bookPuts splits each object's requests over the payers by their bytes in it:
// the one that stored it, and separately those that were repeated or given up.
func (s *State) bookPuts(e *Entry, shares []payerShare) {
	for i := range e.Objects {
		o := &e.Objects[i]
		weights := s.objectWeights(e, i, shares)
		puts, extra := uint64(o.Puts), uint64(0)
		if puts > 1 {
			puts, extra = 1, puts-1
		}
		s.bookSplit(costkeys.ComponentPut, e.Route.Broker, puts*costkeys.NanoRequests, shares, weights)
		s.bookSplit(costkeys.ComponentPutHedge, e.Route.Broker, extra*costkeys.NanoRequests, shares, weights)
	}
	var lost uint64
	for i := range e.Orphans {
		lost += uint64(e.Orphans[i].Puts)
	}
	if lost > 0 {
		weights := s.scratch.weights[:0]
		for i := range shares {
			weights = append(weights, shares[i].runs)
		}
		s.scratch.weights = weights
		s.bookSplit(costkeys.ComponentPutHedge, e.Route.Broker, lost*costkeys.NanoRequests, shares, weights)
	}
}

func (s *State) objectWeights(e *Entry, object int, shares []payerShare) []uint64 {
	weights := s.scratch.weights[:0]
	for range shares {
		weights = append(weights, 0)
	}
	for i := range e.Parts {
		if p := &e.Parts[i]; p.Object == object {
			for j := range p.Runs {
				r := &p.Runs[j]
				weights[s.scratch.index[payerKey{e.Topics[p.Topic], e.Principals[r.Principal]}]] += uint64(r.Bytes)
			}
		}
	}
	s.scratch.weights = weights
	return weights
}

// bookSplit books a total over the payers; where no payer has a weight it goes
// to the control row.
func (s *State) bookSplit(c Component, zone ZoneID, total uint64, shares []payerShare, weights []uint64) {
	if total == 0 {
		return
	}
	parts := apportion.Split(total, weights)
	if parts == nil {
		s.bookQuantity(CellKey{Topic: RowControl, Component: c, Src: zone}, costkeys.Units(total))
		return
	}
	for i, n := range parts {
		s.bookQuantity(shares[i].cellKey(c, zone, ""), costkeys.Units(n))
	}
}

// bookNetworkHops books an entry's bytes on every hop of its route between two
// zones. Record bytes are inline; the rest is the entry's own, shared by runs.
func (s *State) bookNetworkHops(c *CommittedEntry, e *Entry, shares []payerShare) {
	for src, dst := range e.Route.NetworkHops() {
		s.bookNetworkHop(c, shares, src, dst)
	}
}

func (s *State) bookNetworkHop(c *CommittedEntry, shares []payerShare, src, dst ZoneID) {
	rest := uint64(len(c.Bytes))
	weights := s.scratch.weights[:0]
	for i := range shares {
		sh := &shares[i]
		s.bookQuantity(sh.cellKey(costkeys.ComponentInline, src, dst), costkeys.Units(sh.inline))
		rest -= min(rest, sh.inline)
		weights = append(weights, sh.runs)
	}
	s.scratch.weights = weights
	parts := apportion.Split(rest, weights)
	if parts == nil {
		s.bookQuantity(CellKey{Topic: RowControl, Component: costkeys.ComponentEtcd, Src: src, Dst: dst}, costkeys.Units(rest))
		return
	}
	for i, n := range parts {
		s.bookQuantity(shares[i].cellKey(costkeys.ComponentEtcd, src, dst), costkeys.Units(n))
	}
}

func (s *State) applyUsage(by SessionID, c Usage) CommandOutcome {
	o := s.sessions[by]
	if c.Seq <= o.usageSeq {
		return CommandOutcome{Code: CodeDuplicate}
	}
	for i := range c.Cells {
		if !c.Cells[i].Key.Component.Valid() {
			return refuse(CodeInvalidRequest, "component %d", c.Cells[i].Key.Component)
		}
	}
	o.usageSeq = c.Seq
	if c.To > c.From { // otherwise a session that ends now has not reported all of its time
		o.usageReportedTo = s.time
	}
	if c.Final {
		o.usageReportedTo = 0
	}
	for i := range c.Cells {
		s.bookQuantity(c.Cells[i].Key, c.Cells[i].Quantity)
	}
	return CommandOutcome{}
}
