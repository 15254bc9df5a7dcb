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
		{name: "a hung member is waited for", pkg: "./metadata/etcdlog", run: "AnIllMemberIsGivenUp", edits: []edit{{"metadata/etcdlog/members_judge.go",
			"switch givenUp := seen[current].failed || since >= patience;", "switch givenUp := seen[current].failed || since >= 20*patience;"}}},
		{name: "watches stay at a member that is given up", pkg: "./metadata/etcdlog", run: "AnIllMemberIsGivenUp", edits: []edit{{"metadata/etcdlog/members.go",
			"f.member == m.current && (f.watch || givenUp)", "f.member == m.current && (!f.watch && givenUp)"}}},
		{name: "what is on its way stays at a member that is given up", pkg: "./metadata/etcdlog", run: "AnIllMemberIsGivenUp", edits: []edit{{"metadata/etcdlog/members.go",
			"f.member == m.current && (f.watch || givenUp)", "f.member == m.current && f.watch"}}},
		{name: "a member with a stalled disk is taken for well", pkg: "./metadata/etcdlog", run: "AnIllMemberIsGivenUp", edits: []edit{{"metadata/etcdlog/members_run.go",
			"_, err := c.Range(ctx, &rangeReq{Key: []byte(Root), KeysOnly: true})\n	return err", "return c.Alive(ctx)"}}},
		{name: "a member is left for slow commits", pkg: "./metadata/etcdlog", run: "NotLeftForTheClustersTroubles", edits: []edit{
			{"metadata/etcdlog/members_judge.go", "case s.order > 0 && i == current:\n			return current, true\n		case s.order > 0 && (best", "case s.order > 0 && i != current && (best"},
			{"metadata/etcdlog/members_judge.go", "switch givenUp := seen[current].failed || since >= patience;", "switch givenUp := since > 0 || patience > 0;"}}},
		{name: "a member that is well again is not used again", pkg: "./metadata/etcdlog", run: "AnIllMemberIsGivenUp", edits: []edit{{"metadata/etcdlog/members_run.go",
			"	case away:\n", "	case away && g.home.needs == 0:\n"}}},
		{name: "a member is used again at once, however often it falls ill", pkg: "./metadata/etcdlog", run: "AgainAndAgain", edits: []edit{{"metadata/etcdlog/members_judge.go",
			"h.needs = min(2*h.needs, homeAfterMost)", "h.needs = homeAfter"}}},
		{name: "the route names a member that is not used", pkg: "./cmd/zonewise", run: "TheRouteTells", edits: []edit{{"cmd/zonewise/topology.go",
			"p.route.Member = z\n", "_ = z\n"}}},
	}
}
