// Command zonewise is a Kafka-compatible streaming service for clouds that
// bill traffic between zones. This package is wiring: one short file per
// subcommand; the work lives in the packages.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/zonewise/zonewise/internal/cli"
)

func main() {
	ctx, stop := untilSignal(os.Exit)
	code := program(os.Environ(), os.Stdout, os.Stderr).Main(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM; a
// second one ends the program at once.
func untilSignal(exit func(int)) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the program
		<-signals
		cancel()
		<-signals
		exit(cli.ExitFailure)
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel()
	}
}

// program lists every subcommand, in the order in which help shows them.
func program(environ []string, stdout, stderr io.Writer) *cli.Program {
	return &cli.Program{
		Name:    "zonewise",
		About:   "zonewise is a Kafka-compatible streaming service that keeps bytes in their zone and bills every topic.",
		Environ: environ,
		Stdout:  stdout,
		Stderr:  stderr,
		Commands: []cli.Command{
			devCommand(), brokerCommand(),
			etcdCommand(), etcdAddCommand(), etcdRemoveCommand(), etcdReplaceCommand(), etcdMembersCommand(), etcdSnapshotCommand(),
			recoverCommand(), verifyCommand(), repairNospaceCommand(), repairArchiveCommand(),
			costCommand(), zonesCommand(),
			benchCommand("produce"), benchCommand("consume"), benchCommand("e2e"),
			dumpLogCommand(), dumpArchiveCommand(), dumpObjectCommand(), dumpCheckpointCommand(), dumpStateCommand(),
			versionCommand(),
		},
	}
}
