package bucket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
)

// folder is one folder of a Dir, and how far its entries are durable.
type folder struct {
	path   string
	turn   chan struct{} // capacity 1: full while one syncs
	linked atomic.Uint64 // entries made in it, by us
	synced atomic.Uint64 // of these, durable; written by the holder of turn only
}

// durableFolder returns the folder at path, made if it is absent. The folder
// itself, and those above it up to the root, are durable when it returns: a
// file in a folder whose own name can be lost is lost with it.
func (d *Dir) durableFolder(path string) (*folder, error) {
	if f := d.knownFolder(path); f != nil {
		return f, nil
	}
	if path != d.root {
		parent, err := d.durableFolder(filepath.Dir(path))
		if err != nil {
			return nil, err
		}
		if err := os.Mkdir(path, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		stat, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		if !stat.IsDir() {
			return nil, fmt.Errorf("BUG: %s is an object, so it cannot be a folder too", path)
		}
		if err := d.syncEntries(parent); err != nil {
			return nil, err
		}
	}
	return d.addFolder(path), nil
}

func (d *Dir) knownFolder(path string) *folder {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.folders[path]
}

func (d *Dir) addFolder(path string) *folder {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.folders[path] == nil {
		d.folders[path] = &folder{path: path, turn: make(chan struct{}, 1)}
	}
	return d.folders[path]
}

// syncEntries makes durable what the caller has just put into the folder.
// Callers that come while another one syncs share the next sync.
func (d *Dir) syncEntries(f *folder) error {
	mine := f.linked.Add(1)
	f.turn <- struct{}{}
	defer func() { <-f.turn }()
	if f.synced.Load() >= mine {
		return nil
	}
	upTo := f.linked.Load()
	if err := syncFolder(f.path); err != nil {
		err = fmt.Errorf("sync folder %s, check the disk, then restart: %w", f.path, err)
		d.syncErr.CompareAndSwap(nil, &err)
		return err
	}
	f.synced.Store(upTo)
	return nil
}

func syncFolder(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}
