package sim

import (
	"context"

	"github.com/zonewise/zonewise/metadata/etcdlog/etcdfake"
)

// gateClosed returns a channel that is closed when all processes must stop.
func (w *world) gateClosed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.gate
}

// closeGate stops all processes and keeps them stopped.
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

// newEtcdClient opens an instance's connection to the current etcd.
func (w *world) newEtcdClient(id, zone string) *etcdfake.Client {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.etcd.Client(id, zone)
	w.etcdClients[id] = c
	return c
}

// recordStop records that a broker stopped serving by itself; expected reports
// whether it had to.
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

// currentEtcd returns the current etcd.
func (w *world) currentEtcd() *etcdfake.Store {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.etcd
}

// markDead records that an instance has ended: its further requests have no effect
// and are not traced.
func (w *world) markDead(instance string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadInstances[instance] = true
}

func (w *world) isDead(instance string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.deadInstances[instance]
}
