package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/zonewise/zonewise/internal/node"
)

// drainTimeout is how long a broker may take to finish its work after a signal
// to stop. systemd and others kill after 90 s or less.
const drainTimeout = 30 * time.Second

// drainAll drains nodes at the same time and closes them.
func drainAll(nodes []*node.Node) error {
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { errs[i] = n.Drain(ctx) })
	}
	wg.Wait()
	closeAll(nodes)
	return errors.Join(errs...)
}

func closeAll(nodes []*node.Node) {
	var wg sync.WaitGroup
	for _, n := range nodes {
		wg.Go(n.Close)
	}
	wg.Wait()
}

// httpServer is a running HTTP server.
type httpServer struct {
	server *http.Server
	done   chan struct{}
}

// serveHTTP serves h on ln; failed receives the error that ended it, if not
// stop.
func serveHTTP(ln net.Listener, h http.Handler, logger *slog.Logger, failed func(error)) *httpServer {
	w := &httpServer{server: node.NewHTTPServer(h), done: make(chan struct{})}
	// What net/http logs about single connections: "TLS handshake error
	// from ...".
	w.server.ErrorLog = slog.NewLogLogger(logger.With("listener", ln.Addr().String()).Handler(), slog.LevelInfo)
	go func() {
		defer close(w.done)
		if err := w.server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("serve http on %s: %w", ln.Addr(), err))
		}
	}()
	return w
}

// stop ends it; answers under way have a second.
func (w *httpServer) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		_ = w.server.Close() // it was given its time
	}
	<-w.done
}

// processMetrics are what the process uses: processor, memory, files, Go's runtime.
// go_gc_heap_live_bytes is the heap that the last collection found alive: what grows
// there is kept for ever.
func processMetrics() prometheus.Gatherer {
	r := prometheus.NewRegistry()
	live := collectors.GoRuntimeMetricsRule{Matcher: regexp.MustCompile(`^/gc/heap/live:bytes$`)}
	r.MustRegister(collectors.NewGoCollector(collectors.WithGoCollectorRuntimeMetrics(live)), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}
