package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/bucket/buckettest"
)

func noFaults(bucket.Op, string, int) bucket.InjectedFault { return bucket.InjectedFault{} }

func script(fates ...bucket.FaultKind) func(bucket.Op, string, int) bucket.InjectedFault {
	return func(op bucket.Op, _ string, attempt int) bucket.InjectedFault {
		if op != bucket.OpPut || attempt > len(fates) {
			return bucket.InjectedFault{}
		}
		return bucket.InjectedFault{Kind: fates[attempt-1], After: time.Minute}
	}
}

func TestWrappersAreBuckets(t *testing.T) {
	for name, wrap := range map[string]func(*testing.T, bucket.Bucket) bucket.Bucket{
		"trace": func(_ *testing.T, b bucket.Bucket) bucket.Bucket { return bucket.Trace(b, func(bucket.TraceLine) {}) },
		"delay": func(_ *testing.T, b bucket.Bucket) bucket.Bucket {
			return bucket.Delay(b, func(bucket.Op, string, int, int64) time.Duration { return time.Microsecond })
		},
		"fault": func(t *testing.T, b bucket.Bucket) bucket.Bucket {
			f := bucket.NewFaultyBucket(b, noFaults)
			t.Cleanup(f.Close)
			return f
		},
		"retry": func(_ *testing.T, b bucket.Bucket) bucket.Bucket { return bucket.Retry(b, bucket.DefaultRetry()) },
	} {
		t.Run(name, func(t *testing.T) {
			buckettest.Accept(t, func(t *testing.T) bucket.Bucket { return wrap(t, bucket.NewMem()) })
		})
	}
}

func TestPrefixSeesItsOwnOnlyAndReportsFullNames(t *testing.T) {
	mem := bucket.NewMem()
	for _, name := range []string{"cluster/1", "cluster0", "cluste", "other/1"} {
		if err := mem.Put(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	b := bucket.Prefix(mem, "cluster")
	var seen []string
	ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) { seen = append(seen, a.Op.String()+" "+a.Name) })
	if err := b.Put(ctx, "2", []byte("x")); err != nil {
		t.Fatal(err)
	}
	infos, err := b.List(ctx, "", "", 0)
	if err != nil || len(infos) != 2 || infos[0].Name != "1" || infos[1].Name != "2" {
		t.Errorf("list: %v, %v; want 1 and 2", infos, err)
	}
	if infos, err = b.List(ctx, "", "1", 0); err != nil || len(infos) != 1 || infos[0].Name != "2" {
		t.Errorf("list after 1: %v, %v; want 2", infos, err)
	}
	if deleted, err := b.Delete(ctx, "1", "2"); err != nil || !slices.Equal(deleted, []string{"1", "2"}) {
		t.Fatal(deleted, err)
	}
	if err := b.Put(ctx, "../escape", nil); err == nil {
		t.Error("a name that leaves the prefix was taken")
	}
	if infos, err = mem.List(t.Context(), "", "", 0); err != nil || len(infos) != 3 {
		t.Errorf("beside the prefix: %v, %v; want three objects left alone", infos, err)
	}
	want := []string{"put cluster/2", "list cluster/", "list cluster/", "delete cluster/1"}
	if !slices.Equal(seen, want) {
		t.Errorf("attempts: %q, want %q", seen, want)
	}
	if bucket.Prefix(mem, "") != bucket.Bucket(mem) {
		t.Error("the empty prefix is not the bucket itself")
	}
}

func TestTraceTellsBytesApart(t *testing.T) {
	var lines []bucket.TraceLine
	b := bucket.Trace(bucket.NewMem(), func(l bucket.TraceLine) { lines = append(lines, l) })
	for _, body := range []string{"same length", "same-length"} {
		_ = b.Put(t.Context(), "x", []byte(body))
		_, _ = b.Get(t.Context(), "x", 0, -1)
		_, _ = b.List(t.Context(), "", "", 0)
		_, _ = b.Delete(t.Context(), "x")
	}
	for i := range 2 {
		if lines[i].Sum == lines[i+4].Sum || lines[i].Sum == 0 {
			t.Errorf("%v of different bytes: sums %08x and %08x", lines[i].Op, lines[i].Sum, lines[i+4].Sum)
		}
	}
	if lines[2].Sum != lines[6].Sum || lines[2].Bytes != 1 {
		t.Errorf("two equal listings differ: %v, %v", lines[2], lines[6])
	}
}

func TestDelayTakesItsTimeAndTheEffectIsInTheMiddle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := bucket.NewMem()
		b := bucket.Delay(mem, func(op bucket.Op, name string, attempt int, size int64) time.Duration {
			return time.Duration(attempt)*time.Second + time.Duration(size)*time.Millisecond
		})
		begun := time.Now()
		if err := b.Put(t.Context(), "a", make([]byte, 500)); err != nil || time.Since(begun) != 1500*time.Millisecond {
			t.Errorf("put of 500 bytes: %v after %v, want 1.5 s", err, time.Since(begun))
		}
		for attempt, want := range []time.Duration{1250 * time.Millisecond, 2250 * time.Millisecond} {
			begun = time.Now()
			if _, err := b.Get(t.Context(), "a", 100, 250); err != nil || time.Since(begun) != want {
				t.Errorf("get %d of 250 bytes: %v after %v, want %v", attempt+1, err, time.Since(begun), want)
			}
		}
		for _, c := range []struct {
			name   string
			given  time.Duration
			landed bool
		}{{"early", 400 * time.Millisecond, false}, {"late", 600 * time.Millisecond, true}} {
			var seen []bucket.Attempt
			ctx, cancel := context.WithTimeout(bucket.WithObserver(t.Context(), func(a bucket.Attempt) { seen = append(seen, a) }), c.given)
			err := b.Put(ctx, c.name, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) || len(seen) != 1 || seen[0].Status != 0 || seen[0].Billable() {
				t.Errorf("put given up after %v: %v, attempts %v; want one without an answer", c.given, err, seen)
			}
			if _, err := mem.Get(t.Context(), c.name, 0, -1); (err == nil) != c.landed {
				t.Errorf("put given up after %v: get says %v, landed should be %v", c.given, err, c.landed)
			}
		}
	})
}

func TestFaultDoesWhatItSaysAndTheClientSeesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			kind           bucket.FaultKind
			status         int
			lands, landsBy bool // at once; after its delay
		}{
			{bucket.FaultNone, 200, true, true},
			{bucket.FaultRefused, 503, false, false},
			{bucket.FaultRequestLost, 0, false, false},
			{bucket.FaultAnswerLost, 0, true, true},
			{bucket.FaultLatePut, 0, false, true},
		} {
			mem := bucket.NewMem()
			f := bucket.NewFaultyBucket(mem, script(c.kind))
			ctx, cancel := context.WithCancel(t.Context())
			var seen []bucket.Attempt
			err := f.Put(bucket.WithObserver(ctx, func(a bucket.Attempt) { seen = append(seen, a) }), "x", []byte("body"))
			cancel() // the caller has gone
			if (err == nil) != (c.kind == bucket.FaultNone) || err != nil && !errors.Is(err, bucket.ErrBusy) {
				t.Errorf("fate %d: %v", c.kind, err)
			}
			if want := []bucket.Attempt{{Op: bucket.OpPut, Name: "x", Status: c.status, Bytes: 4}}; !slices.Equal(seen, want) {
				t.Errorf("fate %d: attempts %v, want %v", c.kind, seen, want)
			}
			_, err = mem.Get(t.Context(), "x", 0, -1)
			if (err == nil) != c.lands {
				t.Errorf("fate %d: get right after says %v", c.kind, err)
			}
			f.Close()
			if _, err = mem.Get(t.Context(), "x", 0, -1); (err == nil) != c.landsBy {
				t.Errorf("fate %d: get at the end says %v", c.kind, err)
			}
			if len(seen) != 1 {
				t.Errorf("fate %d: the late effect was reported to a caller who had gone", c.kind)
			}
		}
	})
}

func TestFaultDownAnswersNothingAndComesBack(t *testing.T) {
	f := bucket.NewFaultyBucket(bucket.NewMem(), noFaults)
	defer f.Close()
	f.SetDown(true)
	_, errGet := f.Get(t.Context(), "x", 0, -1)
	_, errList := f.List(t.Context(), "", "", 0)
	_, errDelete := f.Delete(t.Context(), "x")
	for _, err := range []error{f.Put(t.Context(), "x", nil), errGet, errList, errDelete} {
		if !errors.Is(err, bucket.ErrBusy) {
			t.Errorf("request while down: %v, want ErrBusy", err)
		}
	}
	f.SetDown(false)
	if err := f.Put(t.Context(), "x", nil); err != nil {
		t.Errorf("put after it came back: %v", err)
	}
}

func TestFatesArePureAndAboutAsFrequentAsAsked(t *testing.T) {
	plan := bucket.FaultPlan{Seed: 7, Before: 0.1, Lost: 0.05, After: 0.2, Late: 0.15, LateBy: time.Second}
	count := map[bucket.FaultKind]int{}
	const n = 20000
	for i := range n {
		name := fmt.Sprintf("main/1/wal/%08x", i)
		fate := plan.Decide(bucket.OpPut, name, 1)
		if again := plan.Decide(bucket.OpPut, name, 1); again != fate {
			t.Fatalf("%s: %v and then %v", name, fate, again)
		}
		if fate.Kind == bucket.FaultLatePut && (fate.After <= 0 || fate.After > plan.LateBy) {
			t.Fatalf("%s lands after %v, want within %v", name, fate.After, plan.LateBy)
		}
		count[fate.Kind]++
	}
	for kind, want := range map[bucket.FaultKind]float64{
		bucket.FaultNone: 0.5, bucket.FaultRefused: 0.1, bucket.FaultRequestLost: 0.05, bucket.FaultAnswerLost: 0.2, bucket.FaultLatePut: 0.15,
	} {
		if got := float64(count[kind]) / n; got < want-0.02 || got > want+0.02 {
			t.Errorf("fate %d: %.3f of all, want about %.3f", kind, got, want)
		}
	}
	differ := 0
	for attempt := range 200 {
		other := plan
		other.Seed++
		if plan.Decide(bucket.OpPut, "x", attempt) != other.Decide(bucket.OpPut, "x", attempt) {
			differ++
		}
	}
	if differ < 100 {
		t.Errorf("two seeds agree on %d of 200 fates", 200-differ)
	}
}
