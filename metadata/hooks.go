package metadata

// Hooks are called where several things may happen at one instant. The simulation
// lets a moment pass in them, another one for each, so that a seed gives one order.
// Only test/sim and tests set them, by SetHooks of a Config; every one may be
// nil. They are called without a lock.
type Hooks struct {
	// BeforeApply is called before each entry is applied, by the goroutine that
	// applies: what one entry wakes does not race with the next entry.
	BeforeApply func(Revision)
	// AfterBarrier is called before a barrier returns, with the barrier's number:
	// callers that share a barrier do not race with each other.
	AfterBarrier func(number uint64)
	// BeforeLane is called before a lane of a session's WAL takes what has come and
	// decides, so that all that comes at one instant is taken together.
	BeforeLane func(SessionID, Lane)
	// DuringRead is called when a read begins, and when bytes came that more than
	// one read waited for.
	DuringRead func(TopicPartition, Offset)
}

// SetHooks sets the replica's hooks.
func (c *ReplicaConfig) SetHooks(h Hooks) { c.hooks = h }
