package metadata

// The commands of transactions (KIP-98, KIP-360, KIP-447, KIP-890). Any
// broker may submit them: apply alone decides.

// InitTxn gives a transactional id its producer id and next epoch, and aborts
// what is under way. Outcome: Value is the producer id, Epoch its epoch;
// CodeFenced where the client names an id or epoch that is not the present one.
type InitTxn struct {
	ID       string
	Producer ProducerID // the client's present one (KIP-360); NoProducer: none
	Epoch    ProducerEpoch
	Timeout  UnixMilli // a length of time
}

// AddToTxn makes partitions and groups part of the transaction, begun where
// none is under way. Outcome.Value is the transaction's start revision.
type AddToTxn struct {
	ID         string
	Producer   ProducerID
	Epoch      ProducerEpoch
	Partitions []TopicPartition
	Groups     []string
}

// TxnOffsets stores positions of a group that become visible with the commit,
// under the epoch of the group's slot.
type TxnOffsets struct {
	ID       string
	Producer ProducerID
	Epoch    ProducerEpoch
	Group    string
	Slot     RoleEpoch
	Implicit bool // V2: the group becomes part of the transaction by this
	Offsets  []OffsetCommit
}

// EndTxn commits or aborts a transaction. Outcome: Value and Epoch are the
// producer id and epoch to go on with.
type EndTxn struct {
	ID       string
	Producer ProducerID
	Epoch    ProducerEpoch
	Commit   bool
	Bump     bool     // V2: the epoch rises with every transaction
	Start    Revision // V1: of the transaction that was under way when the request came; 0: none
}

// AbortTxn aborts the transaction that began at Start: one that has outlived
// its timeout in state time, or any where Forced. Its producer is fenced.
type AbortTxn struct {
	ID     string
	Start  Revision
	Forced bool
}

// Kind implements Command.
func (InitTxn) Kind() CommandKind    { return KindInitTxn }
func (AddToTxn) Kind() CommandKind   { return KindAddToTxn }
func (TxnOffsets) Kind() CommandKind { return KindTxnOffsets }
func (EndTxn) Kind() CommandKind     { return KindEndTxn }
func (AbortTxn) Kind() CommandKind   { return KindAbortTxn }
