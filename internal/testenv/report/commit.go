package report

import (
	"os/exec"
	"strings"
)

// Commit names what is tested, for who reads a report: the commit, and -dirty
// where files differ from it. What runs have written into docs makes no other
// program of it.
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
