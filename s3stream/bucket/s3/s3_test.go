package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// scripted is a server that answers the n'th request as the n'th part of its
// script says, and writes down what it was asked.
type scripted struct {
	t      *testing.T
	server *httptest.Server

	always http.HandlerFunc // in place of a script; set before the first request

	mu     sync.Mutex
	script []http.HandlerFunc // guarded by mu
	seen   []string           // guarded by mu
	bodies []string           // guarded by mu
}

func newScripted(t *testing.T, script ...http.HandlerFunc) *scripted {
	s := &scripted{t: t, script: script}
	s.server = httptest.NewServer(s)
	t.Cleanup(s.server.Close)
	return s
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.seen = append(s.seen, r.Method+" "+r.URL.Path)
	s.bodies = append(s.bodies, string(body))
	answer := status(599, "ScriptIsOver")
	if len(s.script) > 0 {
		answer, s.script = s.script[0], s.script[1:]
	}
	s.mu.Unlock()
	if s.always != nil {
		answer = s.always
		r.Body = io.NopCloser(strings.NewReader(string(body)))
	}
	answer(w, r)
}

// countSeen counts the requests so far. After a connection that was hung up, nothing
// but the lock orders the server's writes before the test's reads.
func (s *scripted) countSeen() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

// store opens a Store on the server, quick to retry.
func (s *scripted) store(change ...func(*Config)) *Store {
	s.t.Helper()
	config := Config{
		Bucket: "unit-test", Endpoint: s.server.URL, Region: "eu-west-1", PathStyle: true,
		AccessKey: "access", SecretKey: "secret",
		Retry: bucket.RetryConfig{Attempts: 4, Base: time.Microsecond, Cap: time.Millisecond, Timeout: 5 * time.Second, PerSecond: 1 << 20},
	}
	for _, f := range change {
		f(&config)
	}
	store, err := Open(s.t.Context(), config)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(store.Close)
	return store
}

func status(code int, s3code string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			_, _ = fmt.Fprintf(w, "<Error><Code>%s</Code><Message>scripted</Message></Error>", s3code)
		}
	}
}

func content(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// hangUp closes the connection without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }

// cutShort promises ten bytes and gives four.
func cutShort(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "10")
	w.WriteHeader(http.StatusPartialContent)
	_, _ = io.WriteString(w, "0123")
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// silent answers nothing until the client goes away.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func TestAnswersToPut(t *testing.T) {
	for _, c := range []struct {
		name     string
		script   []http.HandlerFunc
		want     error
		statuses []int
	}{
		{"200", []http.HandlerFunc{content(200, "")}, nil, []int{200}},
		{"403 is denied at once", []http.HandlerFunc{status(403, "AccessDenied")}, bucket.ErrDenied, []int{403}},
		{"401 is denied at once", []http.HandlerFunc{status(401, "Unauthorized")}, bucket.ErrDenied, []int{401}},
		{"expired token is denied at once", []http.HandlerFunc{status(400, "ExpiredToken")}, bucket.ErrDenied, []int{400}},
		{"no such bucket is denied at once", []http.HandlerFunc{status(404, "NoSuchBucket")}, bucket.ErrDenied, []int{404}},
		{"412 at first is somebody else's", []http.HandlerFunc{status(412, "PreconditionFailed")}, bucket.ErrExists, []int{412}},
		{"lost reply, then 412, and it is ours", []http.HandlerFunc{hangUp, status(412, "PreconditionFailed"), content(200, "mine")}, nil, []int{0, 412, 200}},
		{"500, then 412, and it is not ours", []http.HandlerFunc{status(500, "InternalError"), status(412, "PreconditionFailed"), content(200, "theirs")}, bucket.ErrExists, []int{500, 412, 200}},
		{"lost reply, 412, 503 to the comparison, 412, ours", []http.HandlerFunc{hangUp, status(412, "PreconditionFailed"), status(503, "SlowDown"), status(412, "PreconditionFailed"), content(200, "mine")}, nil, []int{0, 412, 503, 412, 200}},
		{"409 is tried again", []http.HandlerFunc{status(409, "ConditionalRequestConflict"), content(200, "")}, nil, []int{409, 200}},
		{"429 is tried again", []http.HandlerFunc{status(429, "TooManyRequests"), content(200, "")}, nil, []int{429, 200}},
		{"slow body and bad digest are tried again", []http.HandlerFunc{status(400, "RequestTimeout"), status(400, "BadDigest"), content(200, "")}, nil, []int{400, 400, 200}},
		{"5xx four times is busy", []http.HandlerFunc{status(500, "InternalError"), status(503, "SlowDown"), status(502, ""), status(504, "")}, bucket.ErrBusy, []int{500, 503, 502, 504}},
		{"no answer four times is busy", []http.HandlerFunc{hangUp, hangUp, hangUp, hangUp}, bucket.ErrBusy, []int{0, 0, 0, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScripted(t, c.script...)
			var got []int
			ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) { got = append(got, a.Status) })
			err := s.store().Put(ctx, "a/b", []byte("mine"))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("put: %v, want %v", err, c.want)
			}
			if !slices.Equal(got, c.statuses) || s.countSeen() != len(got) {
				t.Errorf("reported %v, want %v; the server saw %d", got, c.statuses, s.countSeen())
			}
			if err != nil && (strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), `"a/b"`)) {
				t.Errorf("error names no object, or a secret: %v", err)
			}
		})
	}
}

func TestOtherStatusesAreErrorsThatAreNotRetried(t *testing.T) {
	for _, code := range []int{301, 307, 400, 404, 405, 501 - 99} {
		s := newScripted(t, status(code, "Odd"))
		err := s.store().Put(t.Context(), "x", nil)
		if err == nil || errors.Is(err, bucket.ErrBusy) || errors.Is(err, bucket.ErrNotFound) || len(s.seen) != 1 {
			t.Errorf("status %d: %v after %d requests, want a plain error after 1", code, err, len(s.seen))
		}
	}
}

func TestAnswersToGet(t *testing.T) {
	for _, c := range []struct {
		name        string
		off, length int64
		script      []http.HandlerFunc
		want        string
		err         error
		attempts    []string // status and bytes
	}{
		{"whole", 0, -1, []http.HandlerFunc{content(200, "0123456789")}, "0123456789", nil, []string{"200 10"}},
		{"range", 2, 3, []http.HandlerFunc{content(206, "234")}, "234", nil, []string{"206 3"}},
		{"404", 0, -1, []http.HandlerFunc{status(404, "NoSuchKey")}, "", bucket.ErrNotFound, []string{"404 0"}},
		{"404 of the bucket", 0, -1, []http.HandlerFunc{status(404, "NoSuchBucket")}, "", bucket.ErrDenied, []string{"404 0"}},
		{"403", 0, -1, []http.HandlerFunc{status(403, "AccessDenied")}, "", bucket.ErrDenied, []string{"403 0"}},
		{"416", 20, 3, []http.HandlerFunc{status(416, "InvalidRange")}, "", bucket.ErrRange, []string{"416 0"}},
		{"suffix of an empty object", -4, -1, []http.HandlerFunc{status(416, "InvalidRange")}, "", nil, []string{"416 0"}},
		{"suffix longer than the object, answered whole", -40, -1, []http.HandlerFunc{content(200, "0123")}, "0123", nil, []string{"200 4"}},
		{"cut short, then whole", 0, 10, []http.HandlerFunc{cutShort, content(206, "0123456789")}, "0123456789", nil, []string{"206 4", "206 10"}},
		{"cut short four times", 0, 10, []http.HandlerFunc{cutShort, cutShort, cutShort, cutShort}, "", bucket.ErrBusy, []string{"206 4", "206 4", "206 4", "206 4"}},
		{"503, hung up, then an answer", 0, 10, []http.HandlerFunc{status(503, "SlowDown"), hangUp, content(206, "0123456789")}, "0123456789", nil, []string{"503 0", "0 0", "206 10"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScripted(t, c.script...)
			var got []string
			ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) { got = append(got, fmt.Sprint(a.Status, " ", a.Bytes)) })
			body, err := s.store().Get(ctx, "x", c.off, c.length)
			if string(body) != c.want || !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
				t.Errorf("get: %q, %v; want %q, %v", body, err, c.want, c.err)
			}
			if !slices.Equal(got, c.attempts) {
				t.Errorf("reported %q, want %q", got, c.attempts)
			}
		})
	}
}

func TestARangeThatIsNotKeptToIsAnError(t *testing.T) {
	s := newScripted(t, content(200, "0123456789"))
	if body, err := s.store().Get(t.Context(), "x", 2, 3); err == nil || !strings.Contains(err.Error(), "Range") {
		t.Errorf("get of a range, answered with everything: %q, %v", body, err)
	}
}

func TestAWholeObjectThatDoesNotMatchItsChecksumIsReadAgain(t *testing.T) {
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Amz-Checksum-Crc32c", crc32c([]byte("0123456789")))
			content(200, body)(w, r)
		}
	}
	s := newScripted(t, answer("012345678X"), answer("0123456789"))
	body, err := s.store().Get(t.Context(), "x", 0, -1)
	if err != nil || string(body) != "0123456789" || len(s.seen) != 2 {
		t.Errorf("get: %q, %v after %d requests; want the right bytes after 2", body, err, len(s.seen))
	}
}

func TestAPutIsConditionalAndCarriesItsChecksum(t *testing.T) {
	for _, secure := range []bool{false, true} {
		var header http.Header
		note := func(w http.ResponseWriter, r *http.Request) { header = r.Header.Clone() }
		s := newScripted(t, note, note)
		store := s.store()
		if secure { // ask for what Open would ask of an https endpoint, without a certificate
			store.requests.unsigned.Store(true)
		}
		if err := store.Put(t.Context(), "a/b c", []byte("body")); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"If-None-Match": "*", "X-Amz-Checksum-Crc32c": crc32c([]byte("body")), "Content-Length": "4", "Content-Encoding": "", "Expect": "",
		} {
			if got := header.Get(name); got != want {
				t.Errorf("secure %v: header %s is %q, want %q", secure, name, got, want)
			}
		}
		if got := header.Get("X-Amz-Content-Sha256"); (got == "UNSIGNED-PAYLOAD") != secure {
			t.Errorf("secure %v: payload is signed as %q", secure, got)
		}
		known := bucket.WithChecksum(t.Context(), 0x12345678)
		if err := store.Put(known, "known", []byte("body")); err == nil && header.Get("X-Amz-Checksum-Crc32c") != encodeCRC(0x12345678) {
			t.Errorf("secure %v: a checksum that was given is sent as %q", secure, header.Get("X-Amz-Checksum-Crc32c"))
		}
		if s.bodies[0] != "body" || s.seen[0] != "PUT /unit-test/a/b c" {
			t.Errorf("server saw %q with %q", s.seen[0], s.bodies[0])
		}
	}
}

// Over plain http the hash is left out where the store takes that, and looks at
// the checksum that guards the body then. Where it refuses, or takes anything,
// everything stays as it was.
func TestBodiesAreNotHashedWhereTheStoreTakesThat(t *testing.T) {
	var hashes []string
	note := func(answer http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPut {
				hashes = append(hashes, r.Header.Get("X-Amz-Content-Sha256"))
			}
			answer(w, r)
		}
	}
	digest, ok, gone := status(400, "BadDigest"), content(200, ""), content(204, "")
	for _, c := range []struct {
		name   string
		script []http.HandlerFunc
		skips  bool
	}{
		{"takes it", []http.HandlerFunc{digest, ok, gone}, true},
		{"takes any body", []http.HandlerFunc{ok, gone}, false},
		{"refuses what is unsigned", []http.HandlerFunc{status(400, "InvalidRequest"), status(400, "InvalidRequest"), gone}, false},
		{"denies it", []http.HandlerFunc{status(403, "AccessDenied")}, false},
		{"does not know it", []http.HandlerFunc{status(501, "NotImplemented"), status(501, "NotImplemented"), gone}, false},
		{"is away", []http.HandlerFunc{hangUp, hangUp, gone}, false},
	} {
		hashes = nil
		s := newScripted(t)
		for _, answer := range append(c.script, ok) {
			s.script = append(s.script, note(answer))
		}
		store := s.store(func(c *Config) { c.Prefix = "folder" })
		err := store.SkipBodyHash(t.Context(), "nonce")
		if (err == nil) != c.skips {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := store.Put(t.Context(), "x", []byte("y")); err != nil {
			t.Errorf("%s: put: %v", c.name, err)
		}
		if got := hashes[len(hashes)-1]; (got == "UNSIGNED-PAYLOAD") != c.skips {
			t.Errorf("%s: payload is signed as %q", c.name, got)
		}
		if c.skips && (s.seen[1] != "PUT /unit-test/folder/probe/nonce/unsigned" || s.seen[2] != "DELETE /unit-test/folder/probe/nonce/unsigned") {
			t.Errorf("%s: the server saw %q", c.name, s.seen)
		}
	}
}

func TestAttemptsTimeOutEachAndTheCallersContextEndsAll(t *testing.T) {
	s := newScripted(t, silent, content(200, ""))
	store := s.store(func(c *Config) { c.Retry.Timeout = 500 * time.Millisecond })
	if err := store.Put(t.Context(), "x", nil); err != nil {
		t.Errorf("put after a silent attempt: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s = newScripted(t, func(w http.ResponseWriter, r *http.Request) {
		cancel()
		silent(w, r)
	})
	attempts := 0
	ctx = bucket.WithObserver(ctx, func(a bucket.Attempt) {
		attempts++
		if a.Status != 0 || a.Billable() {
			t.Errorf("attempt %v, want one without an answer", a)
		}
	})
	if err := s.store().Put(ctx, "x", []byte("y")); !errors.Is(err, context.Canceled) || attempts != 1 {
		t.Errorf("put given up by its caller: %v after %d attempts", err, attempts)
	}
}

func TestListGoesOnWhereAPageIsShort(t *testing.T) {
	page := func(more bool, names ...string) http.HandlerFunc {
		var out strings.Builder
		fmt.Fprintf(&out, "<ListBucketResult><IsTruncated>%v</IsTruncated>", more)
		for _, name := range names {
			fmt.Fprintf(&out, "<Contents><Key>%s</Key><Size>3</Size><LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents>", name)
		}
		out.WriteString("</ListBucketResult>")
		return content(200, out.String())
	}
	var after []string
	note := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			after = append(after, r.URL.Query().Get("start-after"))
			next(w, r)
		}
	}
	s := newScripted(t, note(page(true, "p/a", "p/b")), note(page(true, "p/c")), note(status(503, "SlowDown")), note(page(true, "p/a", "p/b")), note(page(false, "p/c")))
	infos, err := s.store().List(t.Context(), "p/", "", 0)
	if err != nil || len(infos) != 3 || infos[2] != (bucket.Info{Name: "p/c", Size: 3, Modified: 1767323045678}) {
		t.Errorf("list: %v, %v; want p/a, p/b, p/c", infos, err)
	}
	if want := []string{"", "p/b", "p/c", "", "p/b"}; !slices.Equal(after, want) {
		t.Errorf("pages began after %q, want %q", after, want)
	}
}

func TestWithoutCredentialsNothingIsSentAndAccessIsDenied(t *testing.T) {
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_PROFILE": "",
	} {
		t.Setenv(name, value)
	}
	s := newScripted(t)
	ctx := bucket.WithObserver(t.Context(), func(a bucket.Attempt) { t.Errorf("reported %v", a) })
	store := s.store(func(c *Config) { c.AccessKey, c.SecretKey = "", "" })
	if err := store.Put(ctx, "x", nil); !errors.Is(err, bucket.ErrDenied) || len(s.seen) != 0 {
		t.Errorf("put without credentials: %v, %d requests; want ErrDenied and none", err, len(s.seen))
	}
}

func TestCredentialsComeFromTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "from-environment")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "s")
	var signed string
	s := newScripted(t, func(_ http.ResponseWriter, r *http.Request) { signed = r.Header.Get("Authorization") })
	if err := s.store(func(c *Config) { c.AccessKey, c.SecretKey = "", "" }).Put(t.Context(), "x", nil); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(signed, "Credential=from-environment/") || !strings.Contains(signed, "/eu-west-1/s3/") {
		t.Errorf("signed as %q", signed)
	}
}

func TestVirtualHostStyleNamesTheBucketInTheHost(t *testing.T) {
	var host string
	s := newScripted(t, func(_ http.ResponseWriter, r *http.Request) { host = r.Host })
	// unit-test.localhost need not resolve: every address is dialled as the server's.
	store := s.store(func(c *Config) {
		c.PathStyle = false
		c.Endpoint = strings.Replace(c.Endpoint, "127.0.0.1", "store.test", 1)
	})
	dialTo(store.transport, s.server.Listener.Addr().String())
	if err := store.Put(t.Context(), "a/b", nil); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(host, "unit-test.store.test:") || s.seen[0] != "PUT /a/b" {
		t.Errorf("host %q, %q; want the bucket in the host and not in the path", host, s.seen[0])
	}
}
