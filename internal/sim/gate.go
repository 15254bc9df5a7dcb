package sim

import (
	"context"

	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// gateClosed is closed when all processes have to go down.
func (w *world) gateClosed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate
}

// closeGate takes all processes down and keeps them there.
func (w *world) closeGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = make(chan struct{})
	close(w.gate)
}

// openGate lets processes start again.
func (w *world) openGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.open)
	w.gate, w.open = make(chan struct{}), nil
}

// waitGate waits while the gate is closed.
func (w *world) waitGate(ctx context.Context) error {
	w.mu.Lock()
	open := w.open
	w.mu.Unlock()
	if open == nil {
		return ctx.Err()
	}
	select {
	case <-open:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// client opens a life's connection to the present etcd.
func (w *world) client(id, zone string) *etcdfake.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.etcd.Client(id, zone)
	w.clients[id] = c
	return c
}

// stopped notes that a broker stopped serving by itself; expected tells that
// it had to.
func (w *world) stopped(id string, err error) (expected bool) {
	w.mu.Lock()
	w.stops++
	expected = w.expect
	w.mu.Unlock()
	w.trace("stopped %s", id)
	if expected {
		w.count(rewound, 1)
	} else {
		w.history.wrong("%s stopped serving: %v", id, err)
	}
	return expected
}

func (w *world) recoveries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recovered
}

// present is the etcd of now.
func (w *world) present() *etcdfake.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.etcd
}

// bury notes that a life is over: what it still tries reaches nobody, and is
// no part of the trace.
func (w *world) bury(life string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead[life] = true
}

func (w *world) isDead(life string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.dead[life]
}
