package etcdserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// statusTimeout is how long a member may take to return its status; one that is
// gone does not refuse, it is silent.
const statusTimeout = 2 * time.Second

// MemberInfo is a member in the cluster's member list.
type MemberInfo struct {
	ID        uint64
	Name      string // empty: added, and never started
	PeerURLs  []string
	Learner   bool
	Leader    bool
	Reachable bool
	SizeBytes int64
}

// Members lists the cluster's members and requests the status of each.
func Members(ctx context.Context, c *clientv3.Client) ([]MemberInfo, error) {
	r, err := c.MemberList(ctx)
	if err != nil {
		return nil, fmt.Errorf("list etcd members: %w", err)
	}
	var all []MemberInfo
	for _, m := range r.Members {
		i := MemberInfo{ID: m.ID, Name: m.Name, PeerURLs: m.PeerURLs, Learner: m.IsLearner}
		for _, u := range m.ClientURLs {
			sctx, cancel := context.WithTimeout(ctx, statusTimeout)
			s, err := c.Status(sctx, u)
			cancel()
			if err == nil {
				i.Reachable, i.Leader, i.SizeBytes = true, s.Leader == m.ID, s.DbSize
				break
			}
		}
		all = append(all, i)
	}
	return all, nil
}

// AddMember makes room for a new member and returns the InitialCluster to
// start it with (Existing set).
func AddMember(ctx context.Context, c *clientv3.Client, name, peerURL string) (initialCluster string, err error) {
	r, err := c.MemberAdd(ctx, []string{peerURL})
	if err != nil {
		return "", fmt.Errorf("add etcd member %s at %s: %w", name, peerURL, err)
	}
	var all []string
	for _, m := range r.Members {
		n := m.Name
		if m.ID == r.Member.ID {
			n = name
		}
		if n == "" {
			continue
		}
		for _, u := range m.PeerURLs {
			all = append(all, n+"="+u)
		}
	}
	return strings.Join(all, ","), nil
}

// RemoveMember takes the member of that name out. It refuses the last one.
func RemoveMember(ctx context.Context, c *clientv3.Client, name string) error {
	r, err := c.MemberList(ctx)
	if err != nil {
		return fmt.Errorf("remove etcd member %s: %w", name, err)
	}
	for _, m := range r.Members {
		if m.Name != name {
			continue
		}
		if len(r.Members) == 1 {
			return fmt.Errorf("remove etcd member %s: it is the last one", name)
		}
		if _, err := c.MemberRemove(ctx, m.ID); err != nil {
			return fmt.Errorf("remove etcd member %s: %w", name, err)
		}
		return nil
	}
	return fmt.Errorf("remove etcd member %s: no such member", name)
}

// ReplaceMember takes a lost member out and makes room for one of the same
// name at peerURL; its directory must be empty. It returns the new member's
// InitialCluster.
func ReplaceMember(ctx context.Context, c *clientv3.Client, name, peerURL string) (string, error) {
	if err := RemoveMember(ctx, c, name); err != nil {
		return "", err
	}
	return AddMember(ctx, c, name, peerURL)
}

// Snapshot writes the member's database to a new file and syncs it.
func Snapshot(ctx context.Context, c *clientv3.Client, path string) (bytes int64, err error) {
	r, err := c.Snapshot(ctx)
	if err != nil {
		return 0, fmt.Errorf("snapshot etcd: %w", err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("snapshot etcd: %w; give a file that is not there yet, in a folder that is", err)
	}
	n, err := io.Copy(f, r)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		// Half a snapshot would be in the way of the next try.
		return n, fmt.Errorf("snapshot etcd to %s: %w", path, errors.Join(err, os.Remove(path)))
	}
	return n, nil
}

// Defragment gives every member's unused space back, one after the other; a
// member does not answer meanwhile.
func Defragment(ctx context.Context, c *clientv3.Client) error {
	for _, ep := range c.Endpoints() {
		if _, err := c.Defragment(ctx, ep); err != nil {
			return fmt.Errorf("defragment etcd member at %s: %w", ep, err)
		}
	}
	return nil
}

// DisarmAlarms takes back every alarm (NOSPACE) after room was made, and returns how
// many there were.
func DisarmAlarms(ctx context.Context, c *clientv3.Client) (int, error) {
	r, err := c.AlarmDisarm(ctx, &clientv3.AlarmMember{})
	if err != nil {
		return 0, fmt.Errorf("disarm etcd: %w", err)
	}
	return len(r.Alarms), nil
}
