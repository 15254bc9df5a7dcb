package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A value is
//
//	producer SP partition SP seq LF  filler  crc32c(all before, 4 bytes)
//
// seq counts from 0 per producer and partition, in the order of sending. The
// filler differs from record to record and does not compress.
func makeValue(producer string, partition int32, seq int64, size int) []byte {
	v := fmt.Appendf(make([]byte, 0, size), "%s %d %d\n", producer, partition, seq)
	x := uint64(seq)*0x9e3779b97f4a7c15 + uint64(partition) + 1
	for len(v) < size-4 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		v = append(v, byte(x>>32))
	}
	return binary.BigEndian.AppendUint32(v, crc32.Checksum(v, crc32.MakeTable(crc32.Castagnoli)))
}

// readValue returns the arguments of makeValue.
func readValue(v []byte) (producer string, partition int32, seq int64, err error) {
	if len(v) < 4 || binary.BigEndian.Uint32(v[len(v)-4:]) != crc32.Checksum(v[:len(v)-4], crc32.MakeTable(crc32.Castagnoli)) {
		return "", 0, 0, fmt.Errorf("value of %d bytes: checksum differs", len(v))
	}
	head, _, _ := strings.Cut(string(v[:min(len(v), 200)]), "\n")
	if _, err := fmt.Sscanf(head, "%s %d %d", &producer, &partition, &seq); err != nil {
		return "", 0, 0, fmt.Errorf("value: %w", err)
	}
	return producer, partition, seq, nil
}

// ledger is a file of one line per record that was acknowledged or refused:
//
//	sent_us ended_us partition offset seq [error]      offset -1: not acknowledged
//
// and for consumers
//
//	read_us partition offset producer seq              producer "!": a bad value
type ledger struct {
	mu   sync.Mutex
	file *os.File // nil: nothing is written
	out  *bufio.Writer
}

func newLedger(folder, name string) (*ledger, error) {
	if folder == "" {
		return &ledger{}, nil
	}
	f, err := os.Create(filepath.Join(folder, name))
	if err != nil {
		return nil, err
	}
	return &ledger{file: f, out: bufio.NewWriterSize(f, 1<<16)}, nil
}

func (l *ledger) line(format string, args ...any) {
	if l.file == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	fmt.Fprintf(l.out, format+"\n", args...)
}

func (l *ledger) close() error {
	if l.file == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.out.Flush(); err != nil {
		return err
	}
	return l.file.Close()
}

func micros(t time.Time) int64 { return t.UnixMicro() }
