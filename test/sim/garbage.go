package sim

import "time"

// garbageGrace is how long dead objects stay in the bucket: seconds, as brokers are
// killed so often that no role is held for minutes.
const garbageGrace = 2 * time.Second
