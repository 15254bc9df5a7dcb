package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// deleteResult answers a DeleteObjects: these are gone, and these failed ("name code").
func deleteResult(gone []string, failed ...string) http.HandlerFunc {
	var out strings.Builder
	out.WriteString("<DeleteResult>")
	for _, name := range gone {
		fmt.Fprintf(&out, "<Deleted><Key>%s</Key></Deleted>", name)
	}
	for _, one := range failed {
		name, code, _ := strings.Cut(one, " ")
		fmt.Fprintf(&out, "<Error><Key>%s</Key><Code>%s</Code><Message>scripted</Message></Error>", name, code)
	}
	out.WriteString("</DeleteResult>")
	return content(200, out.String())
}

// namesIn returns the names in the body of a DeleteObjects.
func namesIn(t *testing.T, body string) []string {
	t.Helper()
	var sent struct {
		Object []struct{ Key string }
		Quiet  bool
	}
	if err := xml.Unmarshal([]byte(body), &sent); err != nil || sent.Quiet {
		t.Fatalf("a DeleteObjects with body %.200q: quiet %v, %v", body, sent.Quiet, err)
	}
	var names []string
	for _, o := range sent.Object {
		names = append(names, o.Key)
	}
	return names
}

func manyNames(n int) []string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("o/%05d", i)
	}
	return names
}

// deletingStore answers DeleteObjects and DELETE like a store of which some names
// fail for some time: fail returns the code of the n'th request for a name, or "".
func deletingStore(t *testing.T, batches bool, fail func(name string, n int) string) *scripted {
	s := newScripted(t)
	asked := map[string]int{} // guarded by mu
	var mu sync.Mutex
	judge := func(name string) string {
		mu.Lock()
		defer mu.Unlock()
		asked[name]++
		return fail(name, asked[name])
	}
	s.always = func(w http.ResponseWriter, r *http.Request) {
		name, _ := strings.CutPrefix(r.URL.Path, "/unit-test/")
		if r.Method == http.MethodDelete {
			switch code := judge(name); code {
			case "":
				w.WriteHeader(http.StatusNoContent)
			case "AccessDenied":
				status(403, code)(w, r)
			default:
				status(503, code)(w, r)
			}
			return
		}
		if !batches {
			status(http.StatusNotImplemented, "NotImplemented")(w, r)
			return
		}
		body, _ := io.ReadAll(r.Body)
		var gone, failed []string
		for _, name := range namesIn(t, string(body)) {
			if code := judge(name); code != "" {
				failed = append(failed, name+" "+code)
			} else {
				gone = append(gone, name)
			}
		}
		deleteResult(gone, failed...)(w, r)
	}
	return s
}

// Partial success is a normal result: what the store has deleted is confirmed,
// what it throttles is asked for again, alone, and what it denies is not.
func TestOneNameInAThousandFails(t *testing.T) {
	names := manyNames(2500)
	for _, batches := range []bool{true, false} {
		for _, code := range []string{"SlowDown", "AccessDenied", "InternalError"} {
			failing := func(name string) bool { return strings.HasSuffix(name, "500") } // 500, 1500
			requests := atomic.Int64{}
			s := deletingStore(t, batches, func(name string, n int) string {
				requests.Add(1)
				if failing(name) {
					return code
				}
				return ""
			})
			deleted, err := s.store().Delete(t.Context(), names...)
			want := slices.DeleteFunc(slices.Clone(names), failing)
			if !slices.Equal(deleted, want) {
				t.Errorf("%s: %d confirmed, want %d", code, len(deleted), len(want))
			}
			var partial *bucket.DeleteError
			if !errors.As(err, &partial) || partial.Of != 2500 || len(partial.Failures) != 2 ||
				partial.Failures[0].Name != "o/00500" || partial.Failures[1].Name != "o/01500" || partial.Failures[0].Code != code {
				t.Fatalf("%s: %v", code, err)
			}
			kind, perName := bucket.ErrBusy, 4 // attempts
			if code == "AccessDenied" {
				kind, perName = bucket.ErrDenied, 1
			}
			if !errors.Is(err, kind) || !strings.Contains(err.Error(), "2 of 2500") || !strings.Contains(err.Error(), code) || !strings.Contains(err.Error(), `"o/00500"`) {
				t.Errorf("%s: %v", code, err)
			}
			if got := int(requests.Load()); got != 2498+2*perName {
				t.Errorf("%s: %d deletions were asked for, want %d", code, got, 2498+2*perName)
			}
		}
	}
}

func TestAThrottledNameIsDeletedByALaterAttempt(t *testing.T) {
	for _, batches := range []bool{true, false} {
		s := deletingStore(t, batches, func(name string, n int) string {
			if name == "o/00003" && n < 3 {
				return "SlowDown"
			}
			return ""
		})
		names := manyNames(10)
		if deleted, err := s.store().Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
			t.Errorf("batches %v: %q, %v; want all", batches, deleted, err)
		}
	}
}

func TestDeleteReadsTheErrorsInsideAnAnswer(t *testing.T) {
	for code, want := range map[string]error{"NoSuchKey": nil, "AccessDenied": bucket.ErrDenied} {
		s := newScripted(t, deleteResult([]string{"a"}, "b "+code))
		deleted, err := s.store().Delete(t.Context(), "a", "b")
		if !errors.Is(err, want) || (err == nil) != (want == nil) || len(s.seen) != 1 {
			t.Errorf("%s inside: %v, want %v", code, err, want)
		}
		if confirmed := len(deleted) == 2; confirmed != (want == nil) || deleted[0] != "a" {
			t.Errorf("%s inside: confirmed %q", code, deleted)
		}
	}
	s := newScripted(t, deleteResult(nil, "a AccessDenied", "b AccessDenied"))
	if _, err := s.store().Delete(t.Context(), "a", "b"); err == nil || !strings.Contains(err.Error(), "s3:DeleteObject") {
		t.Errorf("denied inside: %v, want the permission named", err)
	}
	s = newScripted(t, deleteResult([]string{"a"}, "b InternalError"), content(204, ""))
	if _, err := s.store().Delete(t.Context(), "a", "b"); err != nil || !slices.Equal(s.seen, []string{"POST /unit-test", "DELETE /unit-test/b"}) {
		t.Errorf("InternalError inside: %v after %q, want success after 2", err, s.seen)
	}
	s = newScripted(t, status(404, "NoSuchKey"))
	if _, err := s.store().Delete(t.Context(), "a"); err != nil {
		t.Errorf("404 to a delete: %v", err)
	}
	s = newScripted(t, status(404, "NoSuchBucket"))
	if _, err := s.store().Delete(t.Context(), "a"); !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("404 of the bucket to a delete: %v, want ErrDenied", err)
	}
	s = newScripted(t, status(403, "AccessDenied"))
	if _, err := s.store().Delete(t.Context(), "a"); !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "s3:DeleteObject") {
		t.Errorf("403 to a delete: %v, want ErrDenied with the permission named", err)
	}
}

// What an answer does not mention is not confirmed.
func TestANameThatTheStoreDoesNotMentionIsNotConfirmed(t *testing.T) {
	silentAbout := deleteResult([]string{"a"})
	s := newScripted(t, silentAbout, content(503, ""), content(503, ""), content(503, ""))
	deleted, err := s.store().Delete(t.Context(), "a", "b")
	if !slices.Equal(deleted, []string{"a"}) || !errors.Is(err, bucket.ErrBusy) {
		t.Errorf("confirmed %q, %v; want a alone", deleted, err)
	}
	// A store that mentions none is asked name by name.
	s = newScripted(t, deleteResult(nil), content(204, ""), content(204, ""))
	if deleted, err := s.store().Delete(t.Context(), "a", "b"); err != nil || len(deleted) != 2 || len(s.seen) != 3 {
		t.Errorf("a store that reports nothing: %q, %v after %q", deleted, err, s.seen)
	}
}

// Some stores want a Content-MD5 with DeleteObjects, others do not have it.
func TestDeleteGoesByWhatTheStoreTakes(t *testing.T) {
	wantsMD5 := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Content-MD5") == "" {
			status(400, "InvalidRequest")(w, r)
			return
		}
		deleteResult([]string{"a", "b"})(w, r)
	}
	s := newScripted(t, wantsMD5)
	if _, err := s.store().Delete(t.Context(), "a", "b"); err != nil || len(s.seen) != 1 {
		t.Errorf("a store that wants Content-MD5: %v after %q", err, s.seen)
	}
	for code, name := range map[int]string{400: "InvalidRequest", 405: "MethodNotAllowed", 501: "NotImplemented"} {
		s := newScripted(t, status(code, name), content(204, ""), content(204, ""), content(204, ""), content(204, ""))
		store := s.store()
		for range 2 {
			if deleted, err := store.Delete(t.Context(), "a", "b"); err != nil || !slices.Equal(deleted, []string{"a", "b"}) {
				t.Errorf("%d to a batch: %q, %v", code, deleted, err)
			}
		}
		slices.Sort(s.seen)
		want := []string{"DELETE /unit-test/a", "DELETE /unit-test/a", "DELETE /unit-test/b", "DELETE /unit-test/b", "POST /unit-test"}
		if !slices.Equal(s.seen, want) {
			t.Errorf("%d to a batch: server saw %q, want %q", code, s.seen, want)
		}
	}
	s = newScripted(t, status(403, "AccessDenied"))
	if _, err := s.store().Delete(t.Context(), "a", "b"); !errors.Is(err, bucket.ErrDenied) || len(s.seen) != 1 || !strings.Contains(err.Error(), "s3:DeleteObject") {
		t.Errorf("403 to a batch: %v after %q, want ErrDenied", err, s.seen)
	}
}

// A 400 that is about this one request says nothing about batches.
func TestABadRequestOfAnotherKindDoesNotEndBatches(t *testing.T) {
	for _, code := range []string{"RequestTimeout", "BadDigest", "ExpiredToken"} {
		both := deleteResult([]string{"a", "b"})
		s := newScripted(t, status(400, code), both, both)
		store := s.store()
		for range 2 {
			_, _ = store.Delete(t.Context(), "a", "b")
		}
		for _, request := range s.seen {
			if request != "POST /unit-test" {
				t.Errorf("%s to a batch: server saw %q", code, s.seen)
			}
		}
	}
}

func TestDeleteGoesInBatchesAndARetryRepeatsOneBatchOnly(t *testing.T) {
	names := manyNames(2*bucket.PageNames + 1)
	s := newScripted(t, deleteResult(names[:1000]), status(503, "SlowDown"), deleteResult(names[1000:2000]), content(204, ""))
	if deleted, err := s.store().Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
		t.Fatal(len(deleted), err)
	}
	want := []string{"POST /unit-test", "POST /unit-test", "POST /unit-test", "DELETE /unit-test/o/02000"}
	if !slices.Equal(s.seen, want) {
		t.Errorf("server saw %q, want %q", s.seen, want)
	}
	for i, first := range []string{"o/00000", "o/01000", "o/01000"} {
		if sent := namesIn(t, s.bodies[i]); len(sent) != bucket.PageNames || sent[0] != first {
			t.Errorf("batch %d: %d names; want %d from %s", i, len(sent), bucket.PageNames, first)
		}
	}
}

// A store that is down keeps what was confirmed before, and the batches behind are
// not sent.
func TestABatchThatIsNotAnsweredEndsTheCall(t *testing.T) {
	names := manyNames(4 * bucket.PageNames)
	s := newScripted(t, deleteResult(names[:1000]), status(503, "SlowDown"), hangUp, status(500, "InternalError"), status(503, "SlowDown"))
	deleted, err := s.store().Delete(t.Context(), names...)
	var partial *bucket.DeleteError
	if !slices.Equal(deleted, names[:1000]) || !errors.Is(err, bucket.ErrBusy) || !errors.As(err, &partial) ||
		len(partial.Failures) != 3000 || partial.Failures[0].Code != "SlowDown" {
		t.Errorf("%d confirmed, %.300v", len(deleted), err)
	}
	if len(s.seen) != 5 {
		t.Errorf("server saw %d requests, want 5", len(s.seen))
	}
}

// Without DeleteObjects there are eight requests at once, no more; a store that is
// busy is not asked for every name.
func TestSingleDeletesAreBounded(t *testing.T) {
	var now, most atomic.Int64
	s := deletingStore(t, false, func(string, int) string {
		most.Store(max(most.Load(), now.Add(1)))
		return ""
	})
	single := s.always
	s.always = func(w http.ResponseWriter, r *http.Request) {
		single(w, r)
		if r.Method == http.MethodDelete {
			time.Sleep(time.Millisecond)
			now.Add(-1)
		}
	}
	names := manyNames(300)
	if deleted, err := s.store().Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
		t.Errorf("%d confirmed, %v", len(deleted), err)
	}
	if most.Load() < 2 || most.Load() > singleDeletes {
		t.Errorf("%d deletions at once, want 2 to %d", most.Load(), singleDeletes)
	}
	s = deletingStore(t, false, func(string, int) string { return "SlowDown" })
	deleted, err := s.store().Delete(t.Context(), names...)
	if len(deleted) != 0 || !errors.Is(err, bucket.ErrBusy) {
		t.Errorf("a busy store: %d confirmed, %.300v", len(deleted), err)
	}
	if requests := len(s.seen) - 1; requests > 4*2*singleDeletes {
		t.Errorf("a busy store was asked %d times in four attempts", requests)
	}
}

// A thousand slow single deletions take longer than one attempt may without an
// answer: the attempt goes on while they are answered.
func TestSingleDeletesGoOnWhileTheyAreAnswered(t *testing.T) {
	s := deletingStore(t, false, func(string, int) string { return "" })
	single := s.always
	s.always = func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(50 * time.Millisecond)
		single(w, r)
	}
	names := manyNames(100) // 13 rounds of 50 ms
	store := s.store(func(c *Config) { c.Retry.Timeout, c.Retry.Attempts = 300*time.Millisecond, 1 })
	if deleted, err := store.Delete(t.Context(), names...); err != nil || !slices.Equal(deleted, names) {
		t.Errorf("%d confirmed, %.300v", len(deleted), err)
	}
}
