package bucket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ListUploads implements UploadAborter: temporary files that a killed process left
// behind. They do not have the names of their objects, so prefix selects nothing:
// they belong to the whole bucket.
func (d *Dir) ListUploads(ctx context.Context, prefix string, age time.Duration) ([]Upload, error) {
	if err := checkRequest(ctx, OpList, prefix); err != nil {
		return nil, err
	}
	found, err := d.listTemporary(time.Now().Add(-age))
	return found, d.reportResult(ctx, Attempt{Op: OpList, Name: prefix, Status: 200}, err)
}

// listTemporary returns the temporary files not written to since then.
func (d *Dir) listTemporary(since time.Time) (found []Upload, err error) {
	entries, err := os.ReadDir(filepath.Join(d.root, dirTemp))
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		stat, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its Put has ended
		}
		if err != nil {
			return nil, err
		}
		if !stat.ModTime().After(since) {
			found = append(found, Upload{ID: entry.Name(), Begun: stat.ModTime().UnixMilli()})
		}
	}
	return found, nil
}

// AbortUploads implements UploadAborter.
func (d *Dir) AbortUploads(ctx context.Context, uploads ...Upload) (aborted int, err error) {
	for _, u := range uploads {
		one := checkRequest(ctx, OpDelete, u.ID)
		if one == nil && (u.ID == "" || u.ID != filepath.Base(filepath.Clean("/"+u.ID))) {
			one = fmt.Errorf("abort upload %q: BUG: not the name of a temporary file", u.ID)
		}
		if one == nil {
			one = removeIfPresent(filepath.Join(d.root, dirTemp, u.ID))
			one = d.reportResult(ctx, Attempt{Op: OpDelete, Name: u.ID, Status: 204}, one)
		}
		if one == nil {
			aborted++
		} else if err == nil {
			err = one
		}
	}
	return aborted, explainAborted(aborted, len(uploads), err)
}
