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
		{name: "requests decoded before they are measured", pkg: "./broker", run: "TestBadFrames|TestEveryArray|TestNull|TestHostile", edits: []edit{{"broker/admit.go",
			"	if size, err = r.api.shapes[r.version].Measure(r.body); err != nil {", "	if size, err = r.api.shapes[r.version].Measure(r.body); err != nil && false {"}}},
		{name: "arrays of more than a million elements taken", pkg: "./broker/schema", run: "TestMeasureRefuses", edits: []edit{{"broker/schema/measure.go",
			"	case n > MaxArrayLength:", "	case n > 8*MaxArrayLength:"}}},
		{name: "small requests wait for the memory of large ones", pkg: "./broker", run: "TestSmallRequests", edits: []edit{{"broker/memory.go",
			"	if n <= smallBytes {", "	if n <= 16 {"}}},
		{name: "a client that does not read keeps memory from others", pkg: "./broker", run: "TestAClientThatDoesNotRead", edits: []edit{{"broker/relief.go",
			"if waited >= reliefAfter && worst != nil {", "if waited >= time.Hour && worst != nil {"}}},
		{name: "heavy work goes on without its client", pkg: "./broker", run: "TestHeavyWorkEnds", edits: []edit{{"broker/relief.go",
			"			if clientGone(c.net.Conn) {", "			if clientGone(nil) {"}}},
		{name: "waiting fetches hold their frames", pkg: "./broker", run: "TestWaitingRequestsHold", edits: []edit{{"broker/01_fetch.go",
			"		r.freeFrame()\n", ""}}},
		{name: "waiting joins hold their frames", pkg: "./broker", run: "TestWaitingRequestsHold", edits: []edit{{"broker/api.go",
			"			r.freeFrame()\n", ""}}},
		{name: "fetches wait though there is no memory for them", pkg: "./broker", run: "TestWithoutMemoryFetches", edits: []edit{{"broker/01_fetch.go",
			"	if f.count(); waits {", "	if f.count(); waits || true {"}}},
		{name: "alterations of many resources compared with each other", pkg: "./broker", run: "TestHostile", edits: []edit{{"broker/config_alter.go",
			"		if times[a.ref()] > 1 {", "		n := 0\n		for j := range all {\n			if all[j].ref() == a.ref() {\n				n++\n			}\n		}\n		if n > 1 || times[a.ref()] > 1 {"}}},
		{name: "groups to delete compared with each other", pkg: "./broker", run: "TestHostile", edits: []edit{{"broker/groups/admin.go",
			"		if named[name] {", "		n := 0\n		for _, other := range r.Groups {\n			if other == name {\n				n++\n			}\n		}\n		if named[name] || n > len(r.Groups) {"}}},
	}
}
