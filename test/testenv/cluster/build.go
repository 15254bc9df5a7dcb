package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

// Program builds cmd/zonewise, or uses the one that ZONEWISE_BIN names, and returns
// its path inside folder, so that concurrent builds do not change it.
func Program(folder string) (string, error) {
	mine := filepath.Join(folder, "zonewise")
	if given := os.Getenv("ZONEWISE_BIN"); given != "" {
		return mine, copyFile(given, mine)
	}
	root, err := Root()
	if err != nil {
		return "", err
	}
	return mine, goBuild(filepath.Join(root), "./cmd/zonewise", mine)
}

// NextLevelProgram builds cmd/zonewise with a feature level that no release has
// (metadata/level_next.go), and returns its path inside folder.
func NextLevelProgram(folder string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	mine := filepath.Join(folder, "zonewise-nextlevel")
	return mine, goBuild(root, "./cmd/zonewise", mine, "-tags", "nextlevel", "-ldflags", "-X main.builtFrom=nextlevel")
}

// ClientsProgram builds test/tools/clients-go into folder, once.
func ClientsProgram(folder string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	mine := filepath.Join(folder, "clients-go")
	if _, err := os.Stat(mine); err == nil {
		return mine, nil // it may be running
	}
	return mine, goBuild(filepath.Join(root, "test", "tools", "clients-go"), ".", mine)
}

// goBuild builds into a cache folder, one test process at a time, and copies
// the result to target: linking again is most of the cost.
func goBuild(module, target, result string, flags ...string) error {
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	cache := filepath.Join(base, "zonewise-test")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return fmt.Errorf("make cache folder: %w", err)
	}
	cached := filepath.Join(cache, filepath.Base(result))
	unlock, err := lockFile(cached+".lock", syscall.LOCK_EX)
	if err != nil {
		return fmt.Errorf("lock the build: %w", err)
	}
	defer unlock()
	command := exec.Command("go", slices.Concat([]string{"build", "-o", cached}, flags, []string{target})...)
	command.Dir = module
	command.Env = append(os.Environ(), "GOFLAGS=-mod=readonly", "GOWORK=off")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", target, module, err, output)
	}
	return copyFile(cached, result)
}

// Root finds the repository from this file's path, or from the working folder
// upwards if the test was built with -trimpath.
func Root() (string, error) {
	var starts []string
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		starts = append(starts, filepath.Dir(file))
	}
	if working, err := os.Getwd(); err == nil {
		starts = append(starts, working)
	}
	for _, folder := range starts {
		for ; folder != filepath.Dir(folder); folder = filepath.Dir(folder) {
			if _, err := os.Stat(filepath.Join(folder, "deploy", "three-zones")); err == nil {
				return folder, nil
			}
		}
	}
	return "", errors.New("find deploy/three-zones: run the test from within the repository")
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o755)
}

// lockFile locks a file; closing it or the end of the process releases the lock.
func lockFile(path string, how int) (unlock func(), err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_CLOEXEC, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), how); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return func() { _ = file.Close() }, nil
}
