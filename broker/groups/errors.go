package groups

import (
	"errors"

	"github.com/zonewise/zonewise/metadata"
)

// Kafka's error codes, as far as this package answers them.
const (
	codeOK                   int16 = 0
	codeUnknownTopic         int16 = 3
	codeMessageTooLarge      int16 = 10
	codeMetadataTooLarge     int16 = 12
	codeLoadInProgress       int16 = 14
	codeNotAvailable         int16 = 15
	codeNotCoordinator       int16 = 16
	codeIllegalGeneration    int16 = 22
	codeInconsistentProtocol int16 = 23
	codeInvalidGroupID       int16 = 24
	codeUnknownMember        int16 = 25
	codeInvalidSession       int16 = 26
	codeRebalance            int16 = 27
	codeInvalidCommitSize    int16 = 28
	codeUnsupportedVersion   int16 = 35
	codeInvalidRequest       int16 = 42
	codeInvalidEpoch         int16 = 47
	codeInvalidTxnState      int16 = 48
	codeProducerMapping      int16 = 49
	codeNonEmptyGroup        int16 = 68
	codeGroupNotFound        int16 = 69
	codeMemberIDRequired     int16 = 79
	codeGroupMaxSize         int16 = 81
	codeFencedInstance       int16 = 82
	codeSubscribedToTopic    int16 = 86
	codeUnstableOffset       int16 = 88
	codeTxnAbortable         int16 = 120
	codeFencedEpoch          int16 = 110
	codeUnreleasedInstance   int16 = 111
	codeUnsupportedAssignor  int16 = 112
	codeStaleEpoch           int16 = 113
	codeInvalidRegex         int16 = 128
	noGeneration             int32 = -1
	noAuthorizedOperations   int32 = -1 << 31
	// allOperations are read, delete, describe, describe and alter configs:
	// everything that can be done to a group.
	allOperations             int32 = 1<<3 | 1<<6 | 1<<8 | 1<<10 | 1<<11
	noOffset                  int64 = -1
	noLeaderEpoch             int32 = -1
	maxGenerationBeforeWrap   int32 = 1<<31 - 1<<16
	generationsAfterTakeOver  int32 = 16
	protocolTypeConsumer            = "consumer"
	groupTypeClassic                = "classic"
	groupTypeConsumer               = "consumer"
	stateNameDead                   = "Dead"
	descriptionOfGroupMissing       = "group not found"
)

// codeOfWrite says what a failed or refused write means to a client, and
// whether it proves that the slot is another's.
func codeOfWrite(out metadata.Outcome, err error) (code int16, lost bool) {
	switch {
	case err == nil:
	case errors.Is(err, metadata.ErrSessionLost), errors.Is(err, metadata.ErrRoleLost):
		return codeNotCoordinator, true
	default: // timed out, or its fate is not known: the client tries again
		return codeNotAvailable, false
	}
	if out.Code != metadata.CodeOK {
		lost = out.Code == metadata.CodeUnknownSession
		return pickCode(lost, codeNotCoordinator, codeNotAvailable), lost
	}
	for i := range out.Commands {
		switch out.Commands[i].Code {
		case metadata.CodeOK:
		case metadata.CodeStaleRole, metadata.CodeUnknownSession:
			return codeNotCoordinator, true
		case metadata.CodeUnknownTopic:
			return codeUnknownTopic, false
		case metadata.CodeUnknownGroup:
			return codeGroupNotFound, false
		case metadata.CodeLimit: // space comes back: groups and positions expire
			return codeLoadInProgress, false
		case metadata.CodeTooLarge:
			return codeInvalidCommitSize, false
		case metadata.CodeUnknownProducer:
			return codeProducerMapping, false
		case metadata.CodeFenced:
			return codeInvalidEpoch, false
		case metadata.CodeTxnState:
			return codeInvalidTxnState, false
		default:
			return codeNotAvailable, false
		}
	}
	return codeOK, false
}

func pickCode(yes bool, a, b int16) int16 {
	if yes {
		return a
	}
	return b
}
