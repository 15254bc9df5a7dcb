package configs

import (
	_ "embed"
	"encoding/json"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// kafkaJSON is what test/tools/kafkaconfigs wrote: a config a line.
//
//go:embed kafka.json
var kafkaJSON []byte // read only

// Mode says when a config of a broker may change.
type Mode string

// Modes, by Kafka's names (KIP-226).
const (
	ReadOnly    Mode = "read-only"    // from the broker's file alone
	PerBroker   Mode = "per-broker"   // at run time, for one broker
	ClusterWide Mode = "cluster-wide" // at run time, for one broker or for all
)

// Key is one config as Kafka defines it.
type Key struct {
	Name     string
	Type     kmsg.ConfigType
	Default  *string // nil: null
	Valid    Rule
	Mode     Mode // of brokers' configs; "" of others
	Internal bool // told only once it is set
	// PerListener: of a broker's configs, may change at run time for one
	// listener, never for all.
	PerListener bool
	Doc         string
	// Synonyms are names under which brokers hold the same setting: of a
	// broker's config all of them in their order, itself included; of a topic's
	// or group's the broker's config that is its default.
	Synonyms []string
}

// Rule is what Kafka demands of a value beside its type.
type Rule struct {
	Min, Max *float64
	OneOf    []string
	AnyCase  bool // of OneOf
	Distinct bool // elements of a list
	NotEmpty bool
	Other    string // a check that Kafka has as code, in its words
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
