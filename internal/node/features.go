package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/zonewise/zonewise/metadata"
)

// Features are the feature levels of a cluster and of its brokers.
type Features struct {
	Cluster string                `json:"cluster"`
	Level   metadata.FeatureLevel `json:"level"`
	Brokers []BrokerLevels        `json:"brokers"`
	// UpgradeTo is the newest level that all brokers understand; Level where
	// there is nothing to raise.
	UpgradeTo metadata.FeatureLevel `json:"upgrade_to"`
	// Next are the levels above Level that some broker understands.
	Next []NextLevel `json:"next"`
}

// BrokerLevels are the levels that the program of a broker with an open session
// understands.
type BrokerLevels struct {
	ID       metadata.BrokerID     `json:"id"`
	Zone     metadata.ZoneID       `json:"zone"`
	Version  string                `json:"version"`
	MinLevel metadata.FeatureLevel `json:"min_level"`
	MaxLevel metadata.FeatureLevel `json:"max_level"`
}

// NextLevel is a level to which the cluster may be raised.
type NextLevel struct {
	Level  metadata.FeatureLevel `json:"level"`
	Brings string                `json:"brings"` // "": the broker that was asked does not know
	// Missing are the brokers that do not understand it.
	Missing []metadata.BrokerID `json:"missing"`
}

// describeFeatures takes the levels from a state.
func describeFeatures(s *metadata.State) Features {
	f := Features{Level: s.Level(), Brokers: []BrokerLevels{}, Next: []NextLevel{}}
	newest := f.Level
	for _, o := range s.Sessions() {
		f.Brokers = append(f.Brokers, BrokerLevels{ID: o.Broker, Zone: o.Open.Zone, Version: o.Open.Version,
			MinLevel: o.Open.MinLevel, MaxLevel: o.Open.MaxLevel})
		newest = max(newest, o.Open.MaxLevel)
	}
	f.UpgradeTo = f.Level
	for l := f.Level + 1; l <= newest; l++ {
		next := NextLevel{Level: l, Brings: metadata.DescribeLevel(l), Missing: []metadata.BrokerID{}}
		for _, b := range f.Brokers {
			if b.MaxLevel < l {
				next.Missing = append(next.Missing, b.ID)
			}
		}
		if len(next.Missing) == 0 {
			f.UpgradeTo = l
		}
		f.Next = append(f.Next, next)
	}
	return f
}

// readFeatures returns the features behind a barrier.
func (n *Node) readFeatures(ctx context.Context) (f Features, err error) {
	if err := n.replica.Barrier(ctx); err != nil {
		return f, err
	}
	n.replica.View(func(s *metadata.State) { f = describeFeatures(s) })
	f.Cluster = n.cfg.Cluster
	return f, nil
}

// errNoSession: this broker cannot write commands just now.
var errNoSession = errors.New("this broker has no session just now; ask again, or another broker")

// raiseLevel raises the cluster's feature level, one level after the other. A
// level that was reached meanwhile is success. metadata.CodeLevel where a broker
// does not understand the next one.
func (n *Node) raiseLevel(ctx context.Context, to metadata.FeatureLevel) error {
	for {
		f, err := n.readFeatures(ctx)
		if err != nil || f.Level >= to {
			return err
		}
		if err := n.raiseOnce(ctx, f.Level+1); err != nil {
			// Another request may have raised it meanwhile.
			if again, readErr := n.readFeatures(ctx); readErr != nil || again.Level == f.Level {
				return fmt.Errorf("raise the feature level to %d: %w", f.Level+1, err)
			}
		}
	}
}

func (n *Node) raiseOnce(ctx context.Context, to metadata.FeatureLevel) error {
	s := n.currentSession.Load()
	if s == nil {
		return errNoSession
	}
	out, err := s.wal.Submit(ctx, []metadata.Command{metadata.RaiseLevel{To: to}}, nil)
	if err != nil {
		return err
	}
	if out.Code != metadata.CodeOK {
		return fmt.Errorf("%w: %s", out.Code, out.Text)
	}
	if c := out.Commands[0]; c.Code != metadata.CodeOK {
		return fmt.Errorf("%w: %s", c.Code, c.Text)
	}
	n.cfg.Logger.Warn("feature level raised: versions that do not understand it can no longer be used", "level", to)
	return nil
}

// FeaturesPath is where the HTTP interface answers with Features, and takes an
// UpgradeRequest by POST.
const FeaturesPath = "/api/v1/features"

// UpgradeRequest asks for a raise of the feature level. The level is named, so
// that nothing is raised that the caller did not see.
type UpgradeRequest struct {
	Level metadata.FeatureLevel `json:"level"`
}

// serveFeatures answers with the features.
func (n *Node) serveFeatures(w http.ResponseWriter, r *http.Request) {
	f, err := n.readFeatures(r.Context())
	if err != nil {
		writeJSON(w, http.StatusServiceUnavailable, errorBody{err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, f)
}

// serveUpgrade raises the feature level and answers with the features then. The
// body must be declared as JSON: a browser does not send that for a page of
// another site.
func (n *Node) serveUpgrade(w http.ResponseWriter, r *http.Request) {
	var req UpgradeRequest
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, peerBodyLimit)).Decode(&req)
	if kind != "application/json" || err != nil || req.Level == 0 {
		writeJSON(w, http.StatusBadRequest, errorBody{`want Content-Type application/json and {"level": N}`})
		return
	}
	err = n.raiseLevel(r.Context(), req.Level)
	switch {
	case errors.Is(err, metadata.CodeLevel):
		writeJSON(w, http.StatusConflict, errorBody{err.Error()})
	case err != nil:
		writeJSON(w, http.StatusServiceUnavailable, errorBody{err.Error()})
	default:
		n.serveFeatures(w, r)
	}
}

// errorBody is the answer to a request that failed.
type errorBody struct {
	Error string `json:"error"`
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	_ = e.Encode(value) // the reader is gone
}
