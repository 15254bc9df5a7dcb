package kafkaoracle

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

//go:embed pom.xml
var pom []byte // read only

// Version of Apache Kafka that pom.xml names.
const Version = "4.4.0"

// ErrMissing: a required program is not installed.
var ErrMissing = errors.New("not installed")

// Classpath returns Java's class path of Kafka's jars.
func Classpath() (string, error) { return Jars(pom) }

// Jars returns Java's class path of the jars that a pom names, fetched by Maven
// if they are not in the cache yet. Concurrent test processes wait for the one that
// fetches.
func Jars(pom []byte) (string, error) {
	for _, program := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("%s: %w", program, ErrMissing)
		}
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	sum := sha256.Sum256(pom)
	folder := filepath.Join(base, "zonewise-test", "kafka-"+hex.EncodeToString(sum[:])[:16])
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	lock, err := os.OpenFile(folder+".lock", os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return "", fmt.Errorf("lock the cache of kafka's jars: %w", err)
	}
	defer lock.Close() // releases the lock
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock the cache of kafka's jars: %w", err)
	}
	libs, done := filepath.Join(folder, "libs"), filepath.Join(folder, "complete")
	if _, err := os.Stat(done); err == nil {
		return filepath.Join(libs, "*"), nil
	}
	if err := errors.Join(os.RemoveAll(libs), os.WriteFile(filepath.Join(folder, "pom.xml"), pom, 0o644)); err != nil {
		return "", fmt.Errorf("prepare the cache of kafka's jars: %w", err)
	}
	fetch := exec.Command("mvn", "-q", "-B", "dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+libs)
	fetch.Dir = folder
	if output, err := fetch.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch kafka's jars: %w\n%s", err, output)
	}
	return filepath.Join(libs, "*"), os.WriteFile(done, nil, 0o644)
}
