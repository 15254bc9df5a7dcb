package oracle

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.yaml.in/yaml/v3"
)

// Scenario is a parsed scenario file.
type Scenario struct {
	Name    string // of the file, without its extension
	Purpose string // the comment at the top
	Lines   []string
	Steps   []Step
}

// Step is one line of a scenario.
type Step struct {
	Line int
	Text string
	Verb string // request, raw, await, let, name, sleep, close
	Conn string // "" is the first connection

	// Of a request.
	API      string
	Key      int16
	Min, Max int16 // versions to send; Max AllVersions: those that Kafka offers
	Body     *yaml.Node
	Async    bool
	Until    []condition // repeated until it holds, for untilTimeout
	Sets     []binding   // variables taken from the response
	Hex      string      // body of a raw request
	As       string      // API that decodes a raw response

	Names []string      // of name
	Pause time.Duration // of sleep
}

// AllVersions as Step.Max means every version that Kafka offers.
const AllVersions = -1

type condition struct {
	path, value string
	not         bool
}

type binding struct{ name, path string }

var (
	requestLine = regexp.MustCompile(`^([A-Z][A-Za-z]+) v(\*|\d+(?:-\d+)?)(?:\s+(\{.*\}))?$`)
	untilWord   = regexp.MustCompile(`^until ([A-Za-z0-9_.\[\]]+)(!?=)(\S*) (.*)$`)
	letLine     = regexp.MustCompile(`^let ([a-z][A-Za-z0-9_.]*) = (\S+)$`)
	rawLine     = regexp.MustCompile(`^raw key=(-?\d+) version=(-?\d+) body=([0-9a-f]*)(?: as=([A-Za-z]+)/(\d+))?$`)
	connWord    = regexp.MustCompile(`^@([a-z][a-z0-9]*)\s+(.*)$`)
)

// Parse reads a scenario. An error names the line.
func Parse(name, text string) (*Scenario, error) {
	s := &Scenario{Name: name}
	head := true
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
			head = head && s.Purpose == ""
			continue
		case strings.HasPrefix(trimmed, "#"):
			if head {
				s.Purpose = strings.TrimSpace(s.Purpose + " " + strings.TrimSpace(trimmed[1:]))
			}
			continue
		}
		head = false
		if line[0] == ' ' && len(s.Steps) > 0 { // continues the previous line
			last := &s.Steps[len(s.Steps)-1]
			last.Text += " " + trimmed
			s.Lines[len(s.Lines)-1] = last.Text
			continue
		}
		s.Steps = append(s.Steps, Step{Line: i + 1, Text: trimmed})
		s.Lines = append(s.Lines, trimmed)
	}
	for i := range s.Steps {
		if err := s.Steps[i].parse(); err != nil {
			return nil, fmt.Errorf("scenario %s line %d: %w", name, s.Steps[i].Line, err)
		}
	}
	if len(s.Steps) == 0 {
		return nil, fmt.Errorf("scenario %s has no steps", name)
	}
	return s, nil
}

func (s *Step) parse() error {
	text := s.Text
	if rest, ok := strings.CutPrefix(text, "async "); ok {
		s.Async, text = true, rest
	}
	if m := connWord.FindStringSubmatch(text); m != nil {
		s.Conn, text = m[1], m[2]
	}
	for {
		m := untilWord.FindStringSubmatch(text)
		if m == nil {
			break
		}
		s.Until, text = append(s.Until, condition{m[1], m[3], m[2] == "!="}), m[4]
	}
	if sugar, err := s.expandShortForm(text); sugar || err != nil {
		return err
	}
	word, rest, _ := strings.Cut(text, " ")
	switch word {
	case "await", "close":
		s.Verb, s.Conn = word, strings.TrimPrefix(rest, "@")
		return nil
	case "name":
		s.Verb, s.Names = word, strings.Fields(rest)
		return nil
	case "sleep":
		var err error
		s.Verb = word
		s.Pause, err = time.ParseDuration(rest)
		return err
	case "let":
		m := letLine.FindStringSubmatch(text)
		if m == nil {
			return fmt.Errorf("want let NAME = PATH, have %q", text)
		}
		s.Verb, s.Sets = word, []binding{{m[1], m[2]}}
		return nil
	case "raw":
		return s.parseRaw(text)
	}
	return s.parseRequest(text)
}

func (s *Step) parseRaw(text string) error {
	m := rawLine.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("want raw key=N version=N body=HEX [as=API/VERSION], have %q", text)
	}
	key, err := strconv.ParseInt(m[1], 10, 16)
	if err != nil {
		return err
	}
	version, err := strconv.ParseInt(m[2], 10, 16)
	if err != nil {
		return err
	}
	s.Verb, s.Key, s.Min, s.Max, s.Hex = "raw", int16(key), int16(version), int16(version), m[3]
	s.API = "raw"
	if m[4] != "" {
		if _, ok := KeyOf(m[4]); !ok {
			return fmt.Errorf("no API is called %s", m[4])
		}
		s.API, s.As = m[4], m[5]
	}
	return nil
}

func (s *Step) parseRequest(text string) (err error) {
	m := requestLine.FindStringSubmatch(text)
	if m == nil {
		return fmt.Errorf("cannot parse %q", text)
	}
	s.Verb, s.API = "request", m[1]
	var ok bool
	if s.Key, ok = KeyOf(s.API); !ok {
		return fmt.Errorf("no API is called %s", s.API)
	}
	if m[2] == "*" {
		s.Max = AllVersions
	} else {
		first, last, both := strings.Cut(m[2], "-")
		low, err := strconv.Atoi(first)
		if err != nil {
			return err
		}
		s.Min, s.Max = int16(low), int16(low)
		if both {
			high, err := strconv.Atoi(last)
			if err != nil {
				return err
			}
			s.Max = int16(high)
		}
	}
	if s.Async && s.Min != s.Max {
		return fmt.Errorf("an async request has one version")
	}
	return s.parseBody(m[3])
}

func (s *Step) parseBody(text string) error {
	if text == "" {
		text = "{}"
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
		return fmt.Errorf("read fields: %w", err)
	}
	s.Body = doc.Content[0]
	// Field names are checked now, so that a mistake is found without a broker.
	q := kmsg.RequestForKey(s.Key)
	q.SetVersion(max(s.Min, 0))
	return checkFields(elementType(q), s.Body)
}

// KeyOf returns the key of an API by its name in the protocol.
func KeyOf(name string) (int16, bool) {
	for key := int16(0); key <= kmsg.MaxKey; key++ {
		if kmsg.NameForKey(key) == name {
			return key, true
		}
	}
	return 0, false
}

// expandShortForm expands the short forms.
//
//	topic NAME [PARTITIONS] [CONFIG=VALUE...]  a topic; $NAME, $NAME.id
//	producer NAME                              an idempotent producer; $NAME.id, $NAME.epoch
//	txn NAME                                   a transactional one; $NAME is its transactional id
//	produce TOPIC PARTITION {batch}            acks=all
//	fetch TOPIC PARTITION OFFSET [committed]   without a session
func (s *Step) expandShortForm(text string) (bool, error) {
	f := strings.Fields(text)
	var line string
	var pre []string
	switch {
	case f[0] == "topic" && len(f) >= 2:
		n, configs := "1", ""
		for _, word := range f[2:] {
			if key, value, ok := strings.Cut(word, "="); ok {
				configs += fmt.Sprintf("{Name: %s, Value: %q}, ", key, value)
			} else {
				n = word
			}
		}
		pre = []string{f[1]}
		line = fmt.Sprintf("CreateTopics v7 {TimeoutMillis: 10000, Topics: [{Topic: $%s, NumPartitions: %s, ReplicationFactor: 1, Configs: [%s]}]}", f[1], n, configs)
		s.Sets = []binding{{f[1] + ".id", "Topics[0].TopicID"}}
	case f[0] == "producer" && len(f) == 2:
		line = "InitProducerID v4 {TransactionalID: null, TransactionTimeoutMillis: 60000, ProducerID: -1, ProducerEpoch: -1}"
		s.Sets = []binding{{f[1] + ".id", "ProducerID"}, {f[1] + ".epoch", "ProducerEpoch"}}
	case f[0] == "txn" && len(f) == 2:
		pre = []string{f[1]}
		line = fmt.Sprintf("InitProducerID v4 {TransactionalID: $%s, TransactionTimeoutMillis: 60000, ProducerID: -1, ProducerEpoch: -1}", f[1])
		s.Sets = []binding{{f[1] + ".id", "ProducerID"}, {f[1] + ".epoch", "ProducerEpoch"}}
	case f[0] == "produce" && len(f) >= 4:
		_, batch, ok := strings.Cut(text, "{")
		if !ok {
			return true, fmt.Errorf("want produce TOPIC PARTITION {batch}")
		}
		line = fmt.Sprintf("Produce v9 {Acks: -1, TimeoutMillis: 10000, Topics: [{Topic: $%s, Partitions: [{Partition: %s, Records: {%s}]}]}", f[1], f[2], batch)
		s.Sets = []binding{{"base", "Topics[0].Partitions[0].BaseOffset"}}
	case f[0] == "fetch" && len(f) >= 4:
		level := 0
		if len(f) > 4 && f[4] == "committed" {
			level = 1
		}
		line = fmt.Sprintf("Fetch v12 {MaxWaitMillis: 300, MinBytes: 1, MaxBytes: 10000000, IsolationLevel: %d, SessionEpoch: -1, Topics: [{Topic: $%s, Partitions: [{Partition: %s, FetchOffset: %s, CurrentLeaderEpoch: -1, LogStartOffset: -1, PartitionMaxBytes: 1000000}]}]}", level, f[1], f[2], f[3])
	default:
		return false, nil
	}
	s.Names = pre
	return true, s.parseRequest(line)
}
