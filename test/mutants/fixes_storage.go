package main

// storageFixes: retention and what is written in vain.
func storageFixes() []mutant {
	const pkg = "./metadata"
	return []mutant{
		{name: "a size that was set before is not enforced", pkg: pkg, run: "ASizeThatComesBack", edits: []edit{{"metadata/maintenance_retention.go",
			"		p.scanned[id] = bytes\n		return due, false\n", "		return due, false\n"}}},
		{name: "objects of an entry without parts are forgotten", pkg: pkg, run: "WithoutRecords", edits: []edit{{"metadata/apply_produce.go",
			"	if len(e.Parts) == 0 && len(e.Objects) == 0 {\n", "	if len(e.Parts) == 0 {\n"}}},
		{name: "an archive of a lost role is not abandoned", pkg: pkg, run: "InVain", edits: []edit{{"metadata/maintenance_archive.go",
			"		return false, errors.Join(err, c.abandon(ctx, written))\n", "		return false, err\n"}}},
		{name: "an archive that cannot be read back is not abandoned", pkg: pkg, run: "ReadBackIsDead", edits: []edit{{"metadata/maintenance_archive.go",
			"return false, errors.Join(fmt.Errorf(\"read archive %s back: %w\", key, err), c.abandon(ctx, written))", "return false, fmt.Errorf(\"read archive %s back: %w\", key, err)"}}},
		{name: "a checkpoint whose record fails is not abandoned", pkg: pkg, run: "RecordFails", edits: []edit{{"metadata/maintenance_checkpoint.go",
			"		return errors.Join(err, c.abandon(ctx, written))\n	}\n	if out.Code", "		return err\n	}\n	if out.Code"}}},
	}
}
