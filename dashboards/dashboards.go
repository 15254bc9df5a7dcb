package dashboards

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"

	"github.com/zonewise/zonewise/costmodel"
)

//go:embed templates/*.html static/*
var files embed.FS

// Config configures New.
type Config struct {
	Book   *costmodel.Book // required
	Logger *slog.Logger    // required
}

// Validate names what is missing.
func (c Config) Validate() error {
	if c.Book == nil || c.Logger == nil {
		return errors.New("dashboards config: need a price book and a logger")
	}
	return nil
}

// handler serves the page and the API. Only statementSlots changes.
type handler struct {
	source         Source
	book           *costmodel.Book
	log            *slog.Logger
	page           *template.Template
	style          string        // path of the style sheet, with its hash
	statementSlots chan struct{} // one token per statement being worked out
}

// New returns the handler for /, /api/v1/ and /assets/.
func New(source Source, config Config) (http.Handler, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	page, err := template.New("page.html").Funcs(templateFuncs()).ParseFS(files, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("parse page template: %w", err)
	}
	style, err := files.ReadFile("static/page.css")
	if err != nil {
		return nil, fmt.Errorf("read style sheet: %w", err)
	}
	sum := sha256.Sum256(style)
	h := &handler{
		source: source, statementSlots: make(chan struct{}, maxConcurrent), book: config.Book, log: config.Logger, page: page,
		style: "/assets/page-" + hex.EncodeToString(sum[:6]) + ".css",
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", h.servePage)
	mux.HandleFunc("GET /api/v1/cost", h.serveCost)
	mux.HandleFunc("GET /api/v1/zones", h.serveZones)
	mux.HandleFunc("GET "+h.style, serveAsset("text/css; charset=utf-8", style))
	icon, err := files.ReadFile("static/icon.svg")
	if err != nil {
		return nil, fmt.Errorf("read icon: %w", err)
	}
	mux.HandleFunc("GET /assets/icon.svg", serveAsset("image/svg+xml", icon))
	return withSecurityHeaders(mux), nil
}

// policy lets a page load its own style sheet and icon and nothing else: no
// script, no frame, no form, no other host.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// withSecurityHeaders sets the headers that every answer carries.
func withSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// serveAsset serves an embedded file that a browser may keep.
func serveAsset(kind string, body []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Cache-Control", "public, max-age=86400")
		_, _ = w.Write(body) // the reader is gone
	}
}
