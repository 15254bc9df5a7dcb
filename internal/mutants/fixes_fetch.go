package main

// fetchFixes: Fetch, memory of requests, and limits.
func fetchFixes() []mutant {
	return []mutant{
		{name: "a fetch answer exceeds its limit threefold", pkg: "./broker", run: "TestFetchNeverExceedsItsLimits", edits: []edit{{"broker/fetch_read.go",
			"st.SpanBytes(p.tp, p.offset, p.end, s3stream.MaxReadSpans, most))", "st.SpanBytes(p.tp, p.offset, p.end, 8, most))"}, {"broker/fetch_read.go",
			"f.readOne(ctx, p, int(p.plan), false)\n			}\n", "f.readOne(ctx, p, int(max(p.maxBytes, 0)), false)\n			}\n"}}},
		{name: "a lagging partition waits for others to be served twice", pkg: "./broker", run: "TestLaggingPartitionsAllGetOn", edits: []edit{{"broker/fetch_read.go",
			"if full = most > limit-sum; full && i > 0 {", "if full = most > limit-sum; false && i > 0 {"}}},
		{name: "fetches under way count against no limit", pkg: "./broker", run: "TestFetchesStayWithinTheMemoryForAnswers", edits: []edit{{"broker/fetch_read.go",
			"		want = smallBytes\n", "		return want\n"}}},
		{name: "a consumer below a gap is answered at once, for ever", pkg: "./broker", run: "TestAConsumerBelowAGapWaits", edits: []edit{{"broker/01_fetch.go",
			"	return st.SpanBytes(p.tp, p.offset, p.end, s3stream.MaxReadSpans, enough)", "	return max(st.SpanBytes(p.tp, p.offset, p.end, s3stream.MaxReadSpans, enough), 1)"}}},
	}
}
