package main

import (
	"fmt"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
)

// minMemory keeps the largest batch and a merged read from filling a limit.
const minMemory = 32 << 20

// tuneOptions are what brokers of `dev` and of real clusters share.
type tuneOptions struct {
	autoCreate     bool
	deleteTopics   bool
	checkReplicas  bool
	partitions     int
	linger         time.Duration
	rebalanceDelay time.Duration
	groups         groupOptions
	storage        storageOptions
	priceBook      string

	commitRate, entryRate, runRate, inlineRate float64
	walMemory, tailMemory, blockMemory         int64
}

// declareTune declares the options; memory is the default of each memory limit,
// in bytes.
func (o *tuneOptions) declareTune(s *cli.Set, memory int64) {
	def, r := node.DefaultConfig(), metadata.DefaultRates()
	s.Bool(&o.autoCreate, "auto-create-topics", def.AutoCreate, "make a topic when a client first uses it")
	s.Bool(&o.deleteTopics, "delete-topics", true, "let clients delete topics")
	s.Bool(&o.checkReplicas, "check-replication-factor", false, "refuse topics that ask for more replicas than there are brokers, as Kafka does")
	s.Int(&o.partitions, "default-partitions", int(def.DefaultPartitions), "COUNT", "partitions of a topic made that way")
	s.Duration(&o.linger, "linger", def.Linger, "how long the standard lane gathers records before it writes an object")
	s.Duration(&o.rebalanceDelay, "group-initial-rebalance-delay", def.RebalanceDelay, "how long a new group waits for more members")
	o.groups.declareGroups(s)
	o.storage.declareStorage(s)
	s.String(&o.priceBook, "price-book", "", "FILE", "prices (JSON); without it the AWS us-east-1 list prices built in")
	s.Float(&o.commitRate, "commit-rate", r.Commits, "COMMITS/s", "most commits of the whole cluster; past it linger grows")
	s.Float(&o.entryRate, "entry-rate", r.EntryBytes, "BYTES/s", "most bytes of commit entries of the whole cluster")
	s.Float(&o.runRate, "run-rate", r.Runs, "RUNS/s", "most runs of the whole cluster; a third of what the slowest broker applies")
	s.Float(&o.inlineRate, "inline-rate", r.InlineBytes, "BYTES/s", "most record bytes inside entries, of the whole cluster; 0: never inline")
	s.Bytes(&o.walMemory, "wal-memory", memory, "most bytes not yet acknowledged; at the limit clients are not read from")
	s.Bytes(&o.tailMemory, "tail-memory", memory, "cache of what was just written, for readers at the head")
	s.Bytes(&o.blockMemory, "block-memory", memory, "cache of older blocks read from the bucket")
}

func (o *tuneOptions) validate() error {
	switch {
	case o.partitions < 1 || o.partitions > metadata.MaxPartitionsPerTopic:
		return cli.Usagef("--default-partitions %d: want 1 to %d", o.partitions, metadata.MaxPartitionsPerTopic)
	case o.linger < time.Millisecond || o.linger > 10*time.Second:
		return cli.Usagef("--linger %v: want 1ms to 10s", o.linger)
	case o.rebalanceDelay < 0 || o.rebalanceDelay > time.Minute:
		return cli.Usagef("--group-initial-rebalance-delay %v: want 0s to 1m", o.rebalanceDelay)
	case o.inlineRate < 0:
		return cli.Usagef("--inline-rate %v: want 0 or more", o.inlineRate)
	}
	for flag, bytes := range map[string]int64{"wal-memory": o.walMemory, "tail-memory": o.tailMemory, "block-memory": o.blockMemory} {
		if bytes < minMemory {
			return cli.Usagef("--%s %s: want %s or more", flag, cli.FormatBytes(bytes), cli.FormatBytes(minMemory))
		}
	}
	for _, r := range []struct {
		flag  string
		value float64
	}{{"commit-rate", o.commitRate}, {"entry-rate", o.entryRate}, {"run-rate", o.runRate}} {
		if r.value <= 0 {
			return cli.Usagef("--%s %v: want more than 0", r.flag, r.value)
		}
	}
	if err := o.storage.validate(); err != nil {
		return err
	}
	return o.groups.validate()
}

// apply applies the options; limit returns up to which size inline is cheaper
// than an object.
func (o *tuneOptions) apply(c *node.Config, limit func() int) {
	c.AutoCreate, c.DefaultPartitions, c.Linger, c.RebalanceDelay = o.autoCreate, int32(o.partitions), o.linger, o.rebalanceDelay
	c.KeepTopics, c.CheckReplication = !o.deleteTopics, o.checkReplicas
	c.Rates = metadata.Rates{Commits: o.commitRate, EntryBytes: o.entryRate, Runs: o.runRate, InlineBytes: o.inlineRate}
	c.Groups = o.groups.toConfig()
	if n := o.groups.offsetsPartitions; n > 0 {
		c.OffsetsPartitions = int32(n)
	}
	o.storage.apply(c)
	c.WALBytes, c.TailBytes, c.BlockBytes = o.walMemory, o.tailMemory, o.blockMemory
	if o.inlineRate > 0 {
		c.InlineLimit = limit
	}
}

// formatCount formats a number of things.
func formatCount(n int, one string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", one)
	}
	return fmt.Sprintf("%d %ss", n, one)
}
