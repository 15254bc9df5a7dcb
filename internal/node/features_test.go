package node

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/metadata"
)

func TestFeaturesAreShownAndTheLevelIsNotRaisedBeyondWhatBrokersUnderstand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newBubbleCluster(t, time.Millisecond)
		defer c.close()
		n := c.start("a", "a")
		c.start("b", "b")
		book, err := costmodel.Default()
		if err != nil {
			t.Fatal(err)
		}
		h, err := n.HTTPHandler(book, prometheus.NewRegistry())
		if err != nil {
			t.Fatal(err)
		}
		send := func(method, kind, body string) *httptest.ResponseRecorder {
			r := httptest.NewRequestWithContext(t.Context(), method, FeaturesPath, strings.NewReader(body))
			r.Header.Set("Content-Type", kind)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			return w
		}
		var f Features
		if err := json.Unmarshal(send("GET", "", "").Body.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		if f.Cluster != "main" || f.Level != metadata.MinFeatureLevel || f.UpgradeTo != metadata.MaxFeatureLevel || len(f.Brokers) != 2 ||
			f.Brokers[1].Zone != "b" || f.Brokers[1].MaxLevel != metadata.MaxFeatureLevel {
			t.Errorf("%+v", f)
		}
		for _, bad := range []struct {
			kind, body, want string
			status           int
		}{
			{"application/json", `{"level": 99}`, "feature level", http.StatusConflict},
			{"text/plain", `{"level": 2}`, "application/json", http.StatusBadRequest}, // as a page of another site can send it
			{"application/json", `{}`, "level", http.StatusBadRequest},
			{"application/json", `raise`, "level", http.StatusBadRequest},
		} {
			w := send("POST", bad.kind, bad.body)
			var answer struct{ Error string }
			if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || w.Code != bad.status || !strings.Contains(answer.Error, bad.want) {
				t.Errorf("%s of %s: %d %s", bad.body, bad.kind, w.Code, w.Body)
			}
		}
		if w := send("POST", "application/json; charset=utf-8", `{"level": 1}`); w.Code != http.StatusOK || !strings.Contains(w.Body.String(), `"level": 1`) {
			t.Errorf("a level that was reached before: %d %s", w.Code, w.Body)
		}
	})
}
