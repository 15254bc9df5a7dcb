package framing

// RefusedOnPurpose reports whether zonewise may refuse a case that Apache Kafka
// takes. Kafka's decoder does not look at what tells there that the content is
// damaged, or is one that another reader does not have; at least two of Java,
// librdkafka and franz-go stop at such a batch, or franz-go does and no packer
// writes it. docs/compatibility-notes.md has what each reader does.
func (c Case) RefusedOnPurpose() bool {
	return c.Has([...][]string{
		Gzip:   nil,
		Snappy: {"flipped", "another magic"},
		LZ4: {"flipped", "a wrong checksum of the content", "a wrong size of the content", "a match at offset 0", "an empty packed block",
			"an empty plain block"},
		Zstd: {"flipped", "cut", "half a frame behind it", "half a skippable frame behind it", "bytes behind it", "no last block",
			"an empty packed block", "blocks that are too large", "a window beyond 128 MiB", "a window that is too small", "a wrong size of the content"},
	}[c.Codec]...)
}

// UnreadBy reports whether a reader is known to stop at a case that Apache Kafka
// takes, and zonewise with it.
func (c Case) UnreadBy(reader string) bool {
	return c.Has(map[string][5][]string{
		"librdkafka": {
			Gzip:   {"several members", "reserved flags", "flipped"},
			Snappy: {"a header between chunks", "a header behind it", "half a header behind it", "half a chunk behind it", "bytes behind it", "flipped", "cut"},
			LZ4:    {"a frame behind it", "several frames", "bytes behind it", "a skippable frame last", "flipped"},
		},
		"franz-go": {
			Gzip: {"bytes behind it", "reserved flags", "long name", "long comment", "flipped",
				"another magic", "another method", "a wrong checksum of the header"}, // of a later member
			Snappy: {"a header between chunks", "a header behind it", "half a header behind it", "half a chunk behind it", "bytes behind it", "flipped", "cut"},
			LZ4:    {"a frame behind it", "several frames", "bytes behind it", "flipped"},
		},
	}[reader][c.Codec]...)
}
