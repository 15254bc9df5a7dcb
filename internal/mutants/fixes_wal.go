package main

// walFixes: uploads, budgets and the object store.
func walFixes() []mutant {
	return []mutant{
		{name: "late is learned from whole calls", pkg: "./s3stream/hedge", run: "OnlySingleRequests", edits: []edit{{"s3stream/hedge/try.go",
			"	took := time.Since(t.since)\n",
			"	took := time.Since(t.begun)\n"}}},
		{name: "a request may be waited for longer than MaxWait", pkg: "./s3stream/hedge", run: "LateIsTheRecentP99", edits: []edit{{"s3stream/hedge/pace.go",
			"return min(max(known[len(known)*99/100], minWait), MaxWait)",
			"return max(known[len(known)*99/100], minWait)"}}},
		{name: "losers hold permits", pkg: "./wal", run: "LosersTakeNoPermits", edits: []edit{{"s3stream/hedge/race.go",
			"	use := max(0, len(g.live)-1)\n	if g.decided {\n		use = 0\n	}\n",
			"	use := len(g.live)\n"}}},
		{name: "a permit is used without another look", pkg: "./s3stream/hedge", run: "IsLookedAtAgain", edits: []edit{{"s3stream/hedge/race.go",
			"	if in, ok := g.lateIn(); !ok || in > 0 {\n		g.leave()\n		return\n	}\n", ""}}},
		{name: "no third name", pkg: "./wal", run: "HangingPUTs", edits: []edit{{"s3stream/hedge/hedger.go",
			"MaxTries = 3", "MaxTries = 2"}}},
		{name: "a loser is retried", pkg: "./s3stream/hedge", run: "AFailureThatIsAnswered", edits: []edit{
			{"s3stream/hedge/try.go", "	} else if lost {\n		t.cancel()\n	}\n", "	}\n"},
			{"s3stream/hedge/try.go", "	lost := t.lost\n	t.mu.Unlock()\n	if ok", "	t.mu.Unlock()\n	if ok"},
			{"s3stream/hedge/try.go", "	case lost:\n		t.cancel()\n", ""},
			{"s3stream/hedge/try.go", "	lost, failed, answered := t.lost, t.failed, t.answered", "	failed, answered := t.failed, t.answered"}}},
		{name: "GETs are not hedged", pkg: "./s3stream", run: "HangingGETs", edits: []edit{{"s3stream/hedge/gets.go",
			"if size <= 0 || size > maxGet ||", "if size >= 0 || size > maxGet ||"}}},
		{name: "a GET answered after its race is lost to the bill", pkg: "./s3stream", run: "HangingGETs", edits: []edit{{"s3stream/fetch.go",
			"a.Billable() && !g.answered() {\n			s.unused(1)\n", "a.Billable() && !g.answered() {\n"}}},
		{name: "a GET that compares an upload is lost to the bill", pkg: "./s3stream", run: "Followers", edits: []edit{{"s3stream/store.go",
			"		default:\n			s.unused(1)\n", "		default:\n"}}},
		{name: "bodies of losers in the tail cache", pkg: "./s3stream", run: "KeepsNoLosers", edits: []edit{{"s3stream/store.go",
			"if !hedge.Lost(ctx) {", "if true || hedge.Lost(ctx) {"}}},
	}
}
