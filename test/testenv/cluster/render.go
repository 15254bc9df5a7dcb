package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
)

// address matches 10.0.ZONE.HOST with its port, if it has one: every address in
// deploy/three-zones is of that form.
var address = regexp.MustCompile(`\b10\.0\.([1-3])\.(\d+)(?::(\d+))?\b`)

// Host numbers and ports, as in the files.
const (
	hostEtcd     = 5
	hostBroker   = 10
	portKafka    = 9092
	portPeer     = 9192
	portHTTP     = 8080
	portEtcd     = 2379
	portEtcdPeer = 2380
)

// addressMap maps the files' addresses to this cluster's.
type addressMap struct {
	prefix  string // "127.23" for "10.0"
	portAdd int
}

func (p addressMap) hostAddr(zone, host int) string {
	return fmt.Sprintf("%s.%d.%d", p.prefix, zone+1, host)
}

func (p addressMap) portAddr(zone, host, port int) string {
	return fmt.Sprintf("%s:%d", p.hostAddr(zone, host), port+p.portAdd)
}

// render writes a configuration of deploy/three-zones with this cluster's
// addresses and with other values for some keys. It changes values only: a key
// that the file does not have is an error, so that the files stay complete.
func (p addressMap) render(source, target string, values map[string]string) error {
	body, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("render configuration: %w", err)
	}
	text := address.ReplaceAllStringFunc(string(body), func(found string) string {
		m := address.FindStringSubmatch(found)
		out := p.prefix + "." + m[1] + "." + m[2]
		if m[3] != "" {
			port, _ := strconv.Atoi(m[3]) // digits by the pattern
			out += ":" + strconv.Itoa(port+p.portAdd)
		}
		return out
	})
	for key, value := range values {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(key) + `:.*$`)
		if !line.MatchString(text) {
			return fmt.Errorf("render %s: it has no key %s", source, key)
		}
		text = line.ReplaceAllLiteralString(text, key+": "+value)
	}
	return os.WriteFile(target, []byte(text), 0o644)
}

// zoneFile is a file of deploy/three-zones.
func zoneFile(root string, zone int, name string) string {
	return filepath.Join(root, "deploy", "three-zones", "zone-"+string(rune('a'+zone)), name)
}
