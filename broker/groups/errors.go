package groups

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Kafka's special values, and names that responses contain.
const (
	noError                int16 = 0
	noGeneration           int32 = -1
	noAuthorizedOperations int32 = -1 << 31
	// allOperations are the bits of all operations on a group.
	allOperations int32 = 1<<kmsg.ACLOperationRead | 1<<kmsg.ACLOperationDelete | 1<<kmsg.ACLOperationDescribe |
		1<<kmsg.ACLOperationDescribeConfigs | 1<<kmsg.ACLOperationAlterConfigs
	noOffset                 int64 = -1
	noLeaderEpoch            int32 = -1
	maxGenerationBeforeWrap  int32 = 1<<31 - 1<<16
	generationsAfterTakeOver int32 = 16
	protocolTypeConsumer           = "consumer"
	groupTypeClassic               = "classic"
	groupTypeConsumer              = "consumer"
	stateNameDead                  = "Dead"
	groupMissingMessage            = "group not found"
)

// writeResultCode returns a client's error code for a failed or refused write,
// and whether the outcome proves that the slot is lost.
func writeResultCode(out metadata.Outcome, err error) (code int16, lost bool) {
	switch {
	case err == nil:
	case errors.Is(err, metadata.ErrSessionLost), errors.Is(err, metadata.ErrRoleLost):
		return kerr.NotCoordinator.Code, true
	default: // timed out or unknown outcome: the client retries
		return kerr.CoordinatorNotAvailable.Code, false
	}
	if out.Code != metadata.CodeOK {
		lost = out.Code == metadata.CodeUnknownSession
		return pickCode(lost, kerr.NotCoordinator.Code, kerr.CoordinatorNotAvailable.Code), lost
	}
	for i := range out.Commands {
		switch out.Commands[i].Code {
		case metadata.CodeOK:
		case metadata.CodeStaleRole, metadata.CodeUnknownSession:
			return kerr.NotCoordinator.Code, true
		case metadata.CodeUnknownTopic:
			return kerr.UnknownTopicOrPartition.Code, false
		case metadata.CodeUnknownGroup:
			return kerr.GroupIDNotFound.Code, false
		case metadata.CodeLimit: // retriable: groups and offsets expire
			return kerr.CoordinatorLoadInProgress.Code, false
		case metadata.CodeTooLarge:
			return kerr.InvalidCommitOffsetSize.Code, false
		case metadata.CodeUnknownProducer:
			return kerr.InvalidProducerIDMapping.Code, false
		case metadata.CodeFenced:
			return kerr.InvalidProducerEpoch.Code, false
		case metadata.CodeTxnState:
			return kerr.InvalidTxnState.Code, false
		default:
			return kerr.CoordinatorNotAvailable.Code, false
		}
	}
	return noError, false
}

func pickCode(yes bool, a, b int16) int16 {
	if yes {
		return a
	}
	return b
}
