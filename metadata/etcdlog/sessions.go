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

// findSession returns a session that this log opened and its owner has not closed
// (or has opened none since).
func (l *Log) findSession(id metadata.SessionID) (*session, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.sessions[id]
	if s == nil {
		return nil, fmt.Errorf("BUG: session %v was not opened by this log, or was closed before another one was opened", id)
	}
	return s, nil
}

// liveSessionKey is a session key as listed.
type liveSessionKey struct {
	metadata.LiveSession
	key   string
	lease int64
}

// listSessionKeys reads the session keys of this incarnation, by id, and etcd's
// revision of the read.
func (l *Log) listSessionKeys(ctx context.Context) ([]liveSessionKey, int64, error) {
	prefix := l.k.sessionPrefix()
	before := l.seen.get()
	resp, err := l.sendOnce(ctx, "list", &txnReq{Success: append(l.stateOps(), getPrefixOp(prefix))})
	if err != nil {
		return nil, 0, err
	}
	st, err := l.decodeState(before, resp)
	if err != nil {
		return nil, 0, err
	}
	var all []liveSessionKey
	for key, kv := range st.values {
		nonce, ok := strings.CutPrefix(key, prefix)
		if !ok {
			continue
		}
		info, status, err := decodeSession(nonce, kv.Value)
		if err != nil {
			return nil, 0, err
		}
		all = append(all, liveSessionKey{metadata.LiveSession{ID: metadata.SessionID(l.toLogRevision(kv.CreateRevision)), Info: info, Status: status}, key, kv.Lease})
	}
	slices.SortFunc(all, func(a, b liveSessionKey) int { return int(a.ID - b.ID) })
	return all, st.rev, nil
}

// Sessions implements metadata.LogAdmin.
func (l *Log) Sessions(ctx context.Context) ([]metadata.LiveSession, metadata.Revision, error) {
	keys, rev, err := l.listSessionKeys(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("list sessions: %w", l.addAdvice(ctx, err))
	}
	live := make([]metadata.LiveSession, len(keys))
	for i, k := range keys {
		live[i] = k.LiveSession
	}
	return live, l.toLogRevision(rev), nil
}

// maxSettingsBytes bounds a session's published settings.
const maxSettingsBytes = 64 << 10

// encodeSettings returns the value of a session's settings key, which is written
// once, while the session's own is rewritten every few seconds; nil: none.
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

// Settings lists the live sessions that have published settings, by id.
func (l *Log) Settings(ctx context.Context) ([]metadata.LiveSession, error) {
	keys, _, err := l.listSessionKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", l.addAdvice(ctx, err))
	}
	resp, err := l.sendOnce(ctx, "list settings", &txnReq{Success: []*op{getPrefixOp(l.k.settingsPrefix())}})
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", l.addAdvice(ctx, err))
	}
	values := decodeGets(resp)
	var out []metadata.LiveSession
	for _, k := range keys {
		kv := values[l.k.settingsKey(k.Info.Nonce)]
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

// EndSession implements metadata.LogAdmin: it revokes the session's lease, which
// deletes its key and its roles. A lease belongs to one session only.
func (l *Log) EndSession(ctx context.Context, id metadata.SessionID) error {
	keys, _, err := l.listSessionKeys(ctx)
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
