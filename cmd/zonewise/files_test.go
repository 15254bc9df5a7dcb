package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zonewise/zonewise/internal/cli"
)

// fileCase is a command with what it must be given before it looks at its files.
// Whatever server it names does not answer: files are read first.
type fileCase struct{ command, args string }

func fileCases() []fileCase {
	const etcd = " --etcd 127.0.0.1:1"
	return []fileCase{
		{"dev", "--data-dir DIR/dev --kafka-port 21001 --http-port 21099"},
		{"broker", "--zone za --listen 127.0.0.1:PORT0 --peer 127.0.0.1:PORT1 --http 127.0.0.1:PORT2 --bucket DIR/bucket" + etcd},
		{"etcd", "--name za --data-dir DIR/etcd --client-url https://127.0.0.1:0 --peer-url https://127.0.0.1:0"},
		{"etcd add", "n http://127.0.0.1:1 --etcd 127.0.0.1:1"},
		{"etcd remove", "n --etcd 127.0.0.1:1"},
		{"etcd replace", "n http://127.0.0.1:1 --etcd 127.0.0.1:1"},
		{"etcd members", "--etcd 127.0.0.1:1"},
		{"etcd snapshot", "DIR/snapshot --etcd 127.0.0.1:1"},
		{"recover", "--from DIR/there" + etcd},
		{"verify", "--bucket DIR/there" + etcd},
		{"repair nospace", "--cluster main" + etcd},
		{"repair archive", "--bucket DIR/there" + etcd},
		{"cost", "--server https://127.0.0.1:1"},
		{"zones", "--server https://127.0.0.1:1"},
		{"features show", "--server https://127.0.0.1:1"},
		{"features upgrade", "--yes --server https://127.0.0.1:1"},
		{"bench produce", "--bootstrap 127.0.0.1:1"},
		{"bench consume", "--bootstrap 127.0.0.1:1"},
		{"bench e2e", "--bootstrap 127.0.0.1:1"},
		{"dump log", "--cluster main" + etcd},
		{"dump archive", "DIR/there"},
		{"dump inline", "DIR/there"},
		{"dump object", "DIR/there"},
		{"dump checkpoint", "DIR/there"},
		{"dump state", "--server https://127.0.0.1:1"},
		{"version", ""},
	}
}

// zonewiseUntil runs the program as zonewise does, until ctx ends: one that does
// not notice what is wrong would serve for ever.
func zonewiseUntil(ctx context.Context, args ...string) (code int, stderr string) {
	var o, e bytes.Buffer
	code = program(nil, &o, &e).Main(ctx, args)
	return code, e.String()
}

// writePair writes a certificate and its key, and returns their files.
func writePair(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, dir, "cert", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		writeFile(t, dir, "key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))
}

func writeFile(t *testing.T, dir, name string, body []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, body, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// badFiles are the ways in which a file of a flag can be no good. Tests may run
// as root, whom no mode keeps out: a folder stands for what cannot be read.
func badFiles(t *testing.T, flag string) map[string]string {
	dir := t.TempDir()
	bad := map[string]string{
		"missing":    filepath.Join(dir, "nowhere"),
		"unreadable": dir,
		"empty":      writeFile(t, dir, "empty", nil),
		"wrong":      writeFile(t, dir, "wrong", []byte("{ this is: neither [ this\nnor that\x00\n")),
	}
	switch flag {
	case "config":
		delete(bad, "empty") // no settings: as good as no file
	case "etcd-password-file":
		delete(bad, "wrong") // any text may be a password
	}
	return bad
}

// Every file that a flag of any command names may be missing, unreadable, empty or
// another one: one line then names flag and file and says what to do, and nothing
// was opened before. Flags are read from the help, so that a new one is tried too.
func TestAFileThatIsNoGoodIsNamedWithItsFlagAndTheRemedy(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "there"), 0o755); err != nil {
		t.Fatal(err)
	}
	cert, key := writePair(t, dir)
	port := freePorts(t, 40) // the last one is the broker's highest zone's
	names := strings.NewReplacer("DIR", dir, "PORT0", strconv.Itoa(port), "PORT1", strconv.Itoa(port+34), "PORT2", strconv.Itoa(port+35))
	fileFlag := regexp.MustCompile(`(?m)^  --([a-z-]+) FILE\b`)
	cases := map[string]fileCase{}
	for _, c := range fileCases() {
		cases[c.command] = c
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tried := 0
	for _, cmd := range program(nil, nil, nil).Commands {
		_, help, _ := zonewise(t, append(strings.Fields(cmd.Name), "--help")...)
		c, ok := cases[cmd.Name]
		if !ok {
			t.Errorf("%s: no case here", cmd.Name)
		}
		for _, m := range fileFlag.FindAllStringSubmatch(help, -1) {
			flag := m[1]
			for how, path := range badFiles(t, flag) {
				args := append(strings.Fields(cmd.Name+" "+names.Replace(c.args)), "--"+flag, path)
				// A certificate and its key go together: the other one is good.
				if door, ok := strings.CutSuffix(flag, "-cert"); ok {
					args = append(args, "--"+door+"-key", key)
				} else if door, ok := strings.CutSuffix(flag, "-key"); ok {
					args = append(args, "--"+door+"-cert", cert)
				}
				tried++
				code, stderr := zonewiseUntil(ctx, args...)
				lines := strings.Split(strings.TrimSpace(stderr), "\n")
				last := lines[len(lines)-1]
				if code == cli.ExitOK || len(lines) != 1 || !strings.Contains(last, "--"+flag) || !strings.Contains(last, path) || !strings.Contains(last, "; ") {
					t.Errorf("%v, %s: exit %d, %q: want one line with flag, file and remedy", args, how, code, stderr)
				}
			}
		}
	}
	if tried < 150 {
		t.Errorf("%d files tried: are the flags still found in the help?", tried)
	}
	if _, err := os.Stat(filepath.Join(dir, "bucket")); err == nil {
		t.Error("the broker opened its bucket before it read its files")
	}
}

// Commands that read a bucket take no folder that is not there, and do not make
// it: a mistyped name would look like an empty cluster.
func TestABucketFolderThatIsNotThereIsNotMade(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	missing, file := filepath.Join(dir, "typo"), writeFile(t, dir, "file", []byte("x"))
	for _, command := range []string{"recover --etcd 127.0.0.1:1 --from", "dump state --bucket", "dump object k --bucket", "repair archive --etcd 127.0.0.1:1 --bucket"} {
		for _, path := range []string{missing, file} {
			args := append(strings.Fields(command), path)
			code, stderr := zonewiseUntil(ctx, args...)
			if code == cli.ExitOK || !strings.Contains(stderr, args[len(args)-2]+" "+path+":") || !strings.Contains(stderr, "; give the folder") {
				t.Errorf("%v: exit %d, %q", args, code, stderr)
			}
		}
		if _, err := os.Stat(missing); err == nil {
			t.Fatalf("%s made %s", command, missing)
		}
	}
}

// A broker whose last file is found to be no good only once it listens must say
// so, too: nothing that was opened for it may hide the cause.
func TestABrokerWithoutItsTokenFileSaysSo(t *testing.T) {
	m := startMember(t)
	dir := t.TempDir()
	port := freePorts(t, 6)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	code, stderr := zonewiseUntil(ctx, "broker", "--zone", "za", "--etcd", "za="+m.Endpoint(), "--bucket", filepath.Join(dir, "bucket"),
		"--listen", "127.0.0.1:"+strconv.Itoa(port), "--peer", "127.0.0.1:"+strconv.Itoa(port+4), "--http", "127.0.0.1:"+strconv.Itoa(port+5),
		"--http-token-file", filepath.Join(dir, "nowhere"))
	if code != cli.ExitFailure || !strings.Contains(stderr, "--http-token-file") || !strings.Contains(stderr, "no such file") {
		t.Errorf("exit %d, %q", code, stderr)
	}
}

func TestAnAddressOfAnotherMachineIsNotSaidToBeTaken(t *testing.T) {
	_, err := net.Listen("tcp", "192.0.2.1:1234")
	if err == nil {
		t.Skip("192.0.2.1 is this machine's")
	}
	if text := portError(err, 1234, "--http").Error(); strings.Contains(text, "another program") || !strings.Contains(text, "--http") {
		t.Error(text)
	}
	taken, err := listenLocal(0)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	at := taken.Addr().(*net.TCPAddr).Port
	if _, err := listenLocal(at); !strings.Contains(portError(err, at, "--http").Error(), "another program") {
		t.Error(err)
	}
}

// The pair of files is used as it was: what the table above calls good is good.
func TestGoodFilesAreTaken(t *testing.T) {
	cert, key := writePair(t, t.TempDir())
	d := httpEndpoint{tls: tlsOptions{ca: cert, cert: cert, key: key}, tokenFile: writeFile(t, t.TempDir(), "token", []byte(" s3cret\r\n"))}
	g, err := d.loadGuard()
	if err != nil || g.token != "s3cret" || g.tls == nil {
		t.Fatalf("%+v, %v", g, err)
	}
	if c, err := g.tls.serverConfig().GetConfigForClient(nil); err != nil || c.ClientCAs == nil || c.ClientAuth != tls.RequireAndVerifyClientCert || len(c.Certificates) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
