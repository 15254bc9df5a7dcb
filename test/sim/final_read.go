package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// readyTimeout is the time after the last fault within which every broker must serve.
const readyTimeout = 30 * time.Second

// waitAllReady waits until every process serves.
func (r *run) waitAllReady() {
	ctx, cancel := context.WithTimeout(r.ctx, readyTimeout)
	defer cancel()
	for _, p := range r.processes {
		for {
			l := p.current.Load()
			if l != nil && l.node.Ready() == nil {
				break
			}
			if ctx.Err() != nil {
				why := "it is down"
				if l != nil {
					why = fmt.Sprint(l.node.Ready())
				}
				r.history.reportViolation("%s does not serve %v after the last fault: %s", p.name, readyTimeout, why)
				break
			}
			time.Sleep(10*time.Millisecond + 1)
		}
	}
}

// readAllPartitions reads everything from every broker.
func (r *run) readAllPartitions() {
	tps := r.listPartitions()
	for i, p := range r.processes {
		for _, tp := range tps {
			tail, err := r.readPartition(p, i, tp)
			if err != nil {
				r.history.reportViolation("read %v from %s at the end: %v", tp, p.name, err)
				continue
			}
			r.history.update(func() {
				if r.history.FinalLogs[tp] == nil {
					r.history.FinalLogs[tp] = map[string]FinalLog{}
				}
				r.history.FinalLogs[tp][p.name] = tail
			})
		}
		if l := p.current.Load(); l != nil {
			r.recordStateHash(l)
		}
	}
}

// recordStateHash records the hash of a broker's state.
func (r *run) recordStateHash(l *brokerInstance) {
	var s StateHash
	l.node.Replica().View(func(st *metadata.State) {
		s = StateHash{l.id, st.Revision(), st.Hash()}
		r.sampleStorage(st)
		r.checkStateTime(l, st.Time())
		if n := len(st.Topics()); r.clusterLimits() != nil && n > topicLimit() {
			r.history.reportViolation("%s has %d topics, more than the limit of %d", l.id, n, topicLimit())
		}
	})
	r.history.update(func() { r.history.Hashes = append(r.history.Hashes, s) })
}

// listPartitions returns all partitions from the state of the first running broker.
func (r *run) listPartitions() (tps []TP) {
	l := r.anyInstance()
	if l == nil {
		return nil
	}
	l.node.Replica().View(func(st *metadata.State) {
		for _, t := range st.Topics() {
			for i := range t.Partitions {
				tps = append(tps, TP{t.Name, int32(i)})
			}
		}
	})
	return tps
}

// readPartition reads a partition from one broker, start to end.
func (r *run) readPartition(p *process, nth int, tp TP) (t FinalLog, err error) {
	rd := r.newReader(fmt.Sprintf("last-%s", p.name), []string{p.zoneAddr(-1)}, tp.Topic, tp.Partition)
	defer rd.closeConn()
	if t.Start, err = rd.listOffset(r.ctx, tp, earliestTimestamp); err != nil {
		return t, err
	}
	if t.End, err = rd.listOffset(r.ctx, tp, latestTimestamp); err != nil {
		return t, err
	}
	rd.position[tp.Partition], rd.maxWait = t.Start, 0 // no more records come; offsets may have a gap before the end
	rd.sink = func(reads []Read) { t.Reads = append(t.Reads, reads...) }
	for empty := 0; rd.position[tp.Partition] < t.End && empty < 3; {
		before := rd.position[tp.Partition]
		if err := rd.poll(r.ctx); err != nil {
			return t, err
		}
		if empty++; rd.position[tp.Partition] > before {
			empty = 0
		}
	}
	return t, nil
}
