package s3server

import "syscall"

// childAttributes lets the server end with the process that started it, however that
// ends, and not with a signal to a terminal's group: a test stops it last.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
