package verify_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonewise/zonewise/internal/verify"
	"github.com/zonewise/zonewise/metadata"
)

// inWorld runs f in a bubble with a cluster that has objects, archives and two
// recovery bases.
func inWorld(t *testing.T, f func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.stop()
		f(t, w)
	})
}

func TestACleanClusterIsClean(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.produce()
		w.settle()
		w.produce()
		w.produceInline()
		for _, deep := range []bool{false, true} {
			c := w.config()
			c.Deep = deep
			r := w.verifyWith(c)
			expect(t, r, verify.Clean)
			list, err := w.bucket.List(t.Context(), "", "", 0)
			if err != nil {
				t.Fatal(err)
			}
			var bytes, got int64
			for _, o := range list {
				bytes += o.Size
			}
			for _, row := range r.Totals {
				got += row.Bytes
			}
			if bytes == 0 || got != bytes {
				t.Errorf("the rows have %d bytes, the listing %d: %+v", got, bytes, r.Totals)
			}
			if live, _ := r.Count(verify.Live); live < 10 || deep != (r.BytesRead > 0) {
				t.Errorf("%d live objects, %d bytes read", live, r.BytesRead)
			}
		}
	})
}

func TestWhatIsWrongWithAWALObjectIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		deep   bool
		want   string
		lost   string
	}{
		"missing":                  {remove, false, "missing", " orders/0:6-11 orders/1:3-5"},
		"missing, deep":            {remove, true, "missing", " orders/0:6-11 orders/1:3-5"},
		"cut":                      {func(b []byte) []byte { return b[:24+400+100] }, false, "damaged", " orders/1:3-5"},
		"longer":                   {func(b []byte) []byte { return append(b, 0) }, false, "damaged", ""},
		"a bit of a batch":         {flipAt(24 + 100), true, "damaged", " orders/0:6-11"},
		"a bit of the other part":  {flipAt(24 + 400 + 100), true, "damaged", " orders/1:3-5"},
		"a bit of a base offset":   {flipAt(24 + 3), true, "damaged", ""},
		"a bit of the header":      {flipAt(12), true, "damaged", ""},
		"a bit of the end":         {func(b []byte) []byte { return flipAt(len(b) - 10)(b) }, true, "damaged", ""},
		"a bit, not read for":      {flipAt(24 + 100), false, "", ""},
		"all of another's content": {func(b []byte) []byte { return make([]byte, len(b)) }, true, "damaged", " orders/0:6-11 orders/1:3-5"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.produce()
				key := w.produce()
				w.produce()
				w.replace(key, c.change)
				cfg := w.config()
				cfg.Deep = c.deep
				if r := w.verifyWith(cfg); c.want == "" {
					expect(t, r, verify.Clean)
				} else {
					expect(t, r, verify.HasDamage, c.want+" wal "+key+c.lost)
				}
			})
		})
	}
}

// An object with other bytes under its name is found though all its checksums hold.
func TestAnObjectUnderAnothersNameIsFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		one, two := w.produce(), w.produce()
		body, err := w.bucket.Get(t.Context(), one, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		w.replace(two, func([]byte) []byte { return body })
		expect(t, w.verify(), verify.HasDamage, "damaged wal "+two+" orders/0:6-11 orders/1:3-5")
	})
}

func TestWhatIsWrongWithAnArchiveIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		deep   bool
		want   string
	}{
		"missing":       {remove, false, "missing"},
		"missing, deep": {remove, true, "missing"},
		"cut":           {cut, false, "damaged"},
		"a bit":         {flip, true, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.produceInline()
				w.settle()
				var a metadata.ArchiveRef
				w.view(func(s *metadata.State) { a = s.Archives()[0] })
				w.replace(a.Object, c.change)
				cfg := w.config()
				cfg.Deep = c.deep
				r := w.verifyWith(cfg)
				if len(r.Findings) != 1 || len(r.Findings[0].Lost) != 1 || r.Findings[0].Lost[0].First != 0 {
					t.Fatalf("%+v, want one range from offset 0 on", r.Findings)
				}
				r.Findings[0].Lost = nil
				expect(t, r, verify.HasDamage, c.want+" archive "+a.Object)
			})
		})
	}
}

func TestWhatIsWrongWithACheckpointIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func([]byte) []byte
		deep   bool
		want   string
	}{
		"missing":       {remove, false, "missing"},
		"missing, deep": {remove, true, "missing"},
		"cut":           {cut, true, "damaged"},
		"a bit":         {flip, true, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				w.settle()
				var key string
				w.view(func(s *metadata.State) {
					list := s.Checkpoints()
					key = list[len(list)-1].Key()
				})
				w.replace(key, c.change)
				cfg := w.config()
				cfg.Deep = c.deep
				expect(t, w.verifyWith(cfg), verify.HasDamage, c.want+" checkpoint "+key)
			})
		})
	}
}

// An object of a session that lives is in flight, later a leftover, and an orphan once
// the search for it is over; a dead one is in its grace, whether it is there or not.
func TestWhatNothingNamesIsJudgedByItsSession(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		w.produce()
		other := w.openSession()
		name, _ := w.upload(other.ID())
		key := name.Key()
		expect(t, w.verify(), verify.Clean, "in_flight wal "+key)
		time.Sleep(time.Hour)
		expect(t, w.verify(), verify.Clean, "in_flight wal "+key) // also an old one: it may be named yet
		if err := other.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		expect(t, w.verify(), verify.Clean, "leftover wal "+key)
		time.Sleep(11 * time.Minute)
		expect(t, w.verify(), verify.Clean, "leftover wal "+key) // the search is due
		time.Sleep(15 * time.Minute)
		expect(t, w.verify(), verify.HasOrphans, "orphaned wal "+key) // it is not made
		w.must(metadata.BuryLeftovers{Session: other.ID(), Incarnation: 1, Done: true})
		expect(t, w.verify(), verify.HasOrphans, "orphaned wal "+key) // it was, and passed over it
	})
}

// A search that is under way does not find what comes before the place where it is.
func TestASearchFindsNothingThatItHasPassedOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		time.Sleep(10 * time.Second) // state time begins with the first tick
		other := w.openSession()
		first, _ := w.upload(other.ID())
		second, _ := w.upload(other.ID())
		third, _ := w.upload(other.ID())
		if err := other.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		w.must(metadata.BuryLeftovers{Session: other.ID(), Incarnation: 1,
			Objects: []metadata.Leftover{{Class: metadata.ObjectWAL, Key: second.Key(), Size: 1}}})
		expect(t, w.verify(), verify.HasOrphans, "orphaned wal "+first.Key(), "leftover wal "+third.Key())
	})
}

func TestADeadObjectIsFineInItsGraceAndWhenItIsGone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		key := w.produce()
		w.produce()
		for p, at := range []metadata.Offset{6, 3} {
			w.must(metadata.TrimPartition{Topic: orders, Partition: metadata.Partition(p), LogStart: at})
		}
		r := w.verify()
		expect(t, r, verify.Clean)
		if dead, bytes := r.Count(verify.Dead); dead != 1 || bytes == 0 {
			t.Errorf("%d dead objects of %d bytes, want 1: %+v", dead, bytes, r.Totals)
		}
		w.replace(key, remove)
		r = w.verify()
		expect(t, r, verify.Clean)
		if dead, _ := r.Count(verify.Dead); dead != 0 {
			t.Errorf("%d dead objects, want none", dead)
		}
	})
}

// What is in use and dead at the same time will be deleted.
func TestAnObjectInUseThatIsDeadIsFound(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		other := w.openSession()
		name, e := w.upload(other.ID())
		w.append(other.ID(), e, nil)
		if err := other.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		w.must(metadata.BuryLeftovers{Session: other.ID(), Incarnation: 1, Done: true,
			Objects: []metadata.Leftover{{Class: metadata.ObjectWAL, Key: name.Key(), Size: 1}}})
		expect(t, w.verify(), verify.HasDamage, "condemned wal "+name.Key())
	})
}

func TestForeignNamesAreOrphans(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		if err := w.bucket.Put(t.Context(), "probe/x/first", []byte("x")); err != nil {
			t.Fatal(err)
		}
		expect(t, w.verify(), verify.Clean, "in_flight unknown probe/x/first")
		time.Sleep(time.Minute)
		expect(t, w.verify(), verify.HasOrphans, "orphaned unknown probe/x/first")
	})
}
