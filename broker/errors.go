package broker

import (
	"context"
	"errors"
	"strings"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
	"github.com/zonewise/zonewise/wal"
)

// Kafka's error codes, as far as this package answers them.
const (
	errUnknownServer      int16 = -1
	errNone               int16 = 0
	errOffsetOutOfRange   int16 = 1
	errCorruptMessage     int16 = 2
	errUnknownTopic       int16 = 3
	errLeaderNotAvailable int16 = 5
	errNotLeader          int16 = 6
	errTimedOut           int16 = 7
	errMessageTooLarge    int16 = 10
	errCoordinatorLoading int16 = 14
	errCoordinatorAway    int16 = 15
	errInvalidTopic       int16 = 17
	errRecordListTooLarge int16 = 18
	errNotEnoughReplicas  int16 = 19
	errInvalidAcks        int16 = 21
	errInvalidTimestamp   int16 = 32
	errUnsupportedVersion int16 = 35
	errTopicExists        int16 = 36
	errInvalidPartitions  int16 = 37
	errInvalidReplication int16 = 38
	errInvalidAssignment  int16 = 39
	errInvalidConfig      int16 = 40
	errInvalidRequest     int16 = 42
	errPolicyViolation    int16 = 44
	errOutOfOrder         int16 = 45
	errInvalidEpoch       int16 = 47
	errInvalidTxnState    int16 = 48
	errProducerMapping    int16 = 49
	errTxnTimeout         int16 = 50
	errConcurrentTxn      int16 = 51
	errTxnIDUnauthorized  int16 = 53
	errNotAttempted       int16 = 55
	errStorage            int16 = 56
	errLogDirNotFound     int16 = 57
	errGroupNotFound      int16 = 69
	errSessionNotFound    int16 = 70
	errSessionEpoch       int16 = 71
	errDeletionDisabled   int16 = 73
	errUnknownLeaderEpoch int16 = 75
	errCompression        int16 = 76
	errElectionNotNeeded  int16 = 84
	errThrottled          int16 = 89
	errNoReassignment     int16 = 85
	errInvalidRecord      int16 = 87
	errProducerFenced     int16 = 90
	errDuplicateResource  int16 = 92
	errUpdateVersion      int16 = 95
	errUnknownTopicID     int16 = 100
	errInconsistentID     int16 = 103
	errTxnIDNotFound      int16 = 105
	errSessionTopicID     int16 = 106
	errEndpointMismatch   int16 = 114
	errEndpointType       int16 = 115
	errTxnAbortable       int16 = 120
	errInvalidPattern     int16 = 128
	errRebootstrap        int16 = 129
)

// kafkaError is the one mapping of our errors to Kafka's. What is not known
// is passing, so that clients try again: -1 is never answered on purpose.
func kafkaError(err error) int16 {
	var code metadata.Code
	switch {
	case err == nil:
		return errNone
	case errors.As(err, &code):
		return kafkaCode(code)
	case errors.Is(err, wal.ErrSessionLost), errors.Is(err, wal.ErrDraining), errors.Is(err, wal.ErrClosed),
		errors.Is(err, metadata.ErrSessionLost):
		return errNotLeader
	case errors.Is(err, wal.ErrStorage):
		return errNotEnoughReplicas
	case errors.Is(err, wal.ErrUnknownOutcome), errors.Is(err, metadata.ErrNotKnown),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return errTimedOut
	case errors.Is(err, s3stream.ErrUnavailable), errors.Is(err, s3stream.ErrCorrupt), errors.Is(err, s3stream.ErrVersion):
		return errStorage
	}
	return errTimedOut
}

// kafkaCode maps what apply answers.
func kafkaCode(c metadata.Code) int16 {
	switch c {
	case metadata.CodeOK, metadata.CodeDuplicate:
		return errNone
	case metadata.CodeUnknownTopic:
		return errUnknownTopic
	case metadata.CodeOutOfOrder:
		return errOutOfOrder
	case metadata.CodeStaleEpoch:
		return errInvalidEpoch
	case metadata.CodeTopicExists:
		return errTopicExists
	case metadata.CodeInvalidPartition:
		return errInvalidPartitions
	case metadata.CodeInvalidConfig:
		return errInvalidConfig
	case metadata.CodeInvalidRequest, metadata.CodeBrokerIDTaken, metadata.CodeLevel:
		return errInvalidRequest
	case metadata.CodeUnknownGroup:
		return errGroupNotFound
	case metadata.CodeOffsetOutOfRange:
		return errOffsetOutOfRange
	case metadata.CodeLimit, metadata.CodeTooLarge: // a limit's code is its API's: limitCode
		return errPolicyViolation
	case metadata.CodeTxnState:
		return errInvalidTxnState
	case metadata.CodeUnknownProducer:
		return errProducerMapping
	case metadata.CodeFenced:
		return errProducerFenced
	case metadata.CodeConcurrent:
		return errConcurrentTxn
	case metadata.CodeStaleRole, metadata.CodeUnknownSession, metadata.CodeGuardFailed:
		return errNotLeader
	}
	return errTimedOut // refused, gap: with an alarm of its own
}

// adminError is kafkaError for requests that clients send to the controller:
// "not leader" would puzzle them, and a request that timed out is tried again.
func adminError(err error) int16 {
	if c := kafkaError(err); c != errNotLeader {
		return c
	}
	return errTimedOut
}

// commandError returns what became of the i-th command of an outcome.
func (r *request) commandError(o metadata.Outcome, err error, i int) (code int16, text string) {
	switch {
	case err == nil && o.Code == metadata.CodeOK && i < len(o.Commands) && o.Commands[i].Code == metadata.CodeLimit:
		return r.conn.s.refusedByLimit(r), o.Commands[i].Text
	case err != nil:
		return adminError(err), err.Error()
	case o.Code != metadata.CodeOK:
		return adminError(o.Code), o.Text
	case i >= len(o.Commands):
		return errTimedOut, "BUG: outcome without this command"
	case o.Commands[i].Code != metadata.CodeOK:
		return adminError(o.Commands[i].Code), o.Commands[i].Text
	}
	return errNone, ""
}

// textOf returns s as Kafka's nullable text: nil where there is nothing to say.
func textOf(s string) *string {
	if s == "" {
		return nil
	}
	s = shortened(s)
	return &s
}

func shortened(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	return strings.ToValidUTF8(s[:maxErrorText], "") + "..."
}

// maxErrorText is how much of an error is told, in bytes: it may repeat what the
// client sent, and older versions of requests have no place for 32 KiB.
const maxErrorText = 2048
