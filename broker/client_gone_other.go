//go:build !linux

package broker

import "net"

// isClientGone is not supported here: a disconnect is noticed at the next read.
func isClientGone(net.Conn) bool { return false }
