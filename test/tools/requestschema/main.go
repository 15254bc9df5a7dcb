// Command requestschema writes broker/schema/requests.txt, the shapes of
// Kafka's requests, from the message definitions that Kafka's own clients jar
// carries.
//
//	go run ./test/tools/requestschema -jar kafka-clients-4.4.0.jar >broker/schema/requests.txt
//
// The jar: mvn dependency:get -Dartifact=org.apache.kafka:kafka-clients:4.4.0
package main

import (
	"archive/zip"
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// message is the part of one of Kafka's definitions that a request's shape needs.
type message struct {
	APIKey           *int16   `json:"apiKey"`
	Type             string   `json:"type"`
	Listeners        []string `json:"listeners"`
	Name             string   `json:"name"`
	ValidVersions    string   `json:"validVersions"`
	FlexibleVersions string   `json:"flexibleVersions"`
	Fields           []field  `json:"fields"`
	CommonStructs    []field  `json:"commonStructs"`
}

type field struct {
	Name             string  `json:"name"`
	Type             string  `json:"type"`
	Versions         string  `json:"versions"`
	NullableVersions string  `json:"nullableVersions"`
	TaggedVersions   string  `json:"taggedVersions"`
	FlexibleVersions string  `json:"flexibleVersions"`
	Tag              *int    `json:"tag"`
	Fields           []field `json:"fields"`
}

func main() {
	jar := flag.String("jar", "", "Kafka's clients jar")
	flag.Parse()
	if err := writeSchemas(*jar, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "requestschema:", err)
		os.Exit(1)
	}
}

func writeSchemas(jar string, out io.Writer) error {
	all, err := readMessages(jar)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b message) int { return cmp.Compare(*a.APIKey, *b.APIKey) })
	w := bufio.NewWriter(out)
	fmt.Fprintf(w, "# Shapes of the requests that brokers serve, from the message definitions in %s.\n", path.Base(jar))
	fmt.Fprintln(w, "# Written by test/tools/requestschema; schema.go says how to read it.")
	for i := range all {
		m := &all[i]
		fmt.Fprintf(w, "\nrequest %d %s %s flexible %s\n", *m.APIKey, strings.TrimSuffix(m.Name, "Request"), m.ValidVersions, m.FlexibleVersions)
		if err := writeFields(w, m, m.Fields, " "); err != nil {
			return fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return w.Flush()
}

var comment = regexp.MustCompile(`(?m)^\s*//.*$`)

// readMessages reads the definitions of the requests that brokers serve.
func readMessages(jar string) ([]message, error) {
	z, err := zip.OpenReader(jar)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", jar, err)
	}
	defer z.Close()
	var all []message
	for _, f := range z.File {
		if path.Dir(f.Name) != "common/message" || !strings.HasSuffix(f.Name, "Request.json") {
			continue
		}
		r, err := f.Open()
		if err != nil {
			return nil, fmt.Errorf("open %s: %w", f.Name, err)
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		var m message
		if err := json.Unmarshal(comment.ReplaceAll(text, nil), &m); err != nil {
			return nil, fmt.Errorf("decode %s: %w", f.Name, err)
		}
		if m.APIKey != nil && slices.Contains(m.Listeners, "broker") && m.ValidVersions != "none" {
			all = append(all, m)
		}
	}
	if len(all) < 40 {
		return nil, fmt.Errorf("%s has %d definitions of requests; is it Kafka's clients jar?", jar, len(all))
	}
	return all, nil
}

func writeFields(w io.Writer, m *message, fields []field, indent string) error {
	for _, f := range fields {
		kind := strings.TrimPrefix(f.Type, "[]")
		inner := f.Fields
		for _, c := range m.CommonStructs {
			if c.Name == kind {
				inner = c.Fields
			}
		}
		if len(inner) > 0 {
			kind = "struct"
		}
		if strings.HasPrefix(f.Type, "[]") {
			kind = "[]" + kind
		}
		fmt.Fprintf(w, "%s%s %s %s", indent, f.Name, kind, f.Versions)
		if f.NullableVersions != "" {
			fmt.Fprintf(w, " nullable %s", f.NullableVersions)
		}
		if f.Tag != nil {
			if f.TaggedVersions != f.Versions {
				return fmt.Errorf("field %s is tagged in %s of its versions %s", f.Name, f.TaggedVersions, f.Versions)
			}
			fmt.Fprintf(w, " tag %d", *f.Tag)
		}
		if f.FlexibleVersions != "" {
			fmt.Fprintf(w, " flexible %s", f.FlexibleVersions)
		}
		fmt.Fprintln(w)
		if err := writeFields(w, m, inner, indent+" "); err != nil {
			return err
		}
	}
	return nil
}
