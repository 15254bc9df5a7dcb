package sim

// Coverage counts interesting states. Over a set of seeds none may be zero.
type Coverage map[string]int

func (r *run) coverage() Coverage {
	c := Coverage{}
	for _, e := range r.etcds {
		s := e.Stats()
		c["etcd answer lost"] += s.LostReplies
		c["etcd request landed late"] += s.LandedLate
		c["watch compacted"] += s.WatchesCompacted
	}
	return c
}
