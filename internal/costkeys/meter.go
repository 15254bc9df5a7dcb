package costkeys

// MeterID names what the provider charges for, as price books do.
type MeterID string

// The meters of this version. A price book must have the first six; the
// Express meters (s3x) are used by estimates only.
const (
	MeterPut        MeterID = "s3.put"
	MeterGet        MeterID = "s3.get"
	MeterList       MeterID = "s3.list"
	MeterDelete     MeterID = "s3.delete"
	MeterStorage    MeterID = "s3.storage.standard"
	MeterTransfer   MeterID = "zone.transfer"
	MeterXPut       MeterID = "s3x.put"
	MeterXGet       MeterID = "s3x.get"
	MeterXUpload    MeterID = "s3x.upload"
	MeterXRetrieval MeterID = "s3x.retrieval"
	MeterXStorage   MeterID = "s3x.storage"
)

// RequiredMeters returns the meters that every price book must have.
func RequiredMeters() []MeterID {
	return []MeterID{MeterPut, MeterGet, MeterList, MeterDelete, MeterStorage, MeterTransfer}
}
