package main

// etcdFixes: the etcd client, sessions and roles.
func etcdFixes() []mutant {
	return []mutant{
		{name: "a clock read before the log paused is said to be off", pkg: "./metadata", run: "APauseOfTheLog", edits: []edit{{"metadata/custodian.go",
			"	live, _, err := c.cfg.Keeper.Sessions(ctx)\n	if err != nil {\n		return err\n	}\n	now := time.Now()\n",
			"	now := time.Now()\n	live, _, err := c.cfg.Keeper.Sessions(ctx)\n	if err != nil {\n		return err\n	}\n"}}},
		{name: "clocks published before the log paused are taken for new", pkg: "./metadata", run: "APauseOfTheLog", edits: []edit{{"metadata/custodian_clock.go",
			"			early := late - UnixMilli(now.Sub(at).Milliseconds())\n", "			early := late - 0*UnixMilli(now.Sub(at).Milliseconds())\n"}}},
	}
}
