package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Blocks of addresses: a cluster has 127.N.*.* or 10.N.*.* for itself while it holds
// N's lock.
const (
	firstBlock = 20
	lastBlock  = 219
)

// ReserveBlock returns a number that no other cluster on this machine uses: the
// addresses 127.N.*.* belong to the caller until release.
func ReserveBlock() (n int, release func(), err error) {
	folder := filepath.Join(os.TempDir(), "zonewise-test-blocks")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return 0, nil, fmt.Errorf("take a block of addresses: %w", err)
	}
	for n := firstBlock; n <= lastBlock; n++ {
		release, err := lockFile(filepath.Join(folder, fmt.Sprint(n)), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return n, release, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return 0, nil, fmt.Errorf("take a block of addresses: %w", err)
		}
	}
	return 0, nil, errors.New("take a block of addresses: all are in use")
}
