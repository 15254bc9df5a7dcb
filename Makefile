# zonewise. `make` lists the targets.
GO ?= go
BIN := bin/zonewise
VERSION ?= $(shell git describe --always --dirty 2>/dev/null)
PKGS := ./...
SEEDS ?= 40

.DEFAULT_GOAL := help
SUITE_REPORT ?= docs/compatibility.md

.PHONY: nightly soak soak-large soak-steady suite-kgo suite-kafka-go suite-kafka-python suite-confluent-python suite-aiokafka suite-kafkajs suite-confluent-go suite-sarama suite-mains suite-junit suite-lists suite-differential kafka-configs help build run demo test race lint sim mutants fixes bench bench-smoke bench-kafka bench-service integration clients fuzz check suite-librdkafka

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build bin/zonewise
	@mkdir -p bin
	$(GO) build -ldflags "-X main.builtFrom=$(VERSION)" -o $(BIN) ./cmd/zonewise

run: build ## three zones in one process, on an embedded etcd and a directory as bucket (data/dev)
	$(BIN) dev --data-dir data/dev

demo: build ## run, with a modest stream of sample traffic
	$(BIN) dev --data-dir data/demo --demo

test: ## every test that needs nothing but Go
	ZONEWISE_SIM_SEEDS=$(SEEDS) $(GO) test $(PKGS)

nightly: ## what is too long for a submission: 5,000 seeds, every breakage and fix, the race detector, soaks, other clients' suites; commit what it writes into docs
	$(MAKE) sim
	$(MAKE) race
	$(MAKE) mutants
	$(MAKE) fixes
	SOAK_DURATION=30m $(MAKE) soak
	$(MAKE) soak-large
	$(MAKE) soak-steady
	$(MAKE) suite-kgo
	$(MAKE) suite-librdkafka
	$(MAKE) suite-differential

race: ## the same under the race detector
	ZONEWISE_SIM_SEEDS=8 $(GO) test -race $(PKGS)

lint: ## gofmt, go vet, staticcheck
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet -tags nextlevel ./metadata ./internal/node
	$(GO) vet -tags integration,clients,performance,external,differential,soak $(PKGS)
	$(GO) tool staticcheck $(PKGS)

sim: ## 5,000 simulation seeds, resumable; the result goes to docs/correctness.md
	$(GO) run ./test/sim/cmd/manyseeds -seeds 5000 -state data/sim.state -report docs/correctness.md

mutants: ## apply each deliberate breakage and see it caught
	$(GO) run ./test/mutants

fixes: ## take each fix of docs/bugs.md out again and see its test fail
	$(GO) run ./test/mutants -fixes

# Packages that have benchmarks, found anew each time: none is left out.
BENCH_PKGS = $$(grep -rl --include='*_test.go' '^func Benchmark' . | grep -v /testdata/ | xargs -n1 dirname | sort -u)
BENCHTIME ?= 1s
bench: ## Go benchmarks of all packages (BENCHTIME)
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(BENCH_PKGS)

bench-smoke: ## every benchmark once: do they still run
	$(MAKE) bench BENCHTIME=1x

bench-kafka: ## zonewise and Apache Kafka 4.4.0 (from Maven jars) in turn on this machine; the table goes to docs/benchmarks.md
	ZONEWISE_REPORT=docs/benchmarks.md $(GO) test -tags performance -count=1 -timeout 60m -v -run 'TestAgainstKafka|TestOneProducer|TestInlineBound|BesideKafka' ./test/suites/performance

bench-service: ## latency, the log's care and etcd's size with real processes; the figures go to docs/benchmarks.md
	ZONEWISE_REPORT=docs/benchmarks.md $(GO) test -tags performance -count=1 -timeout 60m -v -skip 'TestAgainstKafka|TestOneProducer|TestInlineBound|BesideKafka' ./test/suites/performance

integration: ## real etcd processes, a real S3 server, network namespaces (RUN: tests)
	$(GO) test -tags integration -count=1 -timeout 30m -run '$(RUN)' ./s3stream/bucket/s3 ./test/suites/integration

soak: ## small limits and a broker killed every 20 s; etcd lost under load and recovered (SOAK_DURATION of load: 2m and 1m; RUN: tests)
	$(GO) test -tags soak -count=1 -v -timeout 150m -run '$(or $(RUN),TestSoakWithKills|TestDisasterDrill)' ./test/suites/soak

soak-large: ## a topic of SOAK_BYTES (2 GiB) deleted, and the records of 300 partitions that were filled for SOAK_DURATION (1m)
	$(GO) test -tags soak -count=1 -v -timeout 150m -run TestLargeDeletions ./test/suites/soak

soak-steady: ## bucket, etcd, checkpoint and memory do not grow, under load and idle (SOAK_DURATION, 60m each; SOAK_REPORT=docs/benchmarks.md writes there); samples and plots: data/soak
	SOAK_DURATION=$${SOAK_DURATION:-60m} $(GO) test -tags soak -count=1 -v -timeout 180m -run '$(or $(RUN),TestSteady)' ./test/suites/soak

clients: ## Kafka clients of other languages and the Kafka tools, against three zones (FRAMINGS=N, FRAMINGS_SEED=S: framings of compressed batches; PURGE_DURATION=10m: Kafka Streams purges for long)
	$(GO) test -tags clients -count=1 -v -parallel 2 -timeout 40m ./test/suites/clients

suite-kgo: ## franz-go's own tests against three zones (SUITE_RECORDS, SUITE_CHAOS, SUITE_RUN, SUITE_COUNT; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestKgo$$' ./test/suites/external

suite-kafka-go: ## segmentio/kafka-go's tests against one broker at localhost:9092 (SUITE_RUN; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestKafkaGo$$' ./test/suites/external

suite-kafka-python: ## kafka-python's integration tests against three zones (SUITE_RUN, as pytest -k; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestKafkaPython$$' ./test/suites/external

suite-librdkafka: ## librdkafka's test-runner, both group protocols (SUITE_PROTOCOL=classic, SUITE_RUN=0103, SUITE_OUTPUT)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 120m -run 'TestLibrdkafka$$' ./test/suites/external

suite-confluent-python: ## confluent-kafka-python's integration tests, both group protocols (SUITE_PROTOCOL, SUITE_RUN; SUITE_SOURCES: a clone of its repository)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 90m -run 'TestConfluentPython$$' ./test/suites/external

suite-aiokafka: ## aiokafka's tests against three zones (SUITE_RUN, as pytest -k; SUITE_SOURCES: a clone of its repository; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestAiokafka$$' ./test/suites/external

suite-kafkajs: ## kafkajs' tests of broker, admin, producer, consumer and cluster against three zones (SUITE_RUN: files; SUITE_SOURCES: a clone; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestKafkajs$$' ./test/suites/external

suite-confluent-go: ## confluent-kafka-go's integration tests, both group protocols (SUITE_PROTOCOL, SUITE_RUN; SUITE_SOURCES: a clone; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestConfluentGo$$' ./test/suites/external

suite-sarama: ## Sarama's functional tests against five brokers behind toxiproxy (SUITE_RUN; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 90m -run 'TestSarama$$' ./test/suites/external

DURATION ?= 2m
suite-differential: ## zonewise beside Apache Kafka 4.4.0, request by request (DURATION=1h for long); writes docs/compatibility.md
	DURATION=$(DURATION) SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags differential -count=1 -v -timeout 120m ./test/suites/differential

suite-mains: ## programs of Apache Kafka's own system tests: Streams exactly once with kill -9, verifiable clients, copiers (SUITE_DURATION, SUITE_RUN=Connect,MirrorMaker)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestMains$$' ./test/suites/external

suite-junit: ## Apache Kafka's own JUnit tests of its clients and tools, each on a fresh zonewise (SUITE_PART=clients, tools or core, SUITE_RUN=Class.method; SUITE_TARGET=kafka: beside)
	SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 220m -run 'TestJUnit$$/$(SUITE_PART)' ./test/suites/external

suite-lists: ## transactions that append and poll, in three zones under faults, judged in Jepsen's way (SUITE_DURATION, SUITE_COUNT)
	SUITE_DURATION=$${SUITE_DURATION:-60s} SUITE_REPORT=$(SUITE_REPORT) $(GO) test -tags external -count=1 -v -timeout 60m -run 'TestLists$$' ./test/suites/external

KAFKA_JARS ?= data/kafka-configs-jars
kafka-configs: ## read the configs that Kafka 4.4 defines from its jars (java 17, mvn) into broker/configs/kafka.json
	mvn -q -B -f test/tools/kafkaconfigs/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=$(abspath $(KAFKA_JARS))
	java -cp '$(KAFKA_JARS)/*' test/tools/kafkaconfigs/KafkaConfigs.java >$(KAFKA_JARS)/kafka.json
	mv $(KAFKA_JARS)/kafka.json broker/configs/kafka.json
	$(GO) test ./broker/configs
	$(GO) test ./broker -run 'TestConfigsPages' -update

fuzz: ## ten seconds of each fuzz test
	@for p in $$($(GO) list $(PKGS)); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
		echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 10s $$p || exit 1; done; done

check: lint test ## what a commit must pass
