package node

import (
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/dashboards"
)

// HTTPHandler returns the handler of a broker's HTTP interface: the page and
// the API, /metrics, /healthz and /readyz. Requests other than GET change
// something; who may send them is for the caller to decide. more are metrics of the process:
// several nodes may share one.
func (n *Node) HTTPHandler(book *costmodel.Book, more prometheus.Gatherer) (http.Handler, error) {
	pages, err := dashboards.New(&source{n: n}, dashboards.Config{Book: book, Logger: n.cfg.Logger})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.HandleFunc("GET "+FeaturesPath, n.serveFeatures)
	mux.HandleFunc("POST "+FeaturesPath, n.serveUpgrade)
	n.handleNextLevel(mux)
	// In OpenMetrics the Go runtime's go_memstats_alloc_bytes and its
	// counter of that name clash, which strict parsers (prometheus_client)
	// refuse; the text format expresses all of our metrics.
	mux.Handle("GET /metrics", promhttp.HandlerFor(prometheus.Gatherers{n.cfg.Metrics, more}, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { writeHealth(w, n.ctx.Err()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		alarms, _ := n.limits.activeAlarms()
		writeHealth(w, n.Ready(), alarms...)
	})
	return mux, nil
}

// writeHealth writes ok followed by the active alarms, or the error.
func writeHealth(w http.ResponseWriter, err error, alarms ...string) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
	for _, a := range alarms {
		fmt.Fprintln(w, "ALARM:", a)
	}
}

// Limits of the HTTP interface: a header that is read slowly, or a connection
// that idles, ends.
const (
	httpHeaderTimeout = 5 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpHeaderBytes   = 16 << 10
)

// NewHTTPServer returns a server with these limits.
func NewHTTPServer(h http.Handler) *http.Server {
	return &http.Server{Handler: h, ReadHeaderTimeout: httpHeaderTimeout, IdleTimeout: httpIdleTimeout, MaxHeaderBytes: httpHeaderBytes}
}
