package broker

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/zonewise/zonewise/metadata"
)

// BenchmarkCheckBatch is what a batch of 64 records of 1 KiB costs before it
// is appended.
func BenchmarkCheckBatch(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	values := make([]string, 64)
	for i := range values {
		v := make([]byte, 1024)
		for j := range v {
			v[j] = "abcdefgh"[rnd.IntN(8)]
		}
		values[i] = string(v)
	}
	cs := newCodecs()
	for codec := codecNone; codec <= codecZstd; codec++ {
		batch := packed(codec, values...)
		b.Run(fmt.Sprint(codec), func(b *testing.B) {
			b.SetBytes(64 << 10)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := cs.checkBatch(batch, 9, 5000, testRules()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDecodeProduce is a request of 10 topics with 50 partitions each.
func BenchmarkDecodeProduce(b *testing.B) {
	q := produceOf(13, "", metadata.TopicID{}, -1)
	q.Topics = q.Topics[:0]
	for i := range 10 {
		batches := make([][]byte, 50)
		for j := range batches {
			batches[j] = batchOf(1000, "v")
		}
		q.Topics = append(q.Topics, produceOf(13, "", metadata.TopicID{byte(i)}, -1, batches...).Topics...)
	}
	body := q.AppendTo(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeProduce(13, body); err != nil {
			b.Fatal(err)
		}
	}
}
