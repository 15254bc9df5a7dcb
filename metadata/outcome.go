package metadata

import "fmt"

// Code is the result of a run or a command. It is an error unless it is CodeOK or
// CodeDuplicate. One function of package broker maps codes to Kafka's.
type Code uint8

// The codes. Replicas must agree on them: numbers never change.
const (
	CodeOK               Code = iota
	CodeDuplicate             // the run was accepted before; Offset is where
	CodeUnknownTopic          // topic or partition
	CodeOutOfOrder            // sequence is not last + 1, or a new epoch does not begin at 0
	CodeStaleEpoch            // producer epoch below the known one
	CodeTopicExists           //
	CodeInvalidPartition      // count not above the current one, or beyond a limit
	CodeInvalidConfig         //
	CodeInvalidRequest        // arguments contradict the state
	CodeStaleRole             // an older epoch of a role or slot
	CodeUnknownSession        //
	CodeBrokerIDTaken         //
	CodeUnknownGroup          //
	CodeOffsetOutOfRange      //
	CodeLimit                 // a hard limit of the state is reached
	CodeGuardFailed           // the entry's guard did not hold: an empty entry took its place
	CodeRefused               // the entry was invalid: deterministic, with an alarm
	CodeLevel                 // a broker does not support the feature level
	CodeTxnState              // transactional data without its transaction
	CodeGap                   // seq of the lane was not last + 1
	CodeOutcomeUnknown        // a checkpoint skipped over the entry: its outcome cannot be found out
	CodeUnknownProducer       // the producer id is not the transactional id's
	CodeFenced                // a newer producer owns the transactional id
	CodeConcurrent            // another request changed the transaction meanwhile
	CodeTooLarge              // beyond what one transaction may have, whatever becomes free
	codeEnd
)

var codeText = [codeEnd]string{
	"ok", "duplicate", "unknown topic or partition", "sequence out of order", "stale producer epoch",
	"topic exists", "invalid partition count", "invalid config", "invalid request", "stale role epoch",
	"unknown session", "broker id taken", "unknown group", "offset out of range", "limit reached",
	"guard failed", "entry refused", "feature level", "invalid transaction state", "lane sequence gap", "outcome unknown",
	"unknown producer id", "producer fenced", "concurrent transaction requests", "too large",
}

// Error implements error.
func (c Code) Error() string {
	if c < codeEnd {
		return codeText[c]
	}
	return fmt.Sprintf("code %d", uint8(c))
}

// RunOutcome is the result of one run: the offset of its first record where the
// code is CodeOK or CodeDuplicate.
type RunOutcome struct {
	Code   Code
	Offset Offset
}

// CommandOutcome is the result of one command; the command's type documents
// Value.
type CommandOutcome struct {
	Code  Code
	Value int64
	Text  string        // the rule that refused it, for logs and error texts
	Epoch ProducerEpoch // of the producer id in Value
	// Touched are partitions whose end or last stable offset it moved.
	Touched []TopicPartition
}

// Outcome is the result of applying one entry: for each part the results of its
// runs, for each command its own.
type Outcome struct {
	Revision Revision
	// Code is CodeOK where the entry was accepted. Otherwise nothing of it was,
	// and Parts and Commands are nil.
	Code     Code
	Text     string
	Parts    [][]RunOutcome
	Commands []CommandOutcome
}

func refuse(code Code, format string, args ...any) CommandOutcome {
	return CommandOutcome{Code: code, Text: fmt.Sprintf(format, args...)}
}
