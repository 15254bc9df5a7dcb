package broker

import (
	"os"
	"testing"

	"github.com/zonewise/zonewise/test/framing"
)

// What Apache Kafka said of drawn framings is said here, too. The file is written
// by the clients suite:
//
//	FRAMINGS=4000 FRAMINGS_RECORD=$PWD/broker/testdata/framings-kafka-4.4.0.txt \
//	  go test -tags clients -run TestDrawnFramings ./test/suites/clients
func TestDrawnFramingsAreJudgedAsByKafka(t *testing.T) {
	text, err := os.ReadFile("testdata/framings-kafka-4.4.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	verdicts, err := framing.ParseVerdicts(text)
	if err != nil {
		t.Fatal(err)
	}
	cs, other, allowed := newCodecs(), 0, 0
	for i := range verdicts.Len() {
		c := framing.Draw(verdicts.Seed, i)
		taken, same := verdicts.Of(c)
		if !same {
			other++
			continue
		}
		_, _, bad := cs.checkBatch(framing.Batch(c.Codec, framing.Records, c.Body), 9, 1_700_000_000_000, testRules())
		switch {
		case taken == (bad == nil):
		case taken && c.RefusedOnPurpose():
			allowed++
		default:
			t.Errorf("%v: %v, and Kafka took it: %v", c, bad, taken)
		}
	}
	if other > verdicts.Len()/2 {
		t.Errorf("%d of %d cases are others by now: record them anew", other, verdicts.Len())
	}
	t.Logf("%d cases, %d others by now, %d refused on purpose", verdicts.Len(), other, allowed)
}
