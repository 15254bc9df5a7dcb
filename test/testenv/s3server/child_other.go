//go:build !linux

package s3server

import "syscall"

// childAttributes is empty where the kernel does not end children with their parent.
func childAttributes() *syscall.SysProcAttr { return nil }
