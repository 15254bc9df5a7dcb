package main

// configFixes: descriptions of configs, and their validation.
func configFixes() []mutant {
	return []mutant{
		{name: "a broker returns Kafka's defaults as its own values", pkg: "./broker", run: "TestABrokerTellsItsOwnValues|TestConfigsSayWhat", edits: []edit{{"broker/config_broker.go",
			"		if k := &table[i]; k.value != nil {", "		if k := &table[i]; k.value != nil && k.Default == nil {"}}},
		{name: "a broker reports its own zone for every other broker", pkg: "./broker", run: "TestABrokerTellsOfOthers", edits: []edit{{"broker/config_broker.go",
			"		set(string(rack), \"broker.rack\")", "		set(string(s.cfg.Zone), \"broker.rack\")\n		_ = rack"}}},
		{name: "threads grow to any number at once", pkg: "./broker", run: "TestSettingsOfBrokers", edits: []edit{{"broker/config_broker_check.go",
			"	case now > old*2:\n		return fmt.Sprintf(\"Dynamic", "	case now > old*2000:\n		return fmt.Sprintf(\"Dynamic"}}},
		{name: "settings of one broker are taken for all", pkg: "./broker", run: "TestSettingsOfBrokers", edits: []edit{{"broker/config_broker_check.go",
			"	case forAll && k.Mode == configs.PerBroker:", "	case forAll && k.Mode == configs.PerBroker && k.PerListener:"}}},
		{name: "a topic without a policy refuses DeleteRecords", pkg: "./broker", run: "TestRulesOfBatchesComeFromTheTable", edits: []edit{{"broker/config_rules.go",
			"	r.refusesTrim = r.batch.compacted && !slices.Contains(policy, \"delete\")", "	r.refusesTrim = !slices.Contains(policy, \"delete\")"}}},
		{name: "a topic to be compacted is created without a word", pkg: "./broker", run: "TestTopicsAreCreatedGrown", edits: []edit{{"broker/19_create_topics.go",
			"			rt.ErrorMessage = s.unenforcedPolicy(cmd.Configs)\n", ""}}},
		{name: "max.connections is returned and not enforced", pkg: "./broker", run: "TestMaxConnections", edits: []edit{{"broker/server.go",
			"	limit := s.connectionLimit()", "	limit := MaxConnections"}}},
	}
}
