package bucket

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Delete implements Bucket. A deletion need not survive the loss of power: the
// object is garbage then, and is deleted again.
func (d *Dir) Delete(ctx context.Context, names ...string) (deleted []string, err error) {
	if len(names) == 0 {
		return nil, nil
	}
	if err := checkRequest(ctx, OpDelete, names[0], CheckNames(names)); err != nil {
		return nil, err
	}
	var failures []DeleteFailure
	for _, name := range names {
		err := d.removeObject(name)
		if err != nil && len(names) == 1 {
			return nil, d.reportResult(ctx, Attempt{Op: OpDelete, Name: name}, err)
		}
		if err != nil {
			status, kind := d.translateError(OpDelete, err)
			failures = append(failures, DeleteFailure{Name: name, Code: codeOfStatus(status), Err: kind})
		}
	}
	reportBatches(ctx, names)
	return DeleteResult(names, failures)
}

// removeObject removes the file of an object. A folder of that name is no object:
// it stays, also where it is empty, since a Put may be about to link into it.
func (d *Dir) removeObject(name string) error {
	path, err := dirPath(name)
	if err != nil {
		return err
	}
	path = filepath.Join(d.root, path)
	err = syscall.Unlink(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if stat, statErr := os.Lstat(path); statErr == nil && stat.IsDir() {
		return nil
	}
	return &fs.PathError{Op: "unlink", Path: path, Err: err}
}

// codeOfStatus returns the code that S3 gives with a status.
func codeOfStatus(status int) string {
	switch status {
	case 403:
		return "AccessDenied"
	case 503:
		return "SlowDown"
	}
	return "InternalError"
}
