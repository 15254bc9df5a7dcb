package main

// verifyMutants: a verification that overlooks a fault, or calls the cluster's
// movement one.
func verifyMutants() []mutant {
	const pkg, compare, settle, wal = "./internal/verify", "internal/verify/compare.go", "internal/verify/settle.go", "internal/verify/deep_wal.go"
	return []mutant{
		{name: "verify: sizes are not compared", pkg: pkg, run: "WALObject", edits: []edit{{compare,
			"	case o.Size != 0 && o.Size != l.size:\n", "	case o.Size == 0 && l.size > 0:\n"}}},
		{name: "verify: what the listing lacks is missing", pkg: pkg, run: "Moves|Late", edits: []edit{{compare,
			`Missing, "not in the bucket", true`, `Missing, "not in the bucket", false`}}},
		{name: "verify: what died meanwhile is missing", pkg: pkg, run: "DeletedDuring", edits: []edit{{settle,
			"	return named[s.Key] == Live // else", "	return true // else"}}},
		{name: "verify: what was deleted meanwhile is an orphan", pkg: pkg, run: "Moves", edits: []edit{{settle,
			"			s.status = gone\n", "			s.what = string(gone)\n"}}},
		{name: "verify: suspects are judged by a state that is older than the look at them", pkg: pkg, run: "DeletedDuring|DeletedWhenItIsLookedFor", edits: []edit{{settle,
			"	if w.newer, err = w.readLog(ctx); err != nil {\n		return err\n	}\n", ""}, {settle,
			"	if err := w.forEach(ctx, len(list), func", "	if w.newer, err = w.readLog(ctx); err != nil {\n		return err\n	}\n	if err := w.forEach(ctx, len(list), func"}}},
		{name: "verify: leftovers wait for ever", pkg: pkg, run: "JudgedByItsSession", edits: []edit{{compare,
			"	case found && overdue <= w.cfg.LeftoverGrace:\n", "	case found:\n"}}},
		{name: "verify: a search that has passed finds what comes later", pkg: pkg, run: "JudgedByItsSession|PassedOver", edits: []edit{{"internal/verify/log_view.go",
			"	return p, ok && key > p.After\n", "	return p, ok\n"}}},
		{name: "verify: in use and dead is dead", pkg: pkg, run: "InUseThatIsDead", edits: []edit{{compare,
			"		if o.Dead != (l.named == Dead) {\n", "		if !o.Dead && l.named == Dead {\n"}}},
		{name: "verify: batches are not checked", pkg: pkg, run: "WALObject", edits: []edit{{wal,
			"		if b.Position != at || b.Fault != \"\" || ", "		if b.Position != at || "}}},
		{name: "verify: another object's bytes do", pkg: pkg, run: "UnderAnothersName", edits: []edit{{wal,
			"	other := err == nil && d.Name != name //", "	other := err == nil && d.Name.IsZero() //"}}},
		{name: "verify: an archive's digest is its own", pkg: pkg, run: "CheckArchive", edits: []edit{{"internal/verify/deep.go",
			"	case a.Digest != want.Digest:\n", "	case a.Digest != a.Digest:\n"}}},
		{name: "verify: a damaged transfer is damage", pkg: pkg, run: "FaultsOfTheStore", edits: []edit{{"internal/verify/deep.go",
			"const maxReads = 3\n", "const maxReads = 1\n"}}},
		{name: "verify: an object of unknown age is old", pkg: pkg, run: "UnknownAge", edits: []edit{{settle,
			"return s.awaited })", "return s.awaited && s.modified > 0 })"}}},
	}
}
