package listappend

import "fmt"

// Value is what a transaction appends; no two sends of a history have the same.
type Value int64

// Unknown is the offset of a send that was not acknowledged.
const Unknown int64 = -1

// Status is what a client knows of how its transaction ended.
type Status uint8

// The client was told of a commit, or of an abort (or never asked for a
// commit); or a commit was asked for and its answer got lost.
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
	// Read is what a read_committed consumer of this process was handed, in order.
	Read []Record
	// Assigned: the consumer began anew at From with this poll; otherwise it went
	// on from the process's last poll of the partition.
	Assigned bool
	From     int64
	// At is when a poll returned, in nanoseconds of a clock that all processes
	// share; 0: not known.
	At int64
}

// Transaction is a client's transaction, or a poll without one (Committed).
type Transaction struct {
	Process int // one producer and one consumer; its transactions follow each other
	Ops     []Op
	Status  Status
	// Ending is when the commit was asked for, on the clock of Op.At; 0: not known.
	Ending int64
}

// History is what clients saw. Transactions of one process stand in their order;
// those of different processes in any.
type History struct {
	Transactions []Transaction
	// ReadWhole: after all transactions ended a reader read every partition to
	// its end, so what it did not see is not there.
	ReadWhole bool
}

// Anomaly kinds. See the package's comment for what is Allowed.
const (
	LostWrite          = "lost write"          // committed, never read though a later offset was
	Unseen             = "unseen"              // committed, not there when all was read
	Duplicate          = "duplicate"           // one value at two offsets
	InconsistentOffset = "inconsistent offset" // one offset with two values
	Phantom            = "phantom"             // read, never sent to that partition
	AbortedRead        = "G1a aborted read"
	PartialRead        = "G1b partial read" // a transaction seen in part
	UncommittedRead    = "uncommitted read" // read before its commit was asked for
	PollSkip           = "poll skip"        // a consumer passed over a committed record
	NonmonotonicPoll   = "nonmonotonic poll"
	NonmonotonicSend   = "nonmonotonic send"
	CycleG0            = "G0"     // ww edges alone
	CycleG1cWW         = "G1c-ww" // wr and ww edges
	CycleG1c           = "G1c"    // wr edges alone
)

// Allowed reports whether Kafka's own guarantees permit what kind names.
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

// Result is the judgement.
type Result struct {
	Counts   map[string]int // by kind, all
	Examples []Anomaly      // at most maxExamples of each kind
	Records  int            // distinct values that were read
}

// Forbidden counts what Kafka's guarantees exclude.
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
