package metadata

import (
	"encoding/binary"
	"math/bits"
)

// Hash is the hash on which brokers of all versions must agree: of the state's
// items, of placement and of group slots (docs/format/hashes.md). It multiplies
// 64 by 64 bits per word. It is not cryptographic: whoever can write the log
// needs no collision to do harm.
type Hash uint64

// Seeds separate the uses of Hash. They never change.
const (
	hashSeedPlace Hash = 0x9e3779b97f4a7c15
	hashSeedSlot  Hash = 0xd1b54a32d192ed03
	hashSeedItem  Hash = 0x8cb92ba72f3d8dd7
	hashSeedPage  Hash = 0xaaaaaaaaaaaaaaab
	hashSeedCell  Hash = 0xf1357aea2e62a9c5
	hashFactorA        = 0xa0761d6478bd642f
	hashFactorB        = 0xe7037ed1a0b428db
)

// Word adds one word.
func (m Hash) Word(w uint64) Hash {
	hi, lo := bits.Mul64(uint64(m)^hashFactorA, w^hashFactorB)
	return Hash(hi ^ lo + uint64(m))
}

// Text adds a string, its length first.
func (m Hash) Text(s string) Hash {
	m = m.Word(uint64(len(s)))
	for len(s) >= 8 {
		m = m.Word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
		s = s[8:]
	}
	if len(s) > 0 {
		var tail [8]byte
		copy(tail[:], s)
		m = m.Word(binary.LittleEndian.Uint64(tail[:]))
	}
	return m
}

// Bytes adds bytes as Text does.
func (m Hash) Bytes(b []byte) Hash {
	m = m.Word(uint64(len(b)))
	for len(b) >= 8 {
		m = m.Word(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		m = m.Word(binary.LittleEndian.Uint64(tail[:]))
	}
	return m
}

// Topic adds a topic id.
func (m Hash) Topic(t TopicID) Hash {
	return m.Word(binary.LittleEndian.Uint64(t[:8])).Word(binary.LittleEndian.Uint64(t[8:]))
}

// Partition adds a partition's topic id and index.
func (m Hash) Partition(tp TopicPartition) Hash { return m.Topic(tp.Topic).Word(uint64(tp.Partition)) }

// Sum returns the hash, finished so that similar inputs have unrelated hashes.
func (m Hash) Sum() uint64 {
	x := uint64(m)
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	return x ^ x>>32
}

// GroupSlot returns the slot that coordinates a group.
func GroupSlot(group string) Slot { return Slot(hashSeedSlot.Text(group).Sum() % GroupSlots) }
