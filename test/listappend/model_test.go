package listappend

import "math/rand/v2"

// model is a log with Kafka's semantics: records of open transactions interleave, the
// end of a transaction puts a marker on each partition, and read_committed readers
// stop at the first offset of an open transaction.
type model struct {
	r     *rand.Rand
	h     History
	logs  [][]entry
	open  []int        // by process: its transaction, or -1
	state map[int]byte // by transaction: 'o'pen, 'c'ommitted, 'a'borted
	seats [][]int64    // by process and partition: the consumer's position
	next  Value
	clock int64
}

type entry struct {
	value Value // 0: a marker
	txn   int
}

const (
	modelProcesses  = 6
	modelPartitions = 5
)

// randomHistory generates a clean history of at least n transactions.
func randomHistory(seed uint64, n int) History {
	m := &model{r: rand.New(rand.NewPCG(seed, 7)), logs: make([][]entry, modelPartitions), state: map[int]byte{}}
	for range modelProcesses {
		m.open = append(m.open, -1)
		m.seats = append(m.seats, make([]int64, modelPartitions))
	}
	for len(m.h.Transactions) < n {
		m.stepProcess(m.r.IntN(modelProcesses))
	}
	for p, at := range m.open {
		if at >= 0 {
			m.endTxn(p)
		}
	}
	for p := range modelPartitions { // the last reader
		m.addPoll(m.beginTxn(modelProcesses, Committed), p, true)
	}
	m.h.ReadWhole = true
	return m.h
}

func (m *model) beginTxn(process int, s Status) int {
	if process == len(m.seats) {
		m.seats = append(m.seats, make([]int64, modelPartitions))
	}
	m.h.Transactions = append(m.h.Transactions, Transaction{Process: process, Status: s})
	return len(m.h.Transactions) - 1
}

func (m *model) stepProcess(p int) {
	m.clock++
	part := m.r.IntN(modelPartitions)
	switch {
	case m.open[p] < 0 && m.r.IntN(4) == 0:
		m.addPoll(m.beginTxn(p, Committed), part, false)
	case m.open[p] < 0:
		m.open[p] = m.beginTxn(p, Info)
		m.state[m.open[p]] = 'o'
	case m.r.IntN(4) == 0:
		m.endTxn(p)
	case m.r.IntN(3) == 0:
		m.addPoll(m.open[p], part, false)
	default:
		m.addSend(m.open[p], part)
	}
}

func (m *model) addSend(txn, part int) {
	m.next++
	t := &m.h.Transactions[txn]
	rec := Record{int64(len(m.logs[part])), m.next}
	m.logs[part] = append(m.logs[part], entry{m.next, txn})
	t.Ops = append(t.Ops, Op{Kind: Send, Partition: part, Sent: rec})
}

func (m *model) addPoll(txn, part int, all bool) {
	t := &m.h.Transactions[txn]
	most := 1 + m.r.IntN(8)
	op := Op{Kind: Poll, Partition: part, At: m.clock}
	if s := m.seats[t.Process]; all || s[part] == 0 || m.r.IntN(20) == 0 {
		op.Assigned = true
		op.From = int64(m.r.IntN(int(s[part]) + 1))
		s[part] = op.From
	}
	at := m.seats[t.Process][part]
	for ; at < int64(len(m.logs[part])) && (all || len(op.Read) < most); at++ {
		e := m.logs[part][at]
		if e.value != 0 && m.state[e.txn] == 'o' {
			break
		}
		if e.value != 0 && m.state[e.txn] == 'c' {
			op.Read = append(op.Read, Record{at, e.value})
		}
	}
	m.seats[t.Process][part] = at
	t.Ops = append(t.Ops, op)
}

// endTxn commits or aborts, sometimes without a response.
func (m *model) endTxn(p int) {
	txn := m.open[p]
	m.open[p] = -1
	t := &m.h.Transactions[txn]
	m.clock++
	m.state[txn], t.Status = 'c', Committed
	switch m.r.IntN(6) {
	case 0:
		m.state[txn], t.Status = 'a', Aborted
	case 1:
		t.Status = Info
	case 2:
		m.state[txn], t.Status = 'a', Info
	}
	if t.Status != Aborted {
		t.Ending = m.clock
	}
	for part := range modelPartitions {
		for _, op := range t.Ops {
			if op.Kind == Send && op.Partition == part {
				m.logs[part] = append(m.logs[part], entry{txn: txn})
				break
			}
		}
	}
}
