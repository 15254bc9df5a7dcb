package bucket

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// List implements Bucket. It reads only those folders that can hold something
// of the answer.
func (d *Dir) List(ctx context.Context, prefix, after string, limit int) ([]Info, error) {
	if err := checkRequest(ctx, OpList, prefix); err != nil {
		return nil, err
	}
	l := lister{ctx: ctx, prefix: prefix, after: after, limit: limit}
	if err := l.walkFolder(d.root, ""); err != nil {
		if ctx.Err() != nil {
			return nil, opError(OpList, prefix, ctx.Err())
		}
		return nil, d.reportResult(ctx, Attempt{Op: OpList, Name: prefix}, err)
	}
	reportPages(ctx, prefix, len(l.found))
	return l.found, nil
}

type lister struct {
	ctx           context.Context
	prefix, after string
	limit         int
	found         []Info
}

func (l *lister) isFull() bool { return l.limit > 0 && len(l.found) == l.limit }

// child is an entry of a folder under its object name; that of a folder ends in
// '/', which makes the order of children the order of the names below them.
type child struct {
	name  string
	entry fs.DirEntry
}

// walkFolder adds what is in the folder at path, whose objects' names begin with base.
func (l *lister) walkFolder(path, base string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range l.listChildren(entries, base) {
		if l.isFull() {
			return nil
		}
		if c.entry.IsDir() {
			if err := l.walkFolder(filepath.Join(path, c.entry.Name()), c.name); err != nil {
				return err
			}
			continue
		}
		stat, err := c.entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted since
		}
		if err != nil {
			return err
		}
		l.found = append(l.found, Info{Name: c.name, Size: stat.Size(), Modified: stat.ModTime().UnixMilli()})
	}
	return nil
}

// listChildren are those entries that may be in the answer or lead to it, in order.
func (l *lister) listChildren(entries []fs.DirEntry, base string) []child {
	var out []child
	for _, entry := range entries {
		segment, ours := unescapeSegment(entry.Name())
		if !ours {
			continue // .tmp, .lock, and what is none of ours
		}
		name := base + segment
		wanted := strings.HasPrefix(name, l.prefix) && name > l.after
		if entry.IsDir() {
			name += "/"
			wanted = (strings.HasPrefix(name, l.prefix) || strings.HasPrefix(l.prefix, name)) &&
				(name > l.after || strings.HasPrefix(l.after, name))
		} else if !entry.Type().IsRegular() {
			wanted = false
		}
		if wanted {
			out = append(out, child{name, entry})
		}
	}
	slices.SortFunc(out, func(a, b child) int { return cmp.Compare(a.name, b.name) })
	return out
}
