package garbage

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// Limits of a search. An object that the state names is passed over by one visit of
// all rows for each chunk, so chunks are large.
const (
	listedKeys  = 1_000  // in one listing
	chunkKeys   = 50_000 // compared with the state at once
	passChunks  = 2      // in one pass
	maxSearches = 20     // in one pass
)

// searchLeftovers searches for what ended sessions left, where that is due.
func (c *Collector) searchLeftovers(ctx context.Context, role metadata.Role) error {
	chunks := 0
	for range maxSearches {
		var search metadata.LeftoverSearch
		var due bool
		c.cfg.Replica.View(func(s *metadata.State) {
			search, due = s.LeftoversDue(metadata.UnixMilli(c.cfg.LeftoverGrace.Milliseconds()))
		})
		if !due || chunks >= passChunks {
			return nil
		}
		n, err := c.search(ctx, role, search)
		if err != nil {
			return fmt.Errorf("search for leftovers of session %s: %w", search.Session, err)
		}
		chunks += n
	}
	return nil
}

// search lists the objects of a session, or of a former incarnation, and buries those
// that the state does not name. It stops after a chunk; the state has how far it is.
func (c *Collector) search(ctx context.Context, role metadata.Role, search metadata.LeftoverSearch) (chunks int, err error) {
	var found []bucket.Info
	done := true
	for _, prefix := range searchPrefixes(search) {
		list, whole, err := c.listPrefix(ctx, prefix, search, chunkKeys-len(found))
		if err != nil {
			return 0, err
		}
		found = append(found, list...)
		if !whole {
			done = false
			break
		}
	}
	left := c.unnamed(found)
	for {
		n := min(len(left), metadata.MaxLeftoversInEntry)
		last := n == len(left)
		cmd := metadata.BuryLeftovers{Session: search.Session, Incarnation: search.Incarnation, Objects: left[:n]}
		if last {
			cmd.Done = done
			if len(found) > 0 {
				cmd.UpTo = found[len(found)-1].Name
			}
		}
		out, err := c.cfg.Submitter.Submit(ctx, []metadata.Command{cmd}, &metadata.Guard{Role: role.Name, RoleEpoch: role.Epoch})
		if err != nil {
			return 0, err
		}
		if out.Code != metadata.CodeOK {
			return 0, errRoleLost
		}
		if out.Commands[0].Code != metadata.CodeOK {
			return 1, nil // another holder has done it
		}
		c.cfg.Stats.countLeftovers(n)
		if left = left[n:]; last {
			break
		}
	}
	return 1 + len(found)/chunkKeys, nil
}

// searchPrefixes returns the prefixes of a search's keys, in the order of the keys.
func searchPrefixes(search metadata.LeftoverSearch) []string {
	if search.Session == 0 {
		return []string{fmt.Sprintf("%d/", search.Incarnation)}
	}
	return []string{fmt.Sprintf("%d/archive/", search.Incarnation), fmt.Sprintf("%d/checkpoint/", search.Incarnation), fmt.Sprintf("%d/inline/", search.Incarnation),
		fmt.Sprintf("%d/wal/%s/", search.Incarnation, search.Session)}
}

// listPrefix lists the keys of a search below a prefix, at most limit; whole: there
// are no more.
func (c *Collector) listPrefix(ctx context.Context, prefix string, search metadata.LeftoverSearch, limit int) (out []bucket.Info, whole bool, err error) {
	after := ""
	if search.After > prefix {
		after = search.After
		if !strings.HasPrefix(after, prefix) {
			return nil, true, nil // all below it is done
		}
	}
	for len(out) < limit {
		page, err := c.cfg.Bucket.List(ctx, prefix, after, listedKeys)
		if err != nil {
			return nil, false, err
		}
		for _, o := range page {
			after = o.Name
			k, err := metadata.ParseObjectKey(o.Name)
			if err == nil && k.Class != metadata.ObjectIncarnation && (search.Session == 0 || k.Session == search.Session) {
				out = append(out, o)
			}
		}
		if len(page) < listedKeys {
			return out, true, nil
		}
	}
	return out, false, nil
}

// unnamed returns those of listed objects that the state does not name, in the order
// of their keys. None of them can be named later: its writer has ended.
func (c *Collector) unnamed(list []bucket.Info) (out []metadata.Leftover) {
	if len(list) == 0 {
		return nil
	}
	named := make(map[string]bool, len(list))
	for _, o := range list {
		named[o.Name] = false
	}
	for page := range metadata.NamedPages {
		c.cfg.Replica.View(func(s *metadata.State) {
			s.VisitNamed(page, func(o metadata.NamedObject) {
				if _, listed := named[o.Key]; listed {
					named[o.Key] = true
				}
			})
		})
	}
	for _, o := range list {
		if !named[o.Name] {
			k, _ := metadata.ParseObjectKey(o.Name)
			out = append(out, metadata.Leftover{Class: k.Class, Key: o.Name, Size: o.Size})
		}
	}
	slices.SortFunc(out, func(a, b metadata.Leftover) int { return strings.Compare(a.Key, b.Key) })
	return out
}
