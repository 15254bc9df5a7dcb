package main

const cmd = "./cmd/zonewise"

// coreFixes: the core: recovery, hand-over, accounting.
func coreFixes() []mutant {
	return []mutant{
		{name: "a file of the HTTP listener that is no good is passed over", pkg: cmd, run: "AFileThatIsNoGood|WithoutItsTokenFile", edits: []edit{{"cmd/zonewise/broker.go",
			"	if f.http, err = o.httpDoor.load(); err != nil {\n		return nil, err\n	}\n", "	f.http, _ = o.httpDoor.load()\n"}}},
		{name: "files are read without flag and remedy", pkg: cmd, run: "AFileThatIsNoGood", edits: []edit{{"cmd/zonewise/files.go",
			"return fmt.Errorf(\"read --%s %s: %w; %s\", f.flag, f.path, err, remedy)", "return errors.Join(err, errors.New(remedy))"}}},
		{name: "a bucket folder that is not there is made by who reads it", pkg: cmd, run: "ABucketFolder", edits: []edit{{"cmd/zonewise/options.go",
			"if where != \"\" && !strings.HasPrefix(where, \"s3:\")", "if where == \"s3\" && !strings.HasPrefix(where, \"s3:\")"}}},
	}
}
