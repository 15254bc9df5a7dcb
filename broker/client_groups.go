package broker

import (
	"slices"
	"strings"
	"sync"

	"github.com/zonewise/zonewise/metadata"
)

// clientGroupIndex finds the group of a fetching client, which Fetch does not
// contain. The state has the members of all groups, whichever broker
// coordinates them, with the client id and address under which they joined. If
// two groups have members with the same id and address, the client has no group
// here.
type clientGroupIndex struct {
	mu      sync.Mutex // guards what follows; held for map operations only
	seeded  bool
	groups  map[clientKey][]string
	clients map[string][]clientKey // by group
}

type clientKey struct{ id, host string }

// maxIndexedClients bounds the index: further members are not indexed.
const maxIndexedClients = 200_000

func newClientGroupIndex() *clientGroupIndex {
	return &clientGroupIndex{groups: map[clientKey][]string{}, clients: map[string][]clientKey{}}
}

// findGroup returns the client's group, or "".
func (x *clientGroupIndex) findGroup(id, host string) string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if g := x.groups[clientKey{id, host}]; len(g) == 1 {
		return g[0]
	}
	return ""
}

// loadGroups indexes the groups of the state (a checkpoint's) from before
// entries were observed. It works once only.
func (x *clientGroupIndex) loadGroups(st *metadata.State) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.seeded {
		return
	}
	x.seeded = true
	for _, name := range st.Groups() {
		if g, ok := st.Group(name); ok && g.Group != nil && x.clients[name] == nil {
			x.putGroup(g.Group)
		}
	}
}

// observeEntry keeps the index up to date. The apply goroutine calls it.
func (x *clientGroupIndex) observeEntry(a *metadata.AppliedEntry) {
	if a.Entry == nil || a.Outcome == nil || a.Outcome.Code != metadata.CodeOK {
		return
	}
	for i, c := range a.Entry.Commands {
		if i < len(a.Outcome.Commands) && a.Outcome.Commands[i].Code != metadata.CodeOK {
			continue
		}
		switch c := c.(type) {
		case metadata.PutGroup:
			x.mu.Lock()
			x.putGroup(&c.Group)
			x.mu.Unlock()
		case metadata.DeleteGroup:
			x.mu.Lock()
			x.removeGroup(c.Name)
			x.mu.Unlock()
		}
	}
}

// putGroup replaces a group's members in the index. The entry's memory is not
// retained.
func (x *clientGroupIndex) putGroup(g *metadata.Group) {
	x.removeGroup(g.Name)
	if len(g.Members) == 0 || len(x.groups)+len(g.Members) > maxIndexedClients {
		return
	}
	name := strings.Clone(g.Name)
	for _, m := range g.Members {
		k := clientKey{strings.Clone(m.ClientID), strings.Clone(m.ClientHost)}
		if !slices.Contains(x.groups[k], name) {
			x.groups[k] = append(x.groups[k], name)
			x.clients[name] = append(x.clients[name], k)
		}
	}
}

func (x *clientGroupIndex) removeGroup(name string) {
	for _, k := range x.clients[name] {
		left := slices.DeleteFunc(x.groups[k], func(g string) bool { return g == name })
		if len(left) == 0 {
			delete(x.groups, k)
		} else {
			x.groups[k] = left
		}
	}
	delete(x.clients, name)
}
