package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/node"
	"github.com/zonewise/zonewise/metadata"
)

// featuresServer is a broker that knows levels up to 3 of a cluster at level 1,
// one of whose brokers understands fewer. raised has what it was asked for.
func featuresServer(t *testing.T, most metadata.FeatureLevel) (url string, raised *[]metadata.FeatureLevel) {
	t.Helper()
	f := node.Features{Cluster: "main", Level: 1, UpgradeTo: most,
		Brokers: []node.BrokerLevels{{ID: 0, Zone: "a", Version: "0.4.0", MinLevel: 1, MaxLevel: 3}, {ID: 4, Zone: "b", Version: "0.3.1", MinLevel: 1, MaxLevel: most}},
		Next:    []node.NextLevel{{Level: 2, Brings: "spans in segments", Missing: []metadata.BrokerID{}}, {Level: 3, Missing: []metadata.BrokerID{4}}}}
	if most < 2 {
		f.Next[0].Missing = []metadata.BrokerID{4}
	}
	raised = new([]metadata.FeatureLevel)
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter) { _ = json.NewEncoder(w).Encode(f) }
	mux.HandleFunc("GET "+node.FeaturesPath, func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	mux.HandleFunc("POST "+node.FeaturesPath, func(w http.ResponseWriter, r *http.Request) {
		var req node.UpgradeRequest
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%v, %s", err, r.Header)
		}
		*raised = append(*raised, req.Level)
		f.Level = req.Level
		f.Next = f.Next[1:]
		answer(w)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s.URL, raised
}

func TestFeaturesShowSaysWhatIsInTheWay(t *testing.T) {
	url, _ := featuresServer(t, 2)
	code, out, stderr := zonewise(t, "features", "show", "--server", url)
	if code != cli.ExitOK || stderr != "" {
		t.Errorf("exit %d, %s", code, stderr)
	}
	golden(t, "features-show.txt", out)
	var f node.Features
	if code, out, _ := zonewise(t, "features", "show", "--server", url, "--format", "json"); code != cli.ExitOK || json.Unmarshal([]byte(out), &f) != nil || f.UpgradeTo != 2 {
		t.Errorf("exit %d, %s", code, out)
	}
}

func TestFeaturesUpgradeAsksFirst(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     []string
		terminal io.Reader
		most     metadata.FeatureLevel
		code     int
		said     string
		raised   []metadata.FeatureLevel
	}{
		{name: "no terminal", most: 2, code: cli.ExitUsage, said: "give --yes"},
		{name: "/dev/null", terminal: strings.NewReader(""), most: 2, code: cli.ExitUsage, said: "give --yes"},
		{name: "no", terminal: strings.NewReader("no\n"), most: 2, code: cli.ExitFailure, said: "nothing was changed"},
		{name: "just Return", terminal: strings.NewReader("\n"), most: 2, code: cli.ExitFailure, said: "nothing was changed"},
		{name: "yes", terminal: strings.NewReader("yes\n"), most: 2, code: cli.ExitOK, said: "Rolling back ends here", raised: []metadata.FeatureLevel{2}},
		{name: "--yes", args: []string{"--yes", "--format", "json"}, most: 2, code: cli.ExitOK, said: "Rolling back ends here", raised: []metadata.FeatureLevel{2}},
		{name: "an old broker", args: []string{"--yes"}, most: 1, code: cli.ExitOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, raised := featuresServer(t, c.most)
			var out, said bytes.Buffer
			p := program(nil, &out, &said)
			p.Terminal = c.terminal
			code := p.Main(t.Context(), append([]string{"features", "upgrade", "--server", url}, c.args...))
			if code != c.code || !strings.Contains(said.String(), c.said) || !slices.Equal(*raised, c.raised) {
				t.Errorf("exit %d, raised to %v, want %d and %v; it said:\n%s", code, *raised, c.code, c.raised, &said)
			}
			if slices.Contains(c.args, "json") && !json.Valid(out.Bytes()) {
				t.Errorf("stdout is no JSON: %s", &out)
			}
		})
	}
}
