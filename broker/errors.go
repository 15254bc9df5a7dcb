package broker

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/wal"
)

// Kafka's error codes, as far as this package answers them.
const (
	noError int16 = 0
)

// kafkaErrorCode is the one mapping of our errors to Kafka's. What is not known
// is passing, so that clients try again: -1 is never answered on purpose.
func kafkaErrorCode(err error) int16 {
	var code metadata.Code
	switch {
	case err == nil:
		return noError
	case errors.As(err, &code):
		return mapStateCode(code)
	case errors.Is(err, wal.ErrSessionLost), errors.Is(err, wal.ErrDraining), errors.Is(err, wal.ErrClosed),
		errors.Is(err, metadata.ErrSessionLost):
		return kerr.NotLeaderForPartition.Code
	case errors.Is(err, wal.ErrStorage):
		return kerr.NotEnoughReplicas.Code
	case errors.Is(err, wal.ErrOutcomeUnknown), errors.Is(err, metadata.ErrOutcomeUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return kerr.RequestTimedOut.Code
	case errors.Is(err, s3stream.ErrUnavailable), errors.Is(err, s3stream.ErrCorrupt), errors.Is(err, s3stream.ErrVersion):
		return kerr.KafkaStorageError.Code
	}
	return kerr.RequestTimedOut.Code
}

// mapStateCode maps what apply answers.
func mapStateCode(c metadata.Code) int16 {
	switch c {
	case metadata.CodeOK, metadata.CodeDuplicate:
		return noError
	case metadata.CodeUnknownTopic:
		return kerr.UnknownTopicOrPartition.Code
	case metadata.CodeOutOfOrder:
		return kerr.OutOfOrderSequenceNumber.Code
	case metadata.CodeStaleEpoch:
		return kerr.InvalidProducerEpoch.Code
	case metadata.CodeTopicExists:
		return kerr.TopicAlreadyExists.Code
	case metadata.CodeInvalidPartition:
		return kerr.InvalidPartitions.Code
	case metadata.CodeInvalidConfig:
		return kerr.InvalidConfig.Code
	case metadata.CodeInvalidRequest, metadata.CodeBrokerIDTaken, metadata.CodeLevel:
		return kerr.InvalidRequest.Code
	case metadata.CodeUnknownGroup:
		return kerr.GroupIDNotFound.Code
	case metadata.CodeOffsetOutOfRange:
		return kerr.OffsetOutOfRange.Code
	case metadata.CodeLimit, metadata.CodeTooLarge: // a limit's code is its API's: limitErrorCode
		return kerr.PolicyViolation.Code
	case metadata.CodeTxnState:
		return kerr.InvalidTxnState.Code
	case metadata.CodeUnknownProducer:
		return kerr.InvalidProducerIDMapping.Code
	case metadata.CodeFenced:
		return kerr.ProducerFenced.Code
	case metadata.CodeConcurrent:
		return kerr.ConcurrentTransactions.Code
	case metadata.CodeStaleRole, metadata.CodeUnknownSession, metadata.CodeGuardFailed:
		return kerr.NotLeaderForPartition.Code
	}
	return kerr.RequestTimedOut.Code // refused, gap: with an alarm of its own
}

// adminErrorCode is kafkaErrorCode for requests that clients send to the controller:
// "not leader" would puzzle them, and a request that timed out is tried again.
func adminErrorCode(err error) int16 {
	if c := kafkaErrorCode(err); c != kerr.NotLeaderForPartition.Code {
		return c
	}
	return kerr.RequestTimedOut.Code
}

// commandError returns what became of the i-th command of an outcome.
func (r *request) commandError(o metadata.Outcome, err error, i int) (code int16, text string) {
	switch {
	case err == nil && o.Code == metadata.CodeOK && i < len(o.Commands) && o.Commands[i].Code == metadata.CodeLimit:
		return r.conn.s.recordLimitRefusal(r), o.Commands[i].Text
	case err != nil:
		return adminErrorCode(err), err.Error()
	case o.Code != metadata.CodeOK:
		return adminErrorCode(o.Code), o.Text
	case i >= len(o.Commands):
		return kerr.RequestTimedOut.Code, "BUG: outcome without this command"
	case o.Commands[i].Code != metadata.CodeOK:
		return adminErrorCode(o.Commands[i].Code), o.Commands[i].Text
	}
	return noError, ""
}

// nullableText returns s as Kafka's nullable text: nil where there is nothing to say.
func nullableText(s string) *string {
	if s == "" {
		return nil
	}
	s = truncateText(s)
	return &s
}

func truncateText(s string) string {
	if len(s) <= maxErrorTextBytes {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorTextBytes], "") + "..."
}

// maxErrorTextBytes is how much of an error is told, in bytes: it may repeat what the
// client sent, and older versions of requests have no place for 32 KiB.
const maxErrorTextBytes = 2048
