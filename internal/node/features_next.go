//go:build nextlevel

package node

import (
	"fmt"
	"net/http"

	"github.com/zonewise/zonewise/metadata"
)

// handleNextLevel adds the paths by which a test writes and reads what
// metadata/level_next.go adds.
func (n *Node) handleNextLevel(mux *http.ServeMux) {
	mux.HandleFunc("POST /test/probe", func(w http.ResponseWriter, r *http.Request) {
		s := n.currentSession.Load()
		if s == nil {
			http.Error(w, errNoSession.Error(), http.StatusServiceUnavailable)
			return
		}
		out, err := s.wal.Submit(r.Context(), []metadata.Command{metadata.CountProbe{Add: 1}}, nil)
		if err == nil && out.Code != metadata.CodeOK {
			err = fmt.Errorf("%w: %s", out.Code, out.Text)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		fmt.Fprintln(w, out.Commands[0].Value)
	})
	mux.HandleFunc("GET /test/probe", func(w http.ResponseWriter, r *http.Request) {
		if err := n.replica.Barrier(r.Context()); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		n.replica.View(func(s *metadata.State) { fmt.Fprintln(w, s.Probes()) })
	})
}
