package sim

import (
	"time"

	"github.com/zonewise/zonewise/internal/costkeys"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// maxReportDelay is the time until a request is in the ledger if nothing fails:
// a report is made every three seconds.
const maxReportDelay = 10 * time.Second

// billedAs are the components in which requests of one kind are booked.
var billedAs = map[bucket.Op][]costkeys.Component{
	bucket.OpPut:    {costkeys.ComponentPut, costkeys.ComponentPutHedge, costkeys.ComponentPutPlatform},
	bucket.OpGet:    {costkeys.ComponentGet, costkeys.ComponentGetPlatform},
	bucket.OpList:   {costkeys.ComponentListPlatform},
	bucket.OpDelete: {costkeys.ComponentDelete},
}

// checkLedger: booked requests add up, are never more than the bucket's requests
// and, without a recorded gap, not fewer; and the records booked for each topic
// equal its records.
func (c *checker) checkLedger() {
	l := c.h.Ledger
	if l == nil {
		return
	}
	booked := map[costkeys.Component]costkeys.Quantity{}
	records := map[metadata.TopicID]costkeys.Quantity{}
	for _, cell := range l.Window.Cells {
		k := cell.Key
		booked[k.Component] = booked[k.Component].Add(cell.Quantity)
		if k.Component == costkeys.ComponentRecordsIn {
			records[k.Topic] = records[k.Topic].Add(cell.Quantity)
		}
	}
	for _, m := range l.Window.Meters {
		if booked[m.Key.Component] != m.Quantity {
			c.reportFinding("ledger", "the cells of %v have %v, its meter has %v", m.Key.Component, booked[m.Key.Component], m.Quantity)
		}
	}
	c.checkBilledRequests(l, booked)
	c.checkBookedRecords(l, records)
}

func (c *checker) checkBilledRequests(l *Ledger, booked map[costkeys.Component]costkeys.Quantity) {
	made, early := map[bucket.Op]uint64{}, map[bucket.Op]uint64{}
	for _, r := range l.Requests {
		made[r.Op]++
		if l.At.Sub(r.At) > maxReportDelay && l.Opened[r.Instance] {
			early[r.Op]++
		}
	}
	for op, components := range billedAs {
		var sum costkeys.Quantity
		for _, k := range components {
			sum = sum.Add(booked[k])
		}
		if most := costkeys.Requests(made[op]); sum.Lo > most.Lo {
			c.reportFinding("ledger", "%v nano-requests %v are booked, and %d were made", sum, op, made[op])
		}
		if least := costkeys.Requests(early[op]); l.Window.GapsMs == 0 && sum.Lo < least.Lo {
			c.reportFinding("ledger", "%v nano-requests of %v are booked, no gap is reported, and %d were made in time", sum, op, early[op])
		}
	}
}

func (c *checker) checkBookedRecords(l *Ledger, booked map[metadata.TopicID]costkeys.Quantity) {
	has := map[string]uint64{}
	for tp, tails := range c.h.FinalLogs {
		for _, t := range tails {
			if t.Start > 0 {
				has[tp.Topic] = 1 << 63 // trimmed: what it had cannot be counted
			} else if has[tp.Topic] < 1<<63 {
				for _, r := range t.Reads {
					if r.Record != (Record{}) { // markers are not records of a producer
						has[tp.Topic]++
					}
				}
			}
			break
		}
	}
	for topic, n := range has {
		if got := booked[l.Topics[topic]]; n < 1<<63 && got != costkeys.Units(n) {
			c.reportFinding("ledger", "%v records of %s are booked, and it has %d", got, topic, n)
		}
	}
}
