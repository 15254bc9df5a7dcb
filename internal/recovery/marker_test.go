package recovery

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/s3stream/bucket"
)

const goldenMarker = `{"incarnation":2,"base":1099511627776,"archive":"1/archive/0000000000000004/0000000000000008-1","generation":4,"revision":3389}`

func TestAMarkerIsStoredAsTheDocumentSays(t *testing.T) {
	b := bucket.NewMem()
	if err := b.Put(t.Context(), "incarnation/00000002", []byte(goldenMarker)); err != nil {
		t.Fatal(err)
	}
	m, err := readMarker(t.Context(), b, MarkerKey(2))
	if err != nil {
		t.Fatal(err)
	}
	if body, err := json.Marshal(m); err != nil || string(body) != goldenMarker {
		t.Errorf("%s, %v", body, err)
	}
}

func TestAMarkerThatContradictsItselfIsRefused(t *testing.T) {
	for name, body := range map[string]string{
		"no JSON":             "hello",
		"first incarnation":   strings.Replace(goldenMarker, `"incarnation":2`, `"incarnation":1`, 1),
		"another incarnation": strings.Replace(strings.Replace(goldenMarker, `"incarnation":2`, `"incarnation":3`, 1), "1099511627776", "2199023255552", 1),
		"another base":        strings.Replace(goldenMarker, "1099511627776", "1099511627777", 1),
		"no archive":          strings.Replace(goldenMarker, "1/archive/0000000000000004/0000000000000008-1", "", 1),
		"revision past base":  strings.Replace(goldenMarker, "3389", "1099511627776", 1),
	} {
		b := bucket.NewMem()
		if err := b.Put(t.Context(), MarkerKey(2), []byte(body)); err != nil {
			t.Fatal(err)
		}
		if m, err := readMarker(t.Context(), b, MarkerKey(2)); err == nil {
			t.Errorf("%s: %+v", name, m)
		}
	}
}

func FuzzNamesOfArchivesAndCheckpoints(f *testing.F) {
	f.Add("0000000000000004/0000000000000008-1")
	f.Add("000000000000002a-0000000000000008")
	f.Add("")
	f.Fuzz(func(t *testing.T, name string) {
		if n, ok := numberIn(name); ok && fmt.Sprintf("%016x", n) != strings.ToLower(name[:16]) {
			t.Errorf("%q is %d", name, n)
		}
	})
}
