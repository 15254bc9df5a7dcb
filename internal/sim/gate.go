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
	w.gateOpened = make(chan struct{})
	close(w.gate)
}

// openGate lets processes start again.
func (w *world) openGate() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.gateOpened)
	w.gate, w.gateOpened = make(chan struct{}), nil
}

// waitGateOpen waits while the gate is closed.
func (w *world) waitGateOpen(ctx context.Context) error {
	w.mu.Lock()
	open := w.gateOpened
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

// newEtcdClient opens a life's connection to the present etcd.
func (w *world) newEtcdClient(id, zone string) *etcdfake.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.etcd.Client(id, zone)
	w.etcdClients[id] = c
	return c
}

// recordStop notes that a broker stopped serving by itself; expected tells that
// it had to.
func (w *world) recordStop(id string, err error) (expected bool) {
	w.mu.Lock()
	w.stops++
	expected = w.stopsExpected
	w.mu.Unlock()
	w.trace("stopped %s", id)
	if expected {
		w.countState(rewound, 1)
	} else {
		w.history.reportViolation("%s stopped serving: %v", id, err)
	}
	return expected
}

func (w *world) recoveryCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.recoveries
}

// currentEtcd is the etcd of now.
func (w *world) currentEtcd() *etcdfake.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.etcd
}

// markDead notes that a life is over: what it still tries reaches nobody, and is
// no part of the trace.
func (w *world) markDead(life string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadInstances[life] = true
}

func (w *world) isDead(life string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deadInstances[life]
}
