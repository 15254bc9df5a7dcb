package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Dir is a bucket in a folder of the local file system, for `zonewise dev`.
//
//	<root>/.lock        shared by all who have it open; alone, one cleans up
//	<root>/.tmp/<id>    being written, or left behind by a crash
//	<root>/a/b/c        the object "a/b/c" (see dirPath)
//
// A Put writes a temporary file, syncs it, links it under its name (which fails
// if the name is taken: that is the "if absent"), and syncs the folders. What
// is visible is therefore always whole, and what Put has confirmed survives the
// loss of power. It does real system calls: not for a synctest bubble.
type Dir struct {
	root       string
	lock       *os.File
	tempNumber atomic.Uint64 // of temporary files
	tempPrefix string        // prefix of our temporary files

	mu      sync.Mutex
	folders map[string]*folder // by absolute path; guarded by mu

	// syncErr is the first fsync of a folder that went wrong. The kernel reports
	// such a fault once and then forgets it, so nothing can be promised after it.
	syncErr atomic.Pointer[error]
}

const (
	dirTemp = ".tmp"
	dirLock = ".lock"
)

// OpenDir opens the bucket in the folder root, and makes the folder if there is
// none. If no one else has it open, what a crash left half written is removed,
// and folders that have become empty are too. Close it after use.
func OpenDir(root string) (*Dir, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, fmt.Errorf("open bucket folder: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(root, dirTemp), 0o755); err != nil {
		return nil, fmt.Errorf("make bucket folder %s: %w", root, err)
	}
	lock, err := os.OpenFile(filepath.Join(root, dirLock), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open bucket folder %s: %w", root, err)
	}
	d := &Dir{root: root, lock: lock, folders: map[string]*folder{}}
	d.tempPrefix = fmt.Sprintf("%d-%d-", os.Getpid(), time.Now().UnixNano())
	if syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		err = d.removeLeftovers()
	}
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_SH)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(root))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open bucket folder %s: %w", root, err), lock.Close())
	}
	return d, nil
}

// Close lets go of the folder. Requests under way must have ended.
func (d *Dir) Close() error { return d.lock.Close() }

// removeLeftovers removes temporary files and empty folders. Only for a process
// that has the bucket to itself: a Put of another process may be about to link
// into a folder that is empty now.
func (d *Dir) removeLeftovers() error {
	entries, err := os.ReadDir(filepath.Join(d.root, dirTemp))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := os.Remove(filepath.Join(d.root, dirTemp, entry.Name())); err != nil {
			return err
		}
	}
	var folders []string
	err = filepath.WalkDir(d.root, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != d.root && path != filepath.Join(d.root, dirTemp) {
			folders = append(folders, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, path := range slices.Backward(folders) { // children come after their parents
		if err := os.Remove(path); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EEXIST) {
			return err
		}
	}
	return nil
}

// Put implements Bucket.
func (d *Dir) Put(ctx context.Context, name string, body []byte) error {
	if err := checkRequest(ctx, OpPut, name, CheckName(name), checkBody(name, body)); err != nil {
		return err
	}
	err := d.writeObject(name, body)
	return d.reportResult(ctx, Attempt{Op: OpPut, Name: name, Status: 200, Bytes: int64(len(body))}, err)
}

func (d *Dir) writeObject(name string, body []byte) error {
	if failed := d.syncErr.Load(); failed != nil {
		return *failed
	}
	path, err := dirPath(name)
	if err != nil {
		return err
	}
	path = filepath.Join(d.root, path)
	if _, err := os.Lstat(path); err == nil { // cheaper than to write it all and find out then
		return fs.ErrExist
	}
	temp := filepath.Join(d.root, dirTemp, fmt.Sprintf("%s%d", d.tempPrefix, d.tempNumber.Add(1)))
	if err := writeSynced(temp, body); err != nil {
		return errors.Join(err, removeIfPresent(temp))
	}
	err = d.linkObject(temp, path)
	return errors.Join(err, removeIfPresent(temp))
}

// linkObject gives the temporary file its name, and makes the name durable.
func (d *Dir) linkObject(temp, path string) error {
	parent, err := d.durableFolder(filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := os.Link(temp, path); err != nil {
		return err
	}
	return d.syncEntries(parent)
}

func writeSynced(path string, body []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := file.Write(body); err != nil {
		return errors.Join(err, file.Close())
	}
	if err := file.Sync(); err != nil {
		return errors.Join(err, file.Close())
	}
	return file.Close()
}

func removeIfPresent(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Get implements Bucket.
func (d *Dir) Get(ctx context.Context, name string, off, length int64) ([]byte, error) {
	if err := checkRequest(ctx, OpGet, name, CheckName(name)); err != nil {
		return nil, err
	}
	if length == 0 && off >= 0 {
		return []byte{}, nil
	}
	body, err := d.readObject(name, off, length)
	err = d.reportResult(ctx, Attempt{Op: OpGet, Name: name, Status: getStatus(off, length), Bytes: int64(len(body))}, err)
	return body, err
}

func (d *Dir) readObject(name string, off, length int64) (body []byte, err error) {
	path, err := dirPath(name)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Join(d.root, path))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	stat, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if stat.IsDir() {
		return nil, fs.ErrNotExist
	}
	from, to, ok := resolveRange(stat.Size(), off, length)
	if !ok {
		return nil, ErrRange
	}
	body = make([]byte, to-from)
	if _, err := io.ReadFull(io.NewSectionReader(file, from, to-from), body); err != nil {
		return nil, fmt.Errorf("%s became shorter while it was read: another program writes to it: %w", path, err)
	}
	return body, nil
}

// reportResult reports the attempt with the status that S3 would have given,
// and translates an error of the file system into one of this package.
func (d *Dir) reportResult(ctx context.Context, a Attempt, err error) error {
	if err == nil {
		Report(ctx, a)
		return nil
	}
	var kind error
	a.Status, kind = d.translateError(a.Op, err)
	if a.Op == OpGet {
		a.Bytes = 0
	}
	Report(ctx, a)
	return opError(a.Op, a.Name, kind)
}

// translateError returns the status that S3 would have given, and the error of
// this package.
func (d *Dir) translateError(op Op, err error) (status int, kind error) {
	switch {
	case errors.Is(err, fs.ErrExist):
		return 412, ErrExists
	case op == OpGet && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)):
		return 404, ErrNotFound
	case errors.Is(err, ErrRange):
		return 416, ErrRange
	case errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return 403, fmt.Errorf("%w: grant this user write permission on %s: %w", ErrDenied, d.root, err)
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		return 503, fmt.Errorf("%w: disk of %s is full, free some space there: %w", ErrBusy, d.root, err)
	case errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.EISDIR):
		return 400, fmt.Errorf("BUG: one object name is a folder of another one: %w", err)
	}
	return 500, fmt.Errorf("%w: %w", ErrBusy, err)
}
