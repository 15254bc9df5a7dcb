package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxFlagFile bounds a small file that a flag names: certificates, tokens,
// passwords. A table of addresses of a whole region is below it, too.
const maxFlagFile = 16 << 20

// flagFile is a file that a setting names. Every error about it is one line that
// names the flag, the file and what to do. Commands read their files before they
// open anything, so that a missing one costs no session and no port.
type flagFile struct {
	flag     string // without the dashes
	path     string
	expected string // what to give instead, for the remedy
}

// readFile returns what the file holds. An empty file is an error.
func (f flagFile) readFile() ([]byte, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, f.readError(err)
	}
	body, err := io.ReadAll(io.LimitReader(file, maxFlagFile+1))
	if err = errors.Join(err, file.Close()); err != nil {
		return nil, f.readError(err)
	}
	switch {
	case len(body) > maxFlagFile:
		return nil, f.contentError(fmt.Errorf("it has more than %d MiB", maxFlagFile>>20))
	case strings.TrimSpace(string(body)) == "":
		return nil, f.contentError(errors.New("it is empty"))
	}
	return body, nil
}

func (f flagFile) readError(err error) error {
	remedy := "give " + f.expected
	if errors.Is(err, fs.ErrPermission) {
		remedy = "let the user of this process read it"
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // the path precedes it in the message
	}
	return fmt.Errorf("read --%s %s: %w; %s", f.flag, f.path, err, remedy)
}

// contentError means that the file was read and contains something else.
func (f flagFile) contentError(err error) error {
	return fmt.Errorf("read --%s %s: %w; give %s", f.flag, f.path, err, f.expected)
}

// checkFolder checks that the flag names a folder that is there.
func (f flagFile) checkFolder() error {
	info, err := os.Stat(f.path)
	if err != nil {
		return f.readError(err)
	}
	if !info.IsDir() {
		return f.contentError(errors.New("it is not a folder"))
	}
	return nil
}

// readToken reads a secret of one line, without the line's end.
func (f flagFile) readToken() (string, error) {
	body, err := f.readFile()
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(body))
	for _, c := range token {
		if c <= ' ' || c > '~' {
			return "", f.contentError(errors.New("it holds more than one word of plain characters"))
		}
	}
	return token, nil
}

// readCertificates reads a set of certificates in PEM.
func (f flagFile) readCertificates() (*x509.CertPool, error) {
	body, err := f.readFile()
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(body) {
		return nil, f.contentError(errors.New("it holds no certificate"))
	}
	return pool, nil
}

// readKeyPair reads a certificate and the key that belongs to it.
func readKeyPair(cert, key flagFile) (tls.Certificate, error) {
	certPEM, err := cert.readFile()
	if err != nil {
		return tls.Certificate{}, err
	}
	keyPEM, err := key.readFile()
	if err != nil {
		return tls.Certificate{}, err
	}
	if !x509.NewCertPool().AppendCertsFromPEM(certPEM) { // or the pair's error would name neither file
		return tls.Certificate{}, cert.contentError(errors.New("it holds no certificate"))
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return tls.Certificate{}, key.contentError(err)
	}
	return pair, nil
}
