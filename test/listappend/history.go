package listappend

import "fmt"

// Value is an appended value; no two sends of a history have the same.
type Value int64

// Unknown is the offset of a send that was not acknowledged.
const Unknown int64 = -1

// Status is the outcome of a transaction as its client knows it.
type Status uint8

// Committed: the commit was acknowledged. Aborted: the abort was, or no commit was
// requested. Info: a commit was requested and its response was lost.
const (
	Committed Status = iota + 1
	Aborted
	Info
)

// Record is a value at an offset.
type Record struct {
	Offset int64
	Value  Value
}

// Kind is what an operation does.
type Kind uint8

const (
	Send Kind = iota + 1
	Poll
)

// Op is a send or a poll of one partition.
type Op struct {
	Kind      Kind
	Partition int
	// Sent is what was appended; its offset is Unknown without an acknowledgement.
	Sent Record
	// Read is what a read_committed consumer of this process received, in order.
	Read []Record
	// Assigned: the consumer started at From with this poll; otherwise it continued
	// from the process's last poll of the partition.
	Assigned bool
	From     int64
	// At is when a poll returned, in nanoseconds of a clock that all processes
	// share; 0: unknown.
	At int64
}

// Transaction is a client's transaction, or a poll without one (Committed).
type Transaction struct {
	Process int // one producer and one consumer; its transactions follow each other
	Ops     []Op
	Status  Status
	// Ending is when the commit was requested, on the clock of Op.At; 0: unknown.
	Ending int64
}

// History is what clients saw. Transactions of one process are in their order, those
// of different processes in any order.
type History struct {
	Transactions []Transaction
	// ReadWhole: after all transactions ended, a reader read every partition to its
	// end, so a value that it did not see is missing.
	ReadWhole bool
}

// Anomaly kinds. See the package's comment for what is Allowed.
const (
	LostWrite          = "lost write"          // committed, never read although a later offset was
	Unseen             = "unseen"              // committed, missing when everything was read
	Duplicate          = "duplicate"           // one value at two offsets
	InconsistentOffset = "inconsistent offset" // one offset with two values
	Phantom            = "phantom"             // read, never sent to that partition
	AbortedRead        = "G1a aborted read"
	PartialRead        = "G1b partial read" // a transaction that is partly visible
	UncommittedRead    = "uncommitted read" // read before its commit was requested
	PollSkip           = "poll skip"        // a consumer skipped a committed record
	NonmonotonicPoll   = "nonmonotonic poll"
	NonmonotonicSend   = "nonmonotonic send"
	CycleG0            = "G0"     // ww edges alone
	CycleG1cWW         = "G1c-ww" // wr and ww edges
	CycleG1c           = "G1c"    // wr edges alone
)

// Allowed reports whether Kafka's own guarantees permit an anomaly of this kind.
func Allowed(kind string) bool { return kind == CycleG0 || kind == CycleG1cWW }

// Anomaly is one finding. Transactions are indexes into the history.
type Anomaly struct {
	Kind         string
	Partition    int // -1: none
	Transactions []int
	Detail       string
}

func (a Anomaly) String() string {
	return fmt.Sprintf("%s: partition %d, transactions %v: %s", a.Kind, a.Partition, a.Transactions, a.Detail)
}

// maxExamples bounds the findings kept of a kind: a broken log would otherwise
// yield one for every record.
const maxExamples = 20

// Result is the result of a check.
type Result struct {
	Counts   map[string]int // by kind, all
	Examples []Anomaly      // at most maxExamples of each kind
	Records  int            // distinct values that were read
}

// Forbidden counts the anomalies that Kafka's guarantees exclude.
func (r Result) Forbidden() (n int) {
	for kind, count := range r.Counts {
		if !Allowed(kind) {
			n += count
		}
	}
	return n
}

func (r *Result) addAnomaly(kind string, partition int, detail string, transactions ...int) {
	r.Counts[kind]++
	if r.Counts[kind] <= maxExamples {
		r.Examples = append(r.Examples, Anomaly{kind, partition, transactions, detail})
	}
}
