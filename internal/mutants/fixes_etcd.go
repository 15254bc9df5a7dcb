package main

// etcdFixes: the etcd client, sessions and roles.
func etcdFixes() []mutant {
	return []mutant{
		{name: "a clock read before the log paused is said to be off", pkg: "./metadata", run: "APauseOfTheLog", edits: []edit{{"metadata/custodian.go",
			"	live, _, err := c.cfg.Keeper.Sessions(ctx)\n	if err != nil {\n		return err\n	}\n	now := time.Now()\n",
			"	now := time.Now()\n	live, _, err := c.cfg.Keeper.Sessions(ctx)\n	if err != nil {\n		return err\n	}\n"}}},
		{name: "clocks published before the log paused are taken for new", pkg: "./metadata", run: "APauseOfTheLog", edits: []edit{{"metadata/custodian_clock.go",
			"			early := late - UnixMilli(now.Sub(at).Milliseconds())\n", "			early := late - 0*UnixMilli(now.Sub(at).Milliseconds())\n"}}},
		{name: "a commit carries what only a failure needs", pkg: "./metadata/etcdlog", run: "ACommitsProposal", edits: []edit{{"metadata/etcdlog/append.go",
			"return &txnReq{Compare: own, Success: write(a.r.Bytes)}, nil", "return &txnReq{Compare: own, Success: write(a.r.Bytes), Failure: append(l.standingOps(), get(key), get(a.s.key))}, nil"}}},
		{name: "a role that is held is proposed again", pkg: "./metadata/etcdlog", run: "WhatIsAskedAgain", edits: []edit{{"metadata/etcdlog/duty.go",
			"if err == nil && free {", "if err == nil && (free || true) {"}}},
		{name: "what is truncated is truncated again", pkg: "./metadata/etcdlog", run: "WhatIsAskedAgain", edits: []edit{{"metadata/etcdlog/keeper.go",
			"if err == nil && st.truncated < g {", "if err == nil && st.truncated <= g {"}}},
		{name: "sessions are kept for ever", pkg: "./metadata/etcdlog", run: "ClosedSessionsAreForgotten", edits: []edit{{"metadata/etcdlog/session.go",
			"bool { return o.closed })", "bool { return o.closed && false })"}}},
	}
}
