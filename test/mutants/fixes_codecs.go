package main

// codecFixes: compressed batches that were not judged as Kafka does.
func codecFixes() []mutant {
	const pkg, gzip, snappy, lz4 = "./broker", "TestGzipIsTaken", "TestSnappyIsRead", "TestLZ4IsTaken"
	return []mutant{
		{name: "a long name in a header of gzip is refused", pkg: pkg, run: gzip, edits: []edit{{"broker/codec_gzip.go",
			"		n := bytes.IndexByte(in[at:], 0)\n", "		n := bytes.IndexByte(in[at:min(at+512, len(in))], 0)\n"}}},
		{name: "a header of gzip is hashed without its reserved flags", pkg: pkg, run: gzip, edits: []edit{{"broker/codec_gzip.go",
			"uint16(crc32.ChecksumIEEE(in[:at]))", "uint16(crc32.ChecksumIEEE(append([]byte{in[0], in[1], in[2], flags & 0x1f}, in[4:at]...)))"}}},
		{name: "what is behind a member does not depend on Java's buffer", pkg: pkg, run: "TestWhatIsBehindAMember", edits: []edit{{"broker/codec_gzip.go",
			"	return max(g.filled, end+gzipTrailerBytes) < len(g.in) || g.filled-end >", "	return len(g.in)-end >"}}},
		{name: "S2 is taken for snappy", pkg: pkg, run: snappy, edits: []edit{{"broker/codec_snappy.go",
			"snappy.DecodeStrict(", "snappy.Decode("}}},
		{name: "a later header of snappy may have any version", pkg: pkg, run: snappy, edits: []edit{{"broker/codec_snappy.go",
			") < xerialOldest:", ") < -xerialOldest:"}}},
		{name: "another header behind snappy is a chunk", pkg: pkg, run: snappy, edits: []edit{{"broker/codec_snappy.go",
			"		case !hasXerialHeader(s.in):\n			return true, nil\n", "		case !hasXerialHeader(s.in):\n			return false, nil\n"}}},
		{name: "a block of lz4 ends as it likes", pkg: pkg, run: lz4, edits: []edit{{"broker/codec_lz4.go",
			"	if !hasValidLZ4End(block) {\n", "	if false && !hasValidLZ4End(block) {\n"}}},
		{name: "a block of lz4 may stand behind an empty one", pkg: pkg, run: lz4, edits: []edit{{"broker/codec_lz4.go",
			"	case z.empty:\n", "	case false:\n"}}},
		{name: "an empty plain block ends a frame of lz4", pkg: pkg, run: lz4, edits: []edit{{"broker/codec_lz4.go",
			"	case head == 0:\n", "	case size == 0:\n"}}},
		{name: "the checksum of lz4's content is not checked", pkg: pkg, run: lz4, edits: []edit{{"broker/codec_lz4.go",
			"		if binary.LittleEndian.Uint32(z.in) != z.sum.Sum() {\n", "		if false {\n"}}},
		{name: "the size of lz4's content is not checked", pkg: pkg, run: lz4, edits: []edit{{"broker/codec_lz4.go",
			" && z.size != z.total {", " && z.size == z.total+1<<60 {"}}},
	}
}
