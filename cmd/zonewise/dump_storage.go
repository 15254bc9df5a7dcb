package main

import (
	"fmt"
	"io"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
)

func dumpInlineCommand() cli.Command {
	return dumpCommand(cli.Command{
		Name:  "dump inline",
		Short: "Print an object with record bytes moved out of old archives",
		Long: `
Prints of which entries it has record bytes, and checks every checksum. Of a
damaged object it says what is wrong and exits 1.`,
		Examples: []string{"zonewise dump inline 1/inline/0000000000000007/00000000000004b2-1 --bucket s3://events"},
	}, printInline)
}

func printInline(w io.Writer, body []byte) error {
	list, err := metadata.DecodeInlineObject(body)
	if err != nil {
		fmt.Fprintf(w, "damaged: %v\n", err)
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	fmt.Fprintf(w, "inline object of %s, %d bytes\n", formatEntries(len(list)), len(body))
	for _, e := range list {
		fmt.Fprintf(w, "  revision %d: %d bytes\n", e.Revision, len(e.Bytes))
	}
	return nil
}

// printStorage prints what the state knows of the bucket besides archives.
func printStorage(w io.Writer, s *metadata.State) {
	fmt.Fprintln(w, "\nCHECKPOINT\tREVISION\tGENERATION\tOBJECTS\tRECOVERY BASE")
	for _, c := range s.Checkpoints() {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%v\n", c.Key(), c.Revision, c.Extent, len(c.Objects), c.Base)
	}
	fmt.Fprintln(w, "\nINLINE OBJECT\tFIRST\tLAST\tLIVE INLINE")
	for _, o := range s.InlineObjects() {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\n", o.Object, o.First, o.Last, o.LiveInline)
	}
	objects, bytes := s.GarbageTotals()
	fmt.Fprintf(w, "\n%d dead objects of %d bytes wait for their deletion, up to revision %d; %d trimmed partitions and deleted topics wait for their release\n",
		objects, bytes, s.DeletableUpTo(), s.QueuedReleases())
}
