package main

import (
	"fmt"
	"io"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/metadata"
	"github.com/zonewise/zonewise/s3stream"
)

func dumpObjectCommand() cli.Command {
	return dumpCommand(cli.Command{
		Name:  "dump object",
		Short: "Print a WAL object: partitions, batches, checksums",
		Long: `
Checks every range and every batch against its checksum. Of a damaged object it
prints what can be read and what is wrong, and exits 1.`,
		Examples: []string{"zonewise dump object 1/wal/00000000000004b2/standard-000000000001-0 --bucket s3://events"},
	}, printObject)
}

func printObject(w io.Writer, body []byte) error {
	d, err := s3stream.DescribeWAL(body)
	if err != nil && len(d.Parts) == 0 && len(d.Faults) == 0 {
		fmt.Fprintf(w, "damaged: %v\n", err)
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	fmt.Fprintf(w, "WAL object %s, %d bytes, index at %d+%d\n", orNone(d.Key), d.Bytes, d.Index.Position, d.Index.Length)
	for _, p := range d.Parts {
		name := fmt.Sprintf("%s/%d", p.Partition.Topic, p.Partition.Partition)
		if d.Scanned {
			name = "unknown partition"
		}
		fmt.Fprintf(w, "\n%s: bytes %d to %d, checksum %08x\n", name, p.Position, p.Position+p.Length, p.CRC)
		for _, b := range p.Batches {
			h := b.Header
			fmt.Fprintf(w, "  %10d  %7d bytes  %5d records  producer %d epoch %d from sequence %d  newest %s", b.Position, h.Size, h.Offsets(),
				h.Producer, h.Epoch, h.BaseSequence, formatTime(h.MaxTimestamp))
			if b.Fault != "" {
				fmt.Fprintf(w, "  DAMAGED: %s", b.Fault)
			}
			fmt.Fprintln(w)
		}
	}
	if err == nil {
		return nil
	}
	fmt.Fprintln(w)
	for _, f := range d.Faults {
		fmt.Fprintf(w, "damaged: %s\n", f)
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

func dumpCheckpointCommand() cli.Command {
	return dumpCommand(cli.Command{
		Name:  "dump checkpoint",
		Short: "Print what a checkpoint of the state says of itself",
		Long: `
Checks head and index. Pages may lie in earlier checkpoint objects, which it
names. The spans of a partition are pages of their own, 256 each, from 256 spans
on; ` + "`zonewise dump state --checkpoint KEY`" + ` reads them all and prints the state.`,
		Examples: []string{"zonewise dump checkpoint 1/checkpoint/0000000000002710-00000000000004b2 --bucket s3://events"},
	}, printCheckpoint)
}

func printCheckpoint(w io.Writer, body []byte) error {
	ix, err := metadata.DecodeCheckpointIndex(body)
	if err != nil {
		fmt.Fprintf(w, "damaged: %v\n", err)
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	fmt.Fprintf(w, "checkpoint at revision %d of generation %d, level %d, state hash %016x\n", ix.Revision, ix.Extent, ix.Level, ix.Hash)
	pages, bytes := ix.Pages()
	chunks, chunkBytes := 0, int64(0)
	ix.Chunks(func(_ metadata.TopicPartition, _ uint64, count int, bytes int64) {
		chunks, chunkBytes = chunks+count, chunkBytes+bytes
	})
	fmt.Fprintf(w, "%s of tables (%d bytes) and %s of spans (%d bytes) in %s:\n", formatCount(pages, "page"), bytes,
		formatCount(chunks, "chunk"), chunkBytes, formatCount(len(ix.Objects), "object"))
	referenced := ix.Referenced()
	for i, o := range ix.Objects {
		fmt.Fprintf(w, "  %s: %d bytes, %d in use\n", o.Key, o.Size, referenced[i])
	}
	ix.Chunks(func(tp metadata.TopicPartition, first uint64, count int, bytes int64) {
		fmt.Fprintf(w, "%s/%d: chunks %d to %d of its spans, %d bytes\n", tp.Topic, tp.Partition, first, first+uint64(count)-1, bytes)
	})
	return nil
}
