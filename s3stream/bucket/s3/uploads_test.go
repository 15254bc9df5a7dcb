package s3

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

// uploadsPage answers a ListMultipartUploads ("name id", by age).
func uploadsPage(more bool, uploads map[string]time.Duration) http.HandlerFunc {
	var out strings.Builder
	fmt.Fprintf(&out, "<ListMultipartUploadsResult><IsTruncated>%v</IsTruncated><NextKeyMarker>key</NextKeyMarker><NextUploadIdMarker>id</NextUploadIdMarker>", more)
	for upload, age := range uploads {
		name, id, _ := strings.Cut(upload, " ")
		fmt.Fprintf(&out, "<Upload><Key>%s</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", name, id, time.Now().Add(-age).UTC().Format(time.RFC3339))
	}
	out.WriteString("</ListMultipartUploadsResult>")
	return content(200, out.String())
}

func TestOldUploadsAreListedAndAborted(t *testing.T) {
	var queries []string
	note := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			queries = append(queries, fmt.Sprint(r.Method, " ", r.URL.Path, " ", q.Get("prefix"), q.Get("uploadId"), " ", q.Get("key-marker"), q.Get("upload-id-marker")))
			next(w, r)
		}
	}
	s := newScripted(t, note(uploadsPage(true, map[string]time.Duration{"folder/c/old 1": 48 * time.Hour})), note(uploadsPage(false, map[string]time.Duration{"folder/c/young 2": time.Hour})),
		note(status(503, "SlowDown")), note(content(204, "")), note(status(404, "NoSuchUpload")))
	store := bucket.Prefix(s.store(func(c *Config) { c.Prefix = "folder" }), "c").(bucket.UploadAborter)
	found, err := store.ListUploads(t.Context(), "", 24*time.Hour)
	if err != nil || len(found) != 1 || found[0].Name != "old" || found[0].ID != "1" || found[0].Begun == 0 {
		t.Fatalf("uploads older than a day: %v, %v; want one", found, err)
	}
	found = append(found, bucket.Upload{Name: "gone", ID: "3"})
	if aborted, err := store.AbortUploads(t.Context(), found...); err != nil || aborted != 2 {
		t.Errorf("aborted %d, %v; want 2", aborted, err)
	}
	want := []string{"GET /unit-test folder/c/ ", "GET /unit-test folder/c/ keyid",
		"DELETE /unit-test/folder/c/old 1 ", "DELETE /unit-test/folder/c/old 1 ", "DELETE /unit-test/folder/c/gone 3 "}
	if !slices.Equal(queries, want) {
		t.Errorf("server saw %q, want %q", queries, want)
	}
}

func TestUploadsThatCannotBeListedOrAborted(t *testing.T) {
	for code, name := range map[int]string{501: "NotImplemented", 405: "MethodNotAllowed"} {
		s := newScripted(t, status(code, name))
		if found, err := s.store().ListUploads(t.Context(), "", 0); !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, bucket.ErrBusy) || len(s.seen) != 1 {
			t.Errorf("%d: %v, %v after %d requests; want it unsupported", code, found, err, len(s.seen))
		}
	}
	s := newScripted(t, status(403, "AccessDenied"))
	if _, err := s.store().ListUploads(t.Context(), "", 0); !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "s3:ListBucketMultipartUploads") {
		t.Errorf("denied: %v, want the permission named", err)
	}
	s = newScripted(t, status(403, "AccessDenied"), content(204, ""))
	aborted, err := s.store().AbortUploads(t.Context(), bucket.Upload{Name: "a", ID: "1"}, bucket.Upload{Name: "b", ID: "2"})
	if aborted != 1 || !errors.Is(err, bucket.ErrDenied) || !strings.Contains(err.Error(), "s3:AbortMultipartUpload") || !strings.Contains(err.Error(), "1 of 2") {
		t.Errorf("one of two denied: %d aborted, %v", aborted, err)
	}
	s = newScripted(t, hangUp, hangUp, hangUp, hangUp)
	if aborted, err := s.store().AbortUploads(t.Context(), bucket.Upload{Name: "a", ID: "1"}, bucket.Upload{Name: "b", ID: "2"}); aborted != 0 || !errors.Is(err, bucket.ErrBusy) || s.countSeen() != 4 {
		t.Errorf("no answer: %d aborted, %v after %d requests", aborted, err, s.countSeen())
	}
}

func TestVersioningIsToldAndItsAbsenceIsNoFault(t *testing.T) {
	for _, c := range []struct {
		answer http.HandlerFunc
		want   Versioning
		warn   string
		fails  bool
	}{
		{content(200, `<VersioningConfiguration></VersioningConfiguration>`), VersioningOff, "", false},
		{content(200, `<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`), VersioningEnabled, "NoncurrentVersionExpiration", false},
		{content(200, `<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>`), VersioningSuspended, "ExpiredObjectDeleteMarker", false},
		{status(403, "AccessDenied"), VersioningOff, "", true},
		{status(501, "NotImplemented"), VersioningOff, "", true},
		{hangUp, VersioningOff, "", true},
	} {
		s := newScripted(t, c.answer)
		var causes []bucket.Cause
		got, err := s.store().Versioning(bucket.WithObserver(t.Context(), func(a bucket.Attempt) { causes = append(causes, a.Cause) }))
		if got != c.want || (err != nil) != c.fails || s.countSeen() != 1 || !slices.Equal(causes, []bucket.Cause{bucket.CauseProbe}) {
			t.Errorf("versioning %q, %v, want %q", got, err, c.want)
		}
		if warning := got.Warning(); (warning == "") != (c.warn == "") || !strings.Contains(warning, c.warn) {
			t.Errorf("versioning %q: warning %q", got, warning)
		}
	}
}
