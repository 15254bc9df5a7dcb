package main

// checkpointFixes: checkpoints that wrote again what did not change, or read what
// was not meant.
func checkpointFixes() []mutant {
	const pkg, load, chunks, live = "./metadata", "metadata/checkpoint_load.go", "WrongChunks", "CheckpointedSpans"
	return []mutant{
		{name: "a missing chunk of spans is not missed", pkg: pkg, run: chunks, edits: []edit{{load,
			"	case c.first+uint64(len(c.pages)) < to:\n", "	case false:\n"}}},
		{name: "what is missing of a chunk is not missed", pkg: pkg, run: chunks, edits: []edit{{load,
			"		if c.trimmed > dead {\n", "		if c.trimmed > spanChunk {\n"}}},
		{name: "chunks may be in each other's place", pkg: pkg, run: chunks, edits: []edit{{load,
			"begin < end {", "begin < end && begin < 0 {"}}},
		{name: "a chunk that was trimmed in part brings dead spans back", pkg: pkg, run: "StayAway", edits: []edit{{load,
			"p.spans, p.trimmedSpans = c.spans[dead:], int(dead)", "p.spans, p.trimmedSpans = c.spans, int(dead-dead)"}}},
		{name: "a loaded partition keeps more dead spans than live ones", pkg: pkg, run: live, edits: []edit{{load,
			"int(dead); p.trimmedSpans > len(p.spans) {", "int(dead); p.trimmedSpans > spanChunk {"}}},
		{name: "trimmed spans are not counted", pkg: pkg, run: live, edits: []edit{{"metadata/releases.go",
			"p.firstSpan+uint64(n)\n", "p.firstSpan+uint64(n-n)\n"}}},
		{name: "every chunk of a changed partition is written again", pkg: pkg, run: "TailsOfBusy", edits: []edit{{"metadata/checkpoint.go",
			"n >= old.first && n < old.end() {", "n >= old.first && n < old.first {"}}},
		{name: "chunks of a topic's former partition are taken for its own", pkg: pkg, run: "CreatedAgain", edits: []edit{{"metadata/checkpoint.go",
			"	if !found || list[i].created != created {", "	if !found {"}}},
		{name: "pages of a replaced state are referred to", pkg: pkg, run: live, edits: []edit{{"metadata/checkpoint.go",
			"	if c.lineage != s.lineage || c.stored", "	if c.stored"}}},
		{name: "objects that are mostly dead are kept", pkg: pkg, run: "RewritingCosts", edits: []edit{{"metadata/checkpoint_plan.go",
			"2*o.referenced < o.size {", "o.referenced == 0 {"}}},
		{name: "small objects of checkpoints are kept", pkg: pkg, run: "ObjectsAreFew", edits: []edit{{"metadata/checkpoint_plan.go",
			"(objects[kept[0]].referenced <= written || ", "("}}},
		{name: "checkpoints of another version are read", pkg: pkg, run: "NotTheOnesMeant", edits: []edit{{"metadata/checkpoint_index.go",
			"v != checkpointVersion {", "v > checkpointVersion {"}}},
	}
}
