// Command replay replays scenario files against two running brokers and prints
// where their responses differ.
//
//	go run ./test/oracle/cmd/replay -kafka 127.0.0.1:9092 -zonewise 127.0.0.1:19092 test/oracle/scenarios/*.txt
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/zonewise/zonewise/test/oracle"
)

func main() {
	kafka := flag.String("kafka", "127.0.0.1:9092", "Kafka's address")
	zonewise := flag.String("zonewise", "127.0.0.1:19092", "zonewise's address")
	show := flag.Bool("v", false, "show what both answered, request by request")
	all := flag.Bool("all", false, "show allowed differences too, and how often each line of the list was met")
	sum := flag.Bool("sum", false, "show kinds of differences with how often they came, not each")
	seed := flag.Uint64("seed", 0, "draw scenarios with this seed, too")
	drawn := flag.Int("drawn", 0, "number of scenarios to generate")
	number := flag.Int("number", 0, "of the generated scenarios, play only this one, and print it")
	parallel := flag.Int("parallel", 4, "scenarios at a time")
	flag.Parse()
	if err := replayScenarios(*kafka, *zonewise, flag.Args(), options{*show, *all, *sum, *parallel, *seed, max(*drawn, *number), *number}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	show, all, sum bool
	parallel       int
	seed           uint64
	generated      int
	number         int
}

func replayScenarios(kafka, zonewise string, files []string, o options) error {
	ctx := context.Background()
	s, err := oracle.NewSession(ctx, strconv.FormatInt(time.Now().UnixMilli()%1e9, 36), kafka, zonewise)
	if err != nil {
		return err
	}
	var list []*oracle.Scenario
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		sc, err := oracle.Parse(strings.TrimSuffix(filepath.Base(file), ".txt"), string(text))
		if err != nil {
			return err
		}
		list = append(list, sc)
	}
	g := oracle.NewGenerator(o.seed, s.Kafka, s.Zonewise)
	for i := range o.generated {
		sc, text, err := g.Next()
		if err != nil {
			return fmt.Errorf("BUG: %w in\n%s", err, text)
		}
		if o.number > 0 && i+1 != o.number {
			continue
		}
		if o.number > 0 {
			fmt.Print(text)
		}
		list = append(list, sc)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, o.parallel)
	bad, requests := 0, 0
	kinds := map[string][]oracle.Difference{}
	for _, sc := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			r := s.Play(ctx, sc)
			mu.Lock()
			defer mu.Unlock()
			requests += r.Requests
			if len(r.Unexplained)+len(r.InvalidSteps) > 0 {
				bad++
			}
			printResult(&r, o, kinds)
		})
	}
	wg.Wait()
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		d := kinds[kind][0]
		fmt.Printf("%4d %s\n       %s line %d v%d %.200s\n", len(kinds[kind]), kind, d.Scenario, d.Line, d.Version, d.Text)
	}
	if o.all {
		for i, n := range s.Coverage().Used {
			fmt.Printf("%4d times: %s %s: Kafka %s, zonewise %s\n", n, s.Allowed[i].API, s.Allowed[i].Field, s.Allowed[i].Kafka, s.Allowed[i].Zonewise)
		}
	}
	fmt.Printf("%d scenarios, %d requests, %d scenarios differ\n", len(list), requests, bad)
	if bad > 0 {
		return fmt.Errorf("%d of %d scenarios differ", bad, len(list))
	}
	return nil
}

func printResult(r *oracle.Result, o options, kinds map[string][]oracle.Difference) {
	differences := r.Unexplained
	if o.all {
		differences = r.Differences
	}
	for _, d := range differences {
		if o.sum {
			kind := fmt.Sprintf("%s %s: Kafka %s, zonewise %s", d.API, d.Pattern(), d.Kafka, d.Zonewise)
			kinds[kind] = append(kinds[kind], d)
			continue
		}
		fmt.Println(d)
	}
	for _, w := range r.InvalidSteps {
		fmt.Println("WRONG", w)
	}
	if o.show {
		for i := range r.KafkaAnswers {
			fmt.Printf("== %s line %d v%d\n   Kafka    %s\n", r.Scenario.Name, r.KafkaAnswers[i].Line, r.KafkaAnswers[i].Version, r.KafkaAnswers[i].Describe())
			if i < len(r.ZonewiseAnswers) {
				fmt.Printf("   zonewise %s\n", r.ZonewiseAnswers[i].Describe())
			}
		}
	}
}
