package main

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
	"github.com/zonewise/zonewise/s3stream/bucket/s3"
)

// logOptions are the options of a server's log.
type logOptions struct {
	level, format string
	levelVar      *slog.LevelVar // of the logger, which may be changed at run time
}

func (o *logOptions) declareLog(s *cli.Set, level string) {
	s.String(&o.level, "log-level", level, "LEVEL", "least level that is logged: debug, info, warn or error")
	s.String(&o.format, "log-format", "text", "FORMAT", "text or json, on standard error")
}

func (o *logOptions) newLogger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(o.level)); err != nil {
		return nil, cli.Usagef("--log-level %q: want debug, info, warn or error", o.level)
	}
	o.levelVar = new(slog.LevelVar)
	o.levelVar.Set(level)
	options := &slog.HandlerOptions{Level: o.levelVar}
	switch o.format {
	case "text":
		return slog.New(slog.NewTextHandler(w, options)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, options)), nil
	}
	return nil, cli.Usagef("--log-format %q: want text or json", o.format)
}

// openedBucket is an open bucket.
type openedBucket struct {
	bucket.Bucket
	bucket.UploadAborter // the same
	close                func()
	s3                   *s3.Store // nil: a folder
}

const bucketHelp = "where the bytes are: s3://NAME[?endpoint=URL&region=R&path_style=true&prefix=P], or a folder"

// openBucket opens an s3: URL or a folder. Credentials come from the AWS SDK's
// chain.
func openBucket(ctx context.Context, where string) (*openedBucket, error) {
	switch {
	case where == "":
		return nil, cli.Usagef("no bucket: give --bucket s3://NAME or --bucket FOLDER")
	case strings.HasPrefix(where, "s3:"):
		c, err := s3.ParseURL(where)
		if err != nil {
			return nil, cli.Usagef("%v", err)
		}
		b, err := s3.Open(ctx, c)
		if err != nil {
			return nil, err
		}
		return &openedBucket{b, b, b.Close, b}, nil
	case strings.Contains(where, "://"):
		return nil, cli.Usagef("bucket %q: want s3://NAME or a folder", where)
	}
	d, err := bucket.OpenDir(where)
	if err != nil {
		return nil, err
	}
	return &openedBucket{d, d, func() { _ = d.Close() }, nil}, nil // it holds a lock only
}

// openExisting is openBucket for commands that read what a cluster has written: a
// folder that is not there is a mistyped name, and is not made.
func openExisting(ctx context.Context, flag, where string) (*openedBucket, error) {
	if where != "" && !strings.HasPrefix(where, "s3:") && !strings.Contains(where, "://") {
		if err := (flagFile{flag, where, "the folder that the cluster has as its bucket"}).checkFolder(); err != nil {
			return nil, err
		}
	}
	return openBucket(ctx, where)
}

// loadPriceBook loads a price book, or the one built in.
func loadPriceBook(path string) (*costmodel.Book, error) {
	if path == "" {
		return costmodel.Default()
	}
	f := flagFile{"price-book", path, "a file with one region's prices, in the form of costmodel/prices/aws-us-east-1-2026-07-20.json"}
	body, err := f.readFile()
	if err != nil {
		return nil, err
	}
	book, err := costmodel.Load(bytes.NewReader(body))
	if err != nil {
		return nil, f.contentError(err)
	}
	return book, nil
}

// tlsOptions are the certificate files of one interface; all empty: plain text.
type tlsOptions struct{ ca, cert, key string }

func (o *tlsOptions) declareTLS(s *cli.Set, prefix, whose string) {
	s.String(&o.ca, prefix+"-ca", "", "FILE", "certificates that "+whose+" must be signed by (PEM); turns TLS on")
	s.String(&o.cert, prefix+"-cert", "", "FILE", "our certificate towards "+whose+" (PEM)")
	s.String(&o.key, prefix+"-key", "", "FILE", "its key (PEM)")
}

// loadConfig returns nil where no file is given.
func (o *tlsOptions) loadConfig(prefix string) (*tls.Config, error) {
	if *o == (tlsOptions{}) {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if (o.cert == "") != (o.key == "") {
		return nil, cli.Usagef("--%s-cert and --%s-key must be given together", prefix, prefix)
	}
	if o.cert != "" {
		pair, err := readKeyPair(flagFile{prefix + "-cert", o.cert, "a file with our certificate (PEM)"}, flagFile{prefix + "-key", o.key, "a file with the key of --" + prefix + "-cert (PEM)"})
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	if o.ca != "" {
		pool, err := flagFile{prefix + "-ca", o.ca, "a file with certificates of authorities (PEM)"}.readCertificates()
		if err != nil {
			return nil, err
		}
		c.RootCAs = pool
	}
	return c, nil
}

// newRand returns a source with a seed from the system.
func newRand() *rand.Rand {
	var b [16]byte
	_, _ = crand.Read(b[:]) // never fails
	return rand.New(rand.NewPCG(binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])))
}

// newSecret returns a random text that cannot be guessed.
func newSecret() string {
	var b [32]byte
	_, _ = crand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// parseZoneNames reads name=id,name=id.
func parseZoneNames(pairs []string) (map[string]metadata.ZoneID, error) {
	out := map[string]metadata.ZoneID{}
	for _, p := range pairs {
		name, id, ok := strings.Cut(p, "=")
		if !ok || name == "" || id == "" {
			return nil, cli.Usagef("--zone-names %q: want name=id, such as us-east-1a=use1-az4", p)
		}
		out[name] = metadata.ZoneID(id)
	}
	return out, nil
}

// portError explains why a port is not available and which flag changes it.
func portError(err error, port int, flag string) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("listen on port %d: %w; choose another one with %s", port, err, flag)
	case !errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listen on port %d: %w; give an address of this machine with %s", port, err, flag)
	}
	return fmt.Errorf("listen on port %d: %w; another program uses it: stop that program, or choose another port with %s", port, err, flag)
}
