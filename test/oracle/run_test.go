package oracle

import (
	"encoding/binary"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// startToyBroker starts a broker with a few fixed responses, over TCP. plant changes
// one of them.
func startToyBroker(t *testing.T, node int32, plant func(kmsg.Response)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { serveToy(c, node, plant) })
		}
	})
	t.Cleanup(func() { ln.Close(); wg.Wait() })
	return ln.Addr().String()
}

func serveToy(c net.Conn, node int32, plant func(kmsg.Response)) {
	defer c.Close()
	for {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			return
		}
		frame := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, frame); err != nil {
			return
		}
		key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
		q := kmsg.RequestForKey(key)
		if q == nil || key == 42 {
			return // like a broker that does not serve it
		}
		q.SetVersion(version)
		body := frame[10+int(binary.BigEndian.Uint16(frame[8:])):]
		if q.IsFlexible() {
			body = body[1:]
		}
		if err := q.ReadFrom(body); err != nil {
			return
		}
		resp := toyAnswer(q, node)
		if plant != nil {
			plant(resp)
		}
		out := append([]byte{0, 0, 0, 0}, frame[4:8]...)
		if q.IsFlexible() && key != 18 {
			out = append(out, 0)
		}
		out = resp.AppendTo(out)
		binary.BigEndian.PutUint32(out, uint32(len(out)-4))
		if _, err := c.Write(out); err != nil {
			return
		}
	}
}

func toyAnswer(q kmsg.Request, node int32) kmsg.Response {
	resp := q.ResponseKind()
	switch r := resp.(type) {
	case *kmsg.ApiVersionsResponse:
		r.ApiKeys = []kmsg.ApiVersionsResponseApiKey{{ApiKey: 3, MaxVersion: 9}}
	case *kmsg.MetadataResponse:
		r.Brokers = []kmsg.MetadataResponseBroker{{NodeID: node, Host: "h", Port: 1}}
	case *kmsg.InitProducerIDResponse:
		r.ProducerID = int64(1000 * node)
	case *kmsg.ListGroupsResponse:
		r.Groups = []kmsg.ListGroupsResponseGroup{{Group: "sc-other-g"}, {Group: "mine"}}
	case *kmsg.HeartbeatResponse:
		r.ErrorCode = 25
	}
	return resp
}

// A scenario runs through sockets, variables and versions, and exactly the one
// planted difference is found.
func TestASessionFindsADifference(t *testing.T) {
	text := `# What this is for.
Metadata v* {Topics: []}
producer p
producer p
Heartbeat v0-4 {Group: g, MemberID: "m $p.id", Generation: $p.epoch+1}
ListGroups v0
DeleteGroups v0 {Groups: [a]}
async @b Heartbeat v3 {Group: g}
Heartbeat v3 {Group: h}
await @b
`
	sc, err := Parse("toy", text)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		plant func(kmsg.Response)
		want  []string
	}{
		"nothing": {nil, nil},
		"a code": {func(r kmsg.Response) {
			if h, ok := r.(*kmsg.HeartbeatResponse); ok && h.Version == 2 {
				h.ErrorCode = 22
			}
		}, []string{"ErrorCode"}},
		"a group": {func(r kmsg.Response) {
			if l, ok := r.(*kmsg.ListGroupsResponse); ok {
				l.Groups = l.Groups[:1]
			}
		}, []string{"Groups"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := NewSession(t.Context(), "test", startToyBroker(t, 1, nil), startToyBroker(t, 4, tt.plant))
			if err != nil {
				t.Fatal(err)
			}
			r := s.Play(t.Context(), sc)
			var got []string
			for _, d := range r.Unexplained {
				got = append(got, d.Path)
			}
			if strings.Join(got, " ") != strings.Join(tt.want, " ") || len(r.InvalidSteps) != 0 {
				t.Errorf("differences %v, want %v; wrong %v", r.Unexplained, tt.want, r.InvalidSteps)
			}
			if r.Requests != 10+2+5+1+1+2 {
				t.Errorf("%d requests compared", r.Requests)
			}
			if c := s.Coverage(); c.Answers[APIVersion{"Metadata", 9}] != 1 || c.Answers[APIVersion{"Heartbeat", 3}] != 3 {
				t.Errorf("coverage %v", c.Answers)
			}
		})
	}
}

// A faulty scenario is distinguished from a difference.
func TestAStepThatReachesNoBrokerIsInvalid(t *testing.T) {
	s, err := NewSession(t.Context(), "test", startToyBroker(t, 1, nil), startToyBroker(t, 1, nil))
	if err != nil {
		t.Fatal(err)
	}
	sc, err := Parse("x", "Heartbeat v0 {Group: $never}")
	if err != nil {
		t.Fatal(err)
	}
	if r := s.Play(t.Context(), sc); len(r.InvalidSteps) != 1 {
		t.Errorf("wrong steps: %v", r.InvalidSteps)
	}
}

// Mistakes in a scenario are found when it is parsed.
func TestParseRefusesUnknownNames(t *testing.T) {
	for _, text := range []string{"", "# only a comment", "Produze v3", "Metadata 3", "Metadata v3 {Topicz: []}", "Metadata v3 {Topics: [{Name: x}]}",
		"let x", "raw key=1", "raw key=1 version=2 body=00 as=Nothing/1", "sleep long", "async Metadata v0-3", "produce t 0 records", "Metadata v3 {Topics: ["} {
		if _, err := Parse("x", text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// Every scenario file can be parsed and has a purpose, and there are enough of them.
func TestScenarioFilesAreValid(t *testing.T) {
	files, err := filepath.Glob("scenarios/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 300 {
		t.Errorf("only %d scenario files", len(files))
	}
	purposes := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sc, err := Parse(filepath.Base(file), string(text))
		if err != nil {
			t.Error(err)
			continue
		}
		if len(sc.Purpose) < 8 {
			t.Errorf("%s does not say what it is for", file)
		}
		purposes[sc.Purpose] = file
	}
}
