package main

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
)

// release is the version of this program; CHANGELOG.md describes it.
const release = "0.1.0"

// builtFrom is the commit, as `make build` sets it by the linker; empty: Go's
// own build information is used.
var builtFrom string

// fullVersion is release, and the commit it was built from where that is known.
func fullVersion() string {
	if builtFrom != "" {
		return release + "+" + builtFrom
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release
	}
	commit, dirty := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision" && len(s.Value) >= 12:
			commit = "+" + s.Value[:12]
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if commit == "" {
		return release
	}
	return release + commit + dirty
}

func versionCommand() cli.Command {
	return cli.Command{
		Name:  "version",
		Short: "Print the version, and which feature levels it understands",
		New: func(*cli.Set) func(context.Context, cli.Env) error {
			return func(_ context.Context, env cli.Env) error {
				fmt.Fprintf(env.Stdout, "zonewise %s, %s %s/%s, feature levels %d to %d\n",
					fullVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH, metadata.MinFeatureLevel, metadata.MaxFeatureLevel)
				return nil
			}
		},
	}
}
