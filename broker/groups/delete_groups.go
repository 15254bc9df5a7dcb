package groups

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/zonewise/zonewise/metadata"
)

// Delete handles DeleteGroups, versions 0 to 3: a group with members is
// NON_EMPTY_GROUP, an unknown one GROUP_ID_NOT_FOUND.
func (c *Coordinator) Delete(ctx context.Context, _ Client, r *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	out := kmsg.NewPtrDeleteGroupsResponse()
	out.Version = r.Version
	named := make(map[string]bool, len(r.Groups))
	barrier := sync.OnceValue(func() int16 { return c.barrier(ctx) })
	for _, name := range r.Groups {
		if named[name] {
			continue // answered once
		}
		if ctx.Err() != nil {
			break
		}
		named[name] = true
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group, g.ErrorCode = name, c.deleteGroup(ctx, name, barrier)
		out.Groups = append(out.Groups, g)
	}
	return out
}

func (c *Coordinator) deleteGroup(ctx context.Context, name string, barrier func() int16) int16 {
	if _, code := c.findOwnedSlot(metadata.GroupSlot(name)); code != noError {
		return code
	}
	known := false
	c.cfg.Replica.View(func(s *metadata.State) { known = s.HasGroup(name) })
	g, code := c.acquireGroup(name, known)
	if g == nil {
		if code == noError {
			code = pickCode(barrier() == noError, kerr.GroupIDNotFound.Code, kerr.NotCoordinator.Code)
		}
		return code
	}
	defer c.releaseGroup(g)
	return c.writeGuarded(ctx, g, func() (metadata.Command, int16) {
		if !g.isEmpty() {
			return nil, kerr.NonEmptyGroup.Code
		}
		return metadata.DeleteGroup{Epoch: g.slot.epoch, Name: name}, noError
	}, func(code int16) {
		if code == noError && g.isEmpty() {
			g.classic, g.consumer = newClassicGroup(g.name, c.limits), nil
		}
	})
}

// writeGuarded checks a group in its goroutine, then writes the command that
// the check returned, if any. It keeps its order among the group's own writes:
// earlier ones finish before the check, later ones wait for its outcome. after
// runs in the goroutine with the outcome.
func (c *Coordinator) writeGuarded(ctx context.Context, g *group, check func() (metadata.Command, int16), after func(int16)) int16 {
	var cmd metadata.Command
	code := callGroup(ctx, g, kerr.NotCoordinator.Code, func(_ time.Time, reply func(int16)) {
		g.deferred = append(g.deferred, func(time.Time) {
			var code int16
			if cmd, code = check(); cmd != nil {
				g.openCommits++
			}
			reply(code)
		})
	}, nil)
	if cmd == nil || code != noError {
		return code
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.WriteTimeout)
	defer cancel()
	out, err := c.cfg.Writer.Submit(ctx, []metadata.Command{cmd}, nil)
	code = c.resolveWrite(g.slot, out, err)
	g.post(func(time.Time) {
		g.openCommits--
		after(code)
	})
	return code
}
