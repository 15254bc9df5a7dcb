package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/zonewise/zonewise/metadata"
)

// readyTime is how long after the last fault every broker serves.
const readyTime = 30 * time.Second

// allReady waits until every process serves.
func (r *run) allReady() {
	ctx, cancel := context.WithTimeout(r.ctx, readyTime)
	defer cancel()
	for _, p := range r.processes {
		for {
			l := p.now.Load()
			if l != nil && l.node.Ready() == nil {
				break
			}
			if ctx.Err() != nil {
				why := "it is down"
				if l != nil {
					why = fmt.Sprint(l.node.Ready())
				}
				r.history.wrong("%s does not serve %v after the last fault: %s", p.name, readyTime, why)
				break
			}
			time.Sleep(10*time.Millisecond + 1)
		}
	}
}

// lastLook reads everything from every broker.
func (r *run) lastLook() {
	tps := r.partitions()
	for i, p := range r.processes {
		for _, tp := range tps {
			tail, err := r.readAll(p, i, tp)
			if err != nil {
				r.history.wrong("read %v from %s at the end: %v", tp, p.name, err)
				continue
			}
			r.history.note(func() {
				if r.history.Log[tp] == nil {
					r.history.Log[tp] = map[string]Tail{}
				}
				r.history.Log[tp][p.name] = tail
			})
		}
		if l := p.now.Load(); l != nil {
			r.noteHash(l)
		}
	}
}

// noteHash notes a broker's state.
func (r *run) noteHash(l *life) {
	var s StateHash
	l.node.Replica().View(func(st *metadata.State) {
		s = StateHash{l.id, st.Revision(), st.Hash()}
		r.checkTime(l, st.Time())
		if n := len(st.Topics()); r.limits() != nil && n > topicLimit() {
			r.history.wrong("%s has %d topics, more than the limit of %d", l.id, n, topicLimit())
		}
	})
	r.history.note(func() { r.history.Hashes = append(r.history.Hashes, s) })
}

// partitions are all partitions, as the first broker that is up knows them.
func (r *run) partitions() (tps []TP) {
	l := r.anyLife()
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

// readAll reads a partition from one broker, start to end.
func (r *run) readAll(p *process, nth int, tp TP) (t Tail, err error) {
	rd := r.newReader(fmt.Sprintf("last-%s", p.name), []string{p.addr(-1)}, tp.Topic, tp.Partition)
	defer rd.drop()
	if t.Start, err = rd.listOffset(r.ctx, tp, atStart); err != nil {
		return t, err
	}
	if t.End, err = rd.listOffset(r.ctx, tp, atEnd); err != nil {
		return t, err
	}
	rd.at[tp.Partition], rd.wait = t.Start, 0 // nothing more comes; offsets may have a gap before the end
	rd.sink = func(reads []Read) { t.Reads = append(t.Reads, reads...) }
	for empty := 0; rd.at[tp.Partition] < t.End && empty < 3; {
		before := rd.at[tp.Partition]
		if err := rd.poll(r.ctx); err != nil {
			return t, err
		}
		if empty++; rd.at[tp.Partition] > before {
			empty = 0
		}
	}
	return t, nil
}
