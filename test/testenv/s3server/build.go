package s3server

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
)

// toolPackage is what test/tools/versitygw pins.
const toolPackage = "github.com/versity/versitygw/cmd/versitygw"

// buildProgram returns the path of the server's program, and builds it if it is not
// in the cache yet. The name in the cache has a hash of the pinned version and of the
// compiler, so another version is another program. Concurrent test processes wait
// for the one that builds.
func buildProgram(ctx context.Context) (string, error) {
	folder, err := toolFolder()
	if err != nil {
		return "", err
	}
	hash := sha256.New()
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			return "", fmt.Errorf("read the pin of versitygw: %w", err)
		}
		hash.Write(content)
	}
	hash.Write([]byte(runtime.Version()))
	cache, err := cacheFolder()
	if err != nil {
		return "", err
	}
	program := filepath.Join(cache, "versitygw-"+hex.EncodeToString(hash.Sum(nil))[:16])
	unlock, err := lockFile(program + ".lock")
	if err != nil {
		return "", fmt.Errorf("lock the build of versitygw: %w", err)
	}
	defer unlock()
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	command := exec.CommandContext(ctx, "go", "build", "-o", program+".new", toolPackage)
	command.Dir = folder
	command.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build versitygw in %s: %w\n%s", folder, err, output)
	}
	if err := os.Rename(program+".new", program); err != nil {
		return "", fmt.Errorf("keep versitygw: %w", err)
	}
	return program, nil
}

// toolFolder finds test/tools/versitygw from this file's path, or from the
// working folder upwards if the binary was built with -trimpath.
func toolFolder() (string, error) {
	var starts []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if working, err := os.Getwd(); err == nil {
		starts = append(starts, working)
	}
	for _, folder := range starts {
		for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
			tool := filepath.Join(folder, "test", "tools", "versitygw")
			if _, err := os.Stat(filepath.Join(tool, "go.mod")); err == nil {
				return tool, nil
			}
		}
	}
	return "", errors.New("find test/tools/versitygw: run the test from within the repository")
}

func cacheFolder() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	folder := filepath.Join(base, "zonewise-test")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return "", fmt.Errorf("make cache folder: %w", err)
	}
	return folder, nil
}

func lockFile(path string) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil // closing releases the lock
}
