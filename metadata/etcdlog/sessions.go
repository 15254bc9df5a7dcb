package etcdlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/zonewise/zonewise/metadata"
)

// session finds one that this log opened and whose owner has not closed it (or
// has opened none since).
func (l *Log) session(id metadata.SessionID) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[id]
	if s == nil {
		return nil, fmt.Errorf("BUG: session %v was not opened by this log, or was closed before another one was opened", id)
	}
	return s, nil
}

// liveKey is a session key as listed.
type liveKey struct {
	metadata.LiveSession
	key   string
	lease int64
}

// list reads the session keys of this incarnation, by id, and etcd's revision of
// the read.
func (l *Log) list(ctx context.Context) ([]liveKey, int64, error) {
	prefix := l.k.sessions()
	before := l.seen.get()
	resp, err := l.once(ctx, "list", &txnReq{Success: append(l.standingOps(), getBelow(prefix))})
	if err != nil {
		return nil, 0, err
	}
	st, err := l.standingOf(before, resp)
	if err != nil {
		return nil, 0, err
	}
	var all []liveKey
	for key, kv := range st.got {
		nonce, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		info, status, err := decodeSession(nonce, kv.Value)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, liveKey{metadata.LiveSession{ID: metadata.SessionID(l.out(kv.CreateRevision)), Info: info, Status: status}, key, kv.Lease})
	}
	slices.SortFunc(all, func(a, b liveKey) int { return int(a.ID - b.ID) })
	return all, st.rev, nil
}

// Sessions implements metadata.LogAdmin.
func (l *Log) Sessions(ctx context.Context) ([]metadata.LiveSession, metadata.Revision, error) {
	keys, rev, err := l.list(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("list sessions: %w", l.advise(ctx, err))
	}
	live := make([]metadata.LiveSession, len(keys))
	for i, k := range keys {
		live[i] = k.LiveSession
	}
	return live, l.out(rev), nil
}

// maxSettingsBytes bounds what a session tells of its settings.
const maxSettingsBytes = 64 << 10

// encodeSettings is the value of a session's settings key, which is written
// once, while the session's own is written again every few seconds; nil: none.
func encodeSettings(settings map[string]string) ([]byte, error) {
	if len(settings) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(settings)
	if err == nil && len(b) > maxSettingsBytes {
		err = fmt.Errorf("settings of %d bytes, at most %d", len(b), maxSettingsBytes)
	}
	return b, err
}

// Settings lists the live sessions that have told their settings, by id.
func (l *Log) Settings(ctx context.Context) ([]metadata.LiveSession, error) {
	keys, _, err := l.list(ctx)
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", l.advise(ctx, err))
	}
	resp, err := l.once(ctx, "list settings", &txnReq{Success: []*op{getBelow(l.k.settings())}})
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", l.advise(ctx, err))
	}
	told := answers(resp)
	var out []metadata.LiveSession
	for _, k := range keys {
		kv := told[l.k.setting(k.Info.Nonce)]
		if kv == nil {
			continue
		}
		if err := json.Unmarshal(kv.Value, &k.Info.Settings); err != nil {
			return nil, fmt.Errorf("decode settings of session %v: %w", k.ID, err)
		}
		out = append(out, k.LiveSession)
	}
	return out, nil
}

// EndSession implements metadata.LogAdmin: the session's lease is revoked, which
// takes its key and its duties. A lease is one session's alone.
func (l *Log) EndSession(ctx context.Context, id metadata.SessionID) error {
	keys, _, err := l.list(ctx)
	if err != nil {
		return fmt.Errorf("end session %v: %w", id, err)
	}
	for _, k := range keys {
		if k.ID != id {
			continue
		}
		if err := l.c.Revoke(ctx, k.lease); err != nil && !errors.Is(err, rpctypes.ErrLeaseNotFound) {
			return fmt.Errorf("end session %v: %w", id, err)
		}
	}
	return nil
}
