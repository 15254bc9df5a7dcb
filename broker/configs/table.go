package configs

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaJSON is the output of test/tools/kafkaconfigs: one config per line.
//
//go:embed kafka.json
var kafkaJSON []byte // read only

// Mode is when a broker config may change.
type Mode string

// Modes, by Kafka's names (KIP-226).
const (
	ReadOnly    Mode = "read-only"    // from the broker's file only
	PerBroker   Mode = "per-broker"   // at run time, for one broker
	ClusterWide Mode = "cluster-wide" // at run time, for one broker or for all
)

// Key is Kafka's definition of one config.
type Key struct {
	Name     string
	Type     kmsg.ConfigType
	Default  *string // nil: null
	Valid    Rule
	Mode     Mode // of brokers' configs; "" of others
	Internal bool // described only if it is set
	// PerListener: a broker config that may change at run time for one listener, but
	// not for all.
	PerListener bool
	Doc         string
	// Synonyms of a broker config are all of its names in Kafka's order, itself
	// included; of a topic's or group's config the broker config that is its default.
	Synonyms []string
}

// Rule is what Kafka requires of a value in addition to its type.
type Rule struct {
	Min, Max *float64
	OneOf    []string
	AnyCase  bool // of OneOf
	Distinct bool // elements of a list
	NotEmpty bool
	Other    string // the description of a check that Kafka has as code
}

// Sensitive reports whether the value may be a secret.
func (k *Key) Sensitive() bool { return k.Type == kmsg.ConfigTypePassword || k.Type == 0 }

// Tables are the configs of all resources, each sorted by name.
type Tables struct {
	Version                             string // of Kafka
	Broker, Topic, Group, ClientMetrics []Key
}

// jsonKey is a line of kafka.json.
type jsonKey struct {
	Name     string
	Type     string
	Default  *string
	Valid    Rule
	Mode     Mode
	Internal bool
	Doc      string
	Synonyms []string

	PerListener bool
}

// Load reads the tables.
func Load() (*Tables, error) {
	var file struct {
		Kafka                               string
		Broker, Topic, Group, ClientMetrics []jsonKey
	}
	if err := json.Unmarshal(kafkaJSON, &file); err != nil {
		return nil, fmt.Errorf("read Kafka's configs: %w", err)
	}
	out := &Tables{Version: file.Kafka}
	for _, part := range []struct {
		lines []jsonKey
		into  *[]Key
	}{{file.Broker, &out.Broker}, {file.Topic, &out.Topic}, {file.Group, &out.Group}, {file.ClientMetrics, &out.ClientMetrics}} {
		for _, l := range part.lines {
			kind := kmsg.ConfigType(0)
			if err := kind.UnmarshalText([]byte(l.Type)); err != nil || kind == 0 {
				return nil, fmt.Errorf("read Kafka's config %s: type %q: %w", l.Name, l.Type, err)
			}
			if len(l.Synonyms) == 0 && l.Mode != "" {
				l.Synonyms = []string{l.Name}
			}
			*part.into = append(*part.into, Key{l.Name, kind, l.Default, l.Valid, l.Mode, l.Internal, l.PerListener, l.Doc, l.Synonyms})
		}
	}
	return out, nil
}
