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

// commandRow is what is known of one kind of command.
type commandRow struct {
	decode func(*reader) Command // of its fields; nil: no such command
	// from is the first feature level whose entries may have the command.
	from FeatureLevel
}

// commandRows is the one table of all commands. It is never changed while the
// program runs. Kinds are stored: a number keeps its meaning for ever.
//
// To add a command, write its type, Kind, encode, decoder and apply into the file
// of its subject (commands_*.go), and add its row here with the next number.
// Nothing else lists commands. An older broker refuses an unknown kind, so a
// command that a release did not have begins at a feature level of its own.
var commandRows = [...]commandRow{
	1:  {decodeOpenSession, 1},
	2:  {decodeCloseSession, 1},
	3:  {decodeDrainSession, 1},
	4:  {decodeClaimRole, 1},
	5:  {decodeTick, 1},
	6:  {decodeAcceptArchive, 1},
	7:  {decodeRaiseLevel, 1},
	8:  {decodeCreateTopic, 1},
	9:  {decodeDeleteTopic, 1},
	10: {decodeCreatePartitions, 1},
	11: {decodeSetConfigs, 1},
	12: {decodeTrimPartition, 1},
	13: {decodeAllocateProducers, 1},
	14: {decodeCommitOffsets, 1},
	15: {decodePutGroup, 1},
	16: {decodeDeleteGroup, 1},
	17: {decodeDeleteOffsets, 1},
	18: {decodeUsage, 1},
	19: {decodeRecoverCluster, 1},
	20: {decodeMark, 1},
	21: {decodePressure, 1},
	22: {decodeInitTxn, 1},
	23: {decodeAddToTxn, 1},
	24: {decodeTxnOffsets, 1},
	25: {decodeEndTxn, 1},
	26: {decodeAbortTxn, 1},
	40: {decodePutMember, 1},
	41: {decodeRemoveMembers, 1},
	42: {decodeSetAssignments, 1},
	43: {decodeSetTargets, 1},
	44: {decodeExpireOffsets, 1},
	45: {decodeReleaseQueued, 1},
	46: {decodeEnforceRetention, 1},
	47: {decodeRecordCheckpoint, 1},
	48: {decodeRecordBase, 1},
	49: {decodeBuryLeftovers, 1},
	50: {decodeAbandonObjects, 1},
	51: {decodeConfirmDeleted, 1},
	52: {decodeMoveInline, 1},

	255: nextLevelRow, // in the builds of a test only (level_next.go)
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

// readCommands reads the commands of e; fields is memory for the reader of their
// fields, which is on the heap because decoders are called through the table.
// nil: once per entry with commands.
func (r *reader) readCommands(e *Entry, fields *reader) []Command {
	out := e.Commands[:0]
	n := r.Count(2, "commands")
	if n > 0 && fields == nil {
		fields = new(reader)
	}
	for range n {
		out = append(out, r.readCommand(e.Level, fields))
	}
	return out
}

// readCommand reads one command of an entry of the given level, its fields by the
// given reader.
func (r *reader) readCommand(level FeatureLevel, fields *reader) Command {
	kind := CommandKind(r.Uint8())
	*fields = newReader(r.Take(r.Count(1, "command")), 0)
	if r.Err() != nil {
		return nil
	}
	row := &commandRows[kind] // there is a row for every number
	if row.decode == nil {
		r.Fail("unknown command kind %d", kind)
		return nil
	}
	c := row.decode(fields)
	// Here and not in apply: a broker that does not know the kind refuses the
	// entry as well, with the same effect on the state.
	if level < row.from {
		r.Fail("command %T needs feature level %d, the entry has level %d", c, row.from, level)
		return nil
	}
	if err := fields.ExpectEnd(); err != nil {
		r.Fail("command of kind %d: %v", kind, err)
		return nil
	}
	return c
}
