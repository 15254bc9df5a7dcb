package dashboards

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/metadata"
)

// DefaultWindow and DefaultBy are what GET /api/v1/cost takes where a parameter
// is absent.
const (
	DefaultWindow = "1h"
	DefaultBy     = "topic,component,zone"
)

// costQuery is a validated query of GET /api/v1/cost.
type costQuery struct {
	length metadata.UnixMilli
	by     []costmodel.Dimension
	format string
}

// parseCostQuery reads window, by and format; anything else is an error, so
// that a misspelt parameter is not taken for its default.
func parseCostQuery(values url.Values) (costQuery, error) {
	for name, list := range values {
		if !slices.Contains([]string{"window", "by", "format"}, name) {
			return costQuery{}, fmt.Errorf("unknown parameter %q: want window, by or format", name)
		}
		if len(list) != 1 {
			return costQuery{}, fmt.Errorf("parameter %q is given %d times: give it once", name, len(list))
		}
	}
	var q costQuery
	var err error
	if q.length, err = parseWindow(valueOr(values, "window", DefaultWindow)); err != nil {
		return costQuery{}, err
	}
	if q.by, err = costmodel.ParseDimensions(valueOr(values, "by", DefaultBy)); err != nil {
		return costQuery{}, err
	}
	q.format = valueOr(values, "format", "json")
	if !slices.Contains([]string{"json", "csv", "table"}, q.format) {
		return costQuery{}, fmt.Errorf("format %q: want json, csv or table", q.format)
	}
	return q, nil
}

func valueOr(values url.Values, name, fallback string) string {
	if values.Has(name) {
		return values.Get(name)
	}
	return fallback
}

// serveCost answers GET /api/v1/cost.
func (h *handler) serveCost(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		writeError(w, http.StatusBadRequest, fmt.Errorf("query: %w", err))
		return
	}
	q, err := parseCostQuery(query)
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	c, err := h.priceWindow(r.Context(), q.length, false)
	if err != nil {
		h.answerError(w, err)
		return
	}
	report := c.statement.Report(q.by...)
	var body bytes.Buffer
	switch q.format {
	case "csv":
		w.Header().Set("Content-Type", "text/csv; charset=utf-8; header=present")
		w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=\"zonewise-cost-%s-%d.csv\"", windowName(q.length), report.Window.ToMS))
		err = report.WriteCSV(&body)
	case "table":
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		err = report.WriteTable(&body)
	default:
		w.Header().Set("Content-Type", "application/json")
		err = writeJSON(&body, report)
	}
	if err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	_, _ = w.Write(body.Bytes()) // the reader is gone
}

// serveZones answers GET /api/v1/zones.
func (h *handler) serveZones(w http.ResponseWriter, r *http.Request) {
	var body bytes.Buffer
	cluster := h.source.Cluster(r.Context())
	cluster.Zones = append([]Zone{}, cluster.Zones...) // an empty list is [], not null
	cluster.Topics = append([]Topic{}, cluster.Topics...)
	cluster.ClientsMissing = append([]metadata.BrokerID{}, cluster.ClientsMissing...)
	for i := range cluster.Zones {
		z := &cluster.Zones[i]
		z.Brokers, z.Clients = append([]Broker{}, z.Brokers...), append([]Clients{}, z.Clients...)
	}
	if err := writeJSON(&body, cluster); err != nil {
		writeError(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body.Bytes()) // the reader is gone
}

func writeJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return nil
}

// answerError answers and logs a statement that could not be made.
func (h *handler) answerError(w http.ResponseWriter, cause error) {
	if errors.Is(cause, ErrBusy) {
		writeError(w, http.StatusServiceUnavailable, cause)
		return
	}
	h.log.Error("cost request failed", "err", cause)
	writeError(w, http.StatusInternalServerError, cause)
}

// writeError answers with {"error": text}.
func writeError(w http.ResponseWriter, status int, cause error) {
	header := w.Header()
	header.Del("Content-Disposition")
	header.Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = writeJSON(w, map[string]string{"error": cause.Error()}) // the reader is gone
}
