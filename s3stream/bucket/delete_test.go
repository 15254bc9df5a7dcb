package bucket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// putMany puts n objects and returns their names.
func putMany(t *testing.T, b bucket.Bucket, n int) []string {
	t.Helper()
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("o/%05d", i)
		if err := b.Put(t.Context(), names[i], nil); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

func namesLeft(t *testing.T, b bucket.Bucket) (names []string) {
	t.Helper()
	infos, err := b.List(t.Context(), "", "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range infos {
		names = append(names, info.Name)
	}
	return names
}

// With a fault in one name of a thousand what is confirmed is gone, what is not is
// named in the error and still there, and the rest of the call went through.
func TestOneNameInAThousandFails(t *testing.T) {
	plan := bucket.FaultPlan{Seed: 5, Partial: 1, PartialShare: 0.001}
	outcomes := map[string]int{}
	for seed := range uint64(20) {
		plan.Seed = seed
		mem := bucket.NewMem()
		names := putMany(t, mem, 2500)
		deleted, err := bucket.NewFaultyBucket(mem, plan.Decide).Delete(t.Context(), names...)
		again, _ := bucket.NewFaultyBucket(mem, plan.Decide).Delete(t.Context(), names...)
		if !slices.Equal(deleted, again) {
			t.Errorf("seed %d: %d and then %d confirmed: not a function of the seed", seed, len(deleted), len(again))
		}
		left := namesLeft(t, mem)
		if len(deleted)+len(left) != len(names) || slices.ContainsFunc(left, func(name string) bool { return slices.Contains(deleted, name) }) {
			t.Errorf("seed %d: %d confirmed, %d left of %d", seed, len(deleted), len(left), len(names))
		}
		var partial *bucket.DeleteError
		if len(left) == 0 != (err == nil) || err != nil && (!errors.As(err, &partial) || len(partial.Failures) != len(left)) {
			t.Errorf("seed %d: %v with %d left", seed, err, len(left))
		}
		if partial == nil {
			outcomes["none"]++
			continue
		}
		for i, f := range partial.Failures {
			outcomes[f.Code]++
			if f.Name != left[i] {
				t.Errorf("seed %d: failure %d is of %s, left is %s", seed, i, f.Name, left[i])
			}
		}
	}
	if failed := outcomes["SlowDown"] + outcomes["AccessDenied"]; failed < 20 || failed > 100 || outcomes["SlowDown"] == 0 || outcomes["AccessDenied"] == 0 {
		t.Errorf("of 50,000 names failed %v, want about 50 and both codes", outcomes)
	}
}

// scriptedDeletes is a bucket whose Delete fails for some names: fail returns the
// failure of the n'th request for a name.
type scriptedDeletes struct {
	*bucket.Mem
	fail  func(name string, n int) error
	asked map[string]int
	calls [][]string
}

func (s *scriptedDeletes) Delete(ctx context.Context, names ...string) ([]string, error) {
	s.calls = append(s.calls, slices.Clone(names))
	var failures []bucket.DeleteFailure
	for _, name := range names {
		s.asked[name]++
		if err := s.fail(name, s.asked[name]); err != nil {
			failures = append(failures, bucket.DeleteFailure{Name: name, Code: "Scripted", Err: err})
		}
	}
	return bucket.DeleteResult(names, failures)
}

func TestRetryAsksOnlyForWhatIsNotConfirmed(t *testing.T) {
	errOdd := errors.New("odd")
	for _, c := range []struct {
		name  string
		fail  func(name string, n int) error
		calls []int // names in each
		kind  error
	}{
		{"throttled twice", func(name string, n int) error {
			if name >= "o/00997" && name < "o/01000" && n <= 2 {
				return bucket.ErrBusy
			}
			return nil
		}, []int{1000, 3, 3, 1000, 500}, nil},
		{"denied", func(name string, n int) error {
			if name == "o/00001" {
				return bucket.ErrDenied
			}
			return nil
		}, []int{1000, 1000, 500}, bucket.ErrDenied},
		{"an error of another kind", func(name string, n int) error {
			if name == "o/00001" {
				return errOdd
			}
			return nil
		}, []int{1000, 1000, 500}, errOdd},
		{"denied, and another one throttled for ever", func(name string, n int) error {
			switch name {
			case "o/01001":
				return bucket.ErrDenied
			case "o/01002":
				return bucket.ErrBusy
			}
			return nil
		}, []int{1000, 1000, 1, 1, 1, 1, 500}, bucket.ErrDenied},
		{"a whole batch denied, name by name", func(name string, n int) error {
			if name < "o/01000" {
				return bucket.ErrDenied
			}
			return nil
		}, []int{1000, 1000, 500}, bucket.ErrDenied},
		{"a whole batch throttled", func(name string, n int) error { return bucket.ErrBusy }, []int{1000, 1000, 1000, 1000, 1000}, bucket.ErrBusy},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &scriptedDeletes{Mem: bucket.NewMem(), fail: c.fail, asked: map[string]int{}}
				names := make([]string, 2500)
				for i := range names {
					names[i] = fmt.Sprintf("o/%05d", i)
				}
				deleted, err := bucket.Retry(b, bucket.DefaultRetry()).Delete(t.Context(), names...)
				if !errors.Is(err, c.kind) || (err == nil) != (c.kind == nil) {
					t.Errorf("%v, want %v", err, c.kind)
				}
				var calls []int
				for _, call := range b.calls {
					calls = append(calls, len(call))
				}
				if !slices.Equal(calls, c.calls) {
					t.Errorf("calls of %v names, want %v", calls, c.calls)
				}
				var partial *bucket.DeleteError
				if failed := 2500 - len(deleted); failed > 0 && (!errors.As(err, &partial) || len(partial.Failures) != failed || partial.Of != 2500) {
					t.Errorf("%d confirmed, %.300v", len(deleted), err)
				}
			})
		})
	}
}

// The caller's context ends during a pause: what was confirmed stays confirmed.
func TestADeleteThatIsGivenUpKeepsWhatWasConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		b := &scriptedDeletes{Mem: bucket.NewMem(), asked: map[string]int{}, fail: func(name string, n int) error {
			if name != "a" {
				cancel()
				return bucket.ErrBusy
			}
			return nil
		}}
		deleted, err := bucket.Retry(b, bucket.DefaultRetry()).Delete(ctx, "a", "b", "c")
		if !slices.Equal(deleted, []string{"a"}) || !errors.Is(err, context.Canceled) || len(b.calls) != 1 {
			t.Errorf("%q, %v after %d calls; want a, and the caller's error", deleted, err, len(b.calls))
		}
	})
}

// An answer that is lost confirms nothing, and the same call may be made again.
func TestALostAnswerToADeleteConfirmsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := bucket.NewMem()
		names := putMany(t, mem, 3)
		f := bucket.NewFaultyBucket(mem, func(_ bucket.Op, _ string, attempt int) bucket.InjectedFault {
			if attempt == 1 {
				return bucket.InjectedFault{Kind: bucket.FaultAnswerLost}
			}
			return bucket.InjectedFault{}
		})
		if deleted, err := f.Delete(t.Context(), names...); len(deleted) != 0 || !errors.Is(err, bucket.ErrBusy) {
			t.Errorf("answer lost: %q, %v", deleted, err)
		}
		if deleted, err := f.Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
			t.Errorf("made again: %q, %v; want all", deleted, err)
		}
	})
}

func TestPrefixTranslatesWhatFailed(t *testing.T) {
	f := bucket.NewFaultyBucket(bucket.NewMem(), bucket.FaultPlan{Partial: 1, PartialShare: 1}.Decide)
	deleted, err := bucket.Prefix(f, "cluster").Delete(t.Context(), "a", "b")
	var partial *bucket.DeleteError
	if len(deleted) != 0 || !errors.As(err, &partial) || partial.Failures[0].Name != "a" || partial.Failures[1].Name != "b" {
		t.Errorf("%q, %v; want failures of a and b", deleted, err)
	}
}

// One name that cannot be removed does not keep the others.
func TestDirDeletesTheOthers(t *testing.T) {
	d := openDir(t, t.TempDir())
	tooLong := "b/" + strings.Repeat("é", 120) // as a file name; a superuser is denied nothing
	for _, name := range []string{"a/1", "z/1"} {
		if err := d.Put(t.Context(), name, nil); err != nil {
			t.Fatal(err)
		}
	}
	deleted, err := d.Delete(t.Context(), "a/1", tooLong, "z/1")
	var partial *bucket.DeleteError
	if !slices.Equal(deleted, []string{"a/1", "z/1"}) || !errors.As(err, &partial) || partial.Failures[0].Name != tooLong {
		t.Errorf("%q, %v; want the others, and one failure", deleted, err)
	}
	if left := namesLeft(t, d); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// A name that is a folder is no object; the folder stays although it is empty, since
// a Put may be about to link into it.
func TestDirDeletesNoFolder(t *testing.T) {
	root := t.TempDir()
	d := openDir(t, root)
	names := []string{"a/b/1", "a/b", "a"}
	for range 2 {
		if err := d.Put(t.Context(), names[0], nil); err != nil {
			t.Fatal(err)
		}
		if deleted, err := d.Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
			t.Errorf("%q, %v; want all confirmed", deleted, err)
		}
	}
}
