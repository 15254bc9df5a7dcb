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

// noError is Kafka's NONE.
const (
	noError int16 = 0
)

// kafkaErrorCode maps our errors to Kafka's, in one place. Unknown errors are
// retriable: UNKNOWN_SERVER_ERROR is never returned on purpose.
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
	case errors.Is(err, s3stream.ErrTrimmed):
		return kerr.OffsetOutOfRange.Code
	case errors.Is(err, s3stream.ErrUnavailable), errors.Is(err, s3stream.ErrCorrupt), errors.Is(err, s3stream.ErrVersion):
		return kerr.KafkaStorageError.Code // also where its cause is a barrier that timed out
	case errors.Is(err, wal.ErrOutcomeUnknown), errors.Is(err, metadata.ErrOutcomeUnknown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return kerr.RequestTimedOut.Code
	}
	return kerr.RequestTimedOut.Code
}

// mapStateCode maps the codes of apply.
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
	case metadata.CodeLimit, metadata.CodeTooLarge: // limitErrorCode has the code of a limit
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
	return kerr.RequestTimedOut.Code // refused, gap: these have alarms
}

// adminErrorCode is kafkaErrorCode for requests that clients send to the
// controller: they do not expect NOT_LEADER_OR_FOLLOWER, and retry after
// REQUEST_TIMED_OUT.
func adminErrorCode(err error) int16 {
	if c := kafkaErrorCode(err); c != kerr.NotLeaderForPartition.Code {
		return c
	}
	return kerr.RequestTimedOut.Code
}

// commandError returns the error of the i-th command of an outcome.
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

// nullableText returns s as a nullable string: nil if it is empty.
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

// maxErrorTextBytes bounds an error message: it may repeat what the client
// sent, and older versions of responses cannot encode 32 KiB.
const maxErrorTextBytes = 2048
