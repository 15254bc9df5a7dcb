package listappend

import (
	"fmt"
	"slices"
)

// graph has an edge from u to v where v comes after u.
type graph [][]int

// checkCycles builds the dependencies between committed transactions: ww from the
// writer of a record to that of the next one in the partition, wr from a writer to
// its readers; and looks for cycles.
func (x *historyIndex) checkCycles(r *Result) {
	n := len(x.history.Transactions)
	ww, wr, both := make(graph, n), make(graph, n), make(graph, n)
	link := func(g graph, u, v int) {
		if u != v && !slices.Contains(g[u], v) {
			g[u] = append(g[u], v)
			if !slices.Contains(both[u], v) {
				both[u] = append(both[u], v)
			}
		}
	}
	for _, list := range x.versions {
		for i := 1; i < len(list); i++ {
			link(ww, x.writes[list[i-1].Value].txn, x.writes[list[i].Value].txn)
		}
	}
	for i, t := range x.history.Transactions {
		if !x.committed[i] {
			continue
		}
		for _, op := range t.Ops {
			for _, rec := range op.Read {
				if w, ok := x.writes[rec.Value]; ok && x.committed[w.txn] {
					link(wr, w.txn, i)
				}
			}
		}
	}
	for _, c := range ww.findCycles() {
		r.addAnomaly(CycleG0, -1, fmt.Sprintf("%d transactions in one component", c.size), c.path...)
	}
	for _, c := range wr.findCycles() {
		r.addAnomaly(CycleG1c, -1, fmt.Sprintf("%d transactions in one component", c.size), c.path...)
	}
	for _, c := range both.findMixedCycles(ww, wr) {
		r.addAnomaly(CycleG1cWW, -1, fmt.Sprintf("%d transactions in one component", c.size), c.path...)
	}
}

// cycle is a strongly connected component and one cycle in it.
type cycle struct {
	size int
	path []int
}

// findCycles finds one cycle in each component.
func (g graph) findCycles() (out []cycle) {
	for _, part := range g.stronglyConnected() {
		if len(part) > 1 {
			out = append(out, cycle{len(part), g.shortestPath(part[0], part[0], part)})
		}
	}
	return out
}

// findMixedCycles finds, in each component, one cycle with edges of both kinds.
func (g graph) findMixedCycles(ww, wr graph) (out []cycle) {
	for _, part := range g.stronglyConnected() {
		if path := g.findMixedCycleIn(part, ww, wr); path != nil {
			out = append(out, cycle{len(part), path})
		}
	}
	return out
}

// maxTries bounds the search for a cycle that is not a fault: each try walks its
// component.
const maxTries = 50

func (g graph) findMixedCycleIn(part []int, ww, wr graph) []int {
	inside := map[int]bool{}
	for _, v := range part {
		inside[v] = len(part) > 1
	}
	tries := 0
	for _, u := range part {
		for _, v := range wr[u] {
			if !inside[v] {
				continue
			}
			if tries++; tries > maxTries {
				return nil
			}
			path := g.shortestPath(v, u, part)
			if slices.ContainsFunc(pathEdges(append(path, v)), func(e [2]int) bool { return slices.Contains(ww[e[0]], e[1]) && !slices.Contains(wr[e[0]], e[1]) }) {
				return path
			}
		}
	}
	return nil
}

func pathEdges(path []int) (out [][2]int) {
	for i := 1; i < len(path); i++ {
		out = append(out, [2]int{path[i-1], path[i]})
	}
	return out
}

// shortestPath returns a shortest path from a node to another of its component; to
// itself, with at least one edge.
func (g graph) shortestPath(from, to int, part []int) []int {
	inside := map[int]bool{}
	for _, v := range part {
		inside[v] = true
	}
	came := map[int]int{}
	for queue := []int{from}; len(queue) > 0; queue = queue[1:] {
		for _, v := range g[queue[0]] {
			if _, seen := came[v]; seen || !inside[v] {
				continue
			}
			came[v] = queue[0]
			if v != to {
				queue = append(queue, v)
				continue
			}
			path := []int{to}
			for at := came[to]; at != from; at = came[at] {
				path = append(path, at)
			}
			if from != to {
				path = append(path, from)
			}
			slices.Reverse(path)
			return path
		}
	}
	return nil
}

// stronglyConnected returns the strongly connected components (Tarjan 1972).
func (g graph) stronglyConnected() [][]int {
	t := tarjan{g: g, number: make([]int, len(g)), low: make([]int, len(g)), onStack: make([]bool, len(g))}
	for v := range g {
		if t.number[v] == 0 {
			t.visit(v)
		}
	}
	return t.out
}

type tarjan struct {
	g           graph
	next        int
	number, low []int // number 0: not visited
	onStack     []bool
	stack       []int
	out         [][]int
}

// visit recurses as deep as the longest path, one frame per transaction; a
// goroutine's stack holds millions of them.
func (t *tarjan) visit(v int) {
	t.next++
	t.number[v], t.low[v] = t.next, t.next
	t.stack, t.onStack[v] = append(t.stack, v), true
	for _, w := range t.g[v] {
		if t.number[w] == 0 {
			t.visit(w)
			t.low[v] = min(t.low[v], t.low[w])
		} else if t.onStack[w] {
			t.low[v] = min(t.low[v], t.number[w])
		}
	}
	if t.low[v] != t.number[v] {
		return
	}
	at := len(t.stack) - 1
	for ; t.stack[at] != v; at-- {
		t.onStack[t.stack[at]] = false
	}
	t.onStack[v] = false
	t.out = append(t.out, slices.Clone(t.stack[at:]))
	t.stack = t.stack[:at]
}
