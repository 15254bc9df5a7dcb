package report

import (
	"os/exec"
	"strings"
)

// Commit returns the tested commit for a report, with -dirty if files differ from it.
// Changes in docs do not count, because runs write them.
func Commit() string {
	at, err := exec.Command("git", "describe", "--always").Output()
	changed, statusErr := exec.Command("git", "status", "--porcelain", "--", ":/", ":!/docs").Output()
	if err != nil || statusErr != nil {
		return "unknown commit"
	}
	name := strings.TrimSpace(string(at))
	if len(changed) > 0 {
		name += "-dirty"
	}
	return name
}
