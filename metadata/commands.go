package metadata

import (
	"encoding/binary"
	"slices"
)

// Command is a part of an entry that needs no record bytes. A command is one
// type, which has all that makes it one: its kind, its encoding and its apply.
type Command interface {
	Kind() CommandKind
	// encode writes the fields, as the decoder in the table reads them.
	encode(w *writer)
	// apply changes s as the command of entry e does. It checks everything
	// before it changes anything.
	apply(s *State, e *Entry) CommandOutcome
}

// CommandKind is a command's number in the encoding.
type CommandKind uint8

// commandDecoders is the one table of all commands: what decodes the fields of
// each kind. It is never changed while the program runs. Kinds are stored: a
// number keeps its meaning for ever.
//
// To add a command, write its type, Kind, encode, decoder and apply into the file
// of its subject (commands_*.go), and add its row here with the next number.
// Nothing else lists commands. An older broker refuses an unknown kind: raise
// MaxFeatureLevel, and write the command only from that level on.
var commandDecoders = [...]func(*reader) Command{
	1:  decodeOpenSession,
	2:  decodeCloseSession,
	3:  decodeDrainSession,
	4:  decodeClaimRole,
	5:  decodeTick,
	6:  decodeAcceptArchive,
	7:  decodeRaiseLevel,
	8:  decodeCreateTopic,
	9:  decodeDeleteTopic,
	10: decodeCreatePartitions,
	11: decodeSetConfigs,
	12: decodeTrimPartition,
	13: decodeAllocateProducers,
	14: decodeCommitOffsets,
	15: decodePutGroup,
	16: decodeDeleteGroup,
	17: decodeDeleteOffsets,
	18: decodeUsage,
	19: decodeRecoverCluster,
	20: decodeMark,
	21: decodePressure,
	22: decodeInitTxn,
	23: decodeAddToTxn,
	24: decodeTxnOffsets,
	25: decodeEndTxn,
	26: decodeAbortTxn,
	40: decodePutMember,
	41: decodeRemoveMembers,
	42: decodeSetAssignments,
	43: decodeSetTargets,
	44: decodeExpireOffsets,
	45: decodeReleaseQueued,
	46: decodeEnforceRetention,
	47: decodeRecordCheckpoint,
	48: decodeRecordBase,
	49: decodeBuryLeftovers,
	50: decodeAbandonObjects,
	51: decodeConfirmDeleted,
}

// writeCommands writes kind, length and fields of each command, so that a reader
// that does not know a kind can report it.
func (w *writer) writeCommands(list []Command) {
	w.uvarint(uint64(len(list)))
	if len(list) == 0 {
		return
	}
	out := &writer{w.b} // on the heap, as encode is called through an interface: once per entry
	for _, c := range list {
		out.u8(uint8(c.Kind()))
		start := len(out.b)
		c.encode(out)
		out.insertLength(start)
	}
	w.b = out.b
}

// insertLength puts the length of what was written from start on before it.
func (w *writer) insertLength(start int) {
	var length [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(length[:], uint64(len(w.b)-start))
	w.b = slices.Insert(w.b, start, length[:n]...)
}

// readCommands reads commands; fields is memory for the reader of their fields,
// which is on the heap because decoders are called through the table. nil: once
// per entry with commands.
func (r *reader) readCommands(out []Command, fields *reader) []Command {
	n := r.Count(2, "commands")
	if n > 0 && fields == nil {
		fields = new(reader)
	}
	for range n {
		out = append(out, r.readCommand(fields))
	}
	return out
}

// readCommand reads one command, its fields by the given reader.
func (r *reader) readCommand(fields *reader) Command {
	kind := CommandKind(r.Uint8())
	*fields = newReader(r.Take(r.Count(1, "command")), 0)
	if r.Err() != nil {
		return nil
	}
	if int(kind) >= len(commandDecoders) || commandDecoders[kind] == nil {
		r.Fail("unknown command kind %d", kind)
		return nil
	}
	c := commandDecoders[kind](fields)
	if err := fields.ExpectEnd(); err != nil {
		r.Fail("command of kind %d: %v", kind, err)
		return nil
	}
	return c
}
