package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Zone is the id of zone z, as in the files.
func (c *Cluster) Zone(z int) string { return fmt.Sprintf("use1-az%d", z+1) }

// BrokerHost is the address of broker i.
func (c *Cluster) BrokerHost(i int) string { return c.addresses.hostAddr(i%Zones, hostBroker+i/Zones) }

// Bootstrap is broker i's listener for clients of zone z, or without a zone
// (z < 0). Zones have appeared in their order.
func (c *Cluster) Bootstrap(i, z int) string {
	return fmt.Sprintf("%s:%d", c.BrokerHost(i), portKafka+c.addresses.portAdd+1+z)
}

// ZoneBootstrap lists the listeners for zone z's clients of its own brokers.
func (c *Cluster) ZoneBootstrap(z int) []string {
	var all []string
	for i := z; i < len(c.Brokers); i += Zones {
		all = append(all, c.Bootstrap(i, z))
	}
	return all
}

// WholeBootstrap lists the listeners for zone z's clients of all brokers, the zone's
// own first: with it a client finds a broker while those of its zone are down.
func (c *Cluster) WholeBootstrap(z int) []string {
	all := c.ZoneBootstrap(z)
	for i := range c.Brokers {
		if i%Zones != z {
			all = append(all, c.Bootstrap(i, z))
		}
	}
	return all
}

// HTTP is the root of broker i's pages.
func (c *Cluster) HTTP(i int) string {
	return fmt.Sprintf("http://%s:%d", c.BrokerHost(i), portHTTP+c.addresses.portAdd)
}

// EtcdURL is the client URL of the member of zone z.
func (c *Cluster) EtcdURL(z int) string {
	return "http://" + c.addresses.portAddr(z, hostEtcd, portEtcd)
}

// EtcdURLs lists all members, separated by commas.
func (c *Cluster) EtcdURLs() string {
	var all []string
	for z := range Zones {
		all = append(all, c.Zone(z)+"="+c.EtcdURL(z))
	}
	return strings.Join(all, ",")
}

// Bucket is the bucket URL of the brokers.
func (c *Cluster) Bucket() string { return c.bucket }

// Block is the number that the cluster's addresses have in common.
func (c *Cluster) Block() int { return c.block }

// Run runs a subcommand of zonewise and returns what it printed.
func (c *Cluster) Run(args ...string) (stdout, stderr string, err error) {
	return c.RunProgram(c.Program, args...)
}

// RunProgram is Run of another build of zonewise.
func (c *Cluster) RunProgram(program string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, program, args...)
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr, command.Env = &out, &errs, c.Env()
	err = command.Run()
	return out.String(), errs.String(), err
}

// Get sends a request to broker i's HTTP interface.
func (c *Cluster) Get(i int, path string) []byte {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body, err := httpGet(ctx, c.HTTP(i)+path)
	if err != nil {
		c.t.Fatal(err)
	}
	return body
}

// GetJSON sends a request to broker i's HTTP interface and decodes the response.
func (c *Cluster) GetJSON(i int, path string, into any) {
	c.t.Helper()
	if err := json.Unmarshal(c.Get(i, path), into); err != nil {
		c.t.Fatalf("decode %s: %v", path, err)
	}
}

func httpGet(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %s: %s", url, response.Status, bytes.TrimSpace(body))
	}
	return body, nil
}

// Metrics are the samples of a Prometheus page, by name with labels.
type Metrics map[string]float64

// Sum adds up the samples whose name is name and whose labels contain all of parts
// (`To="..."`).
func (m Metrics) Sum(name string, parts ...string) (sum float64) {
	for key, value := range m {
		base, labels, _ := strings.Cut(key, "{")
		match := base == name
		for _, p := range parts {
			match = match && strings.Contains(labels, p)
		}
		if match {
			sum += value
		}
	}
	return sum
}

// EtcdMetrics reads the metrics of the member of zone z.
func (c *Cluster) EtcdMetrics(z int) Metrics {
	c.t.Helper()
	return c.readMetrics(c.EtcdURL(z) + "/metrics")
}

// BrokerMetrics reads the metrics of broker i.
func (c *Cluster) BrokerMetrics(i int) Metrics {
	c.t.Helper()
	return c.readMetrics(c.HTTP(i) + "/metrics")
}

func (c *Cluster) readMetrics(url string) Metrics {
	c.t.Helper()
	m, err := FetchMetrics(url)
	if err != nil {
		c.t.Fatal(err)
	}
	return m
}

// FetchMetrics reads a page of metrics. What serves it may be down.
func FetchMetrics(url string) (Metrics, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	body, err := httpGet(ctx, url)
	if err != nil {
		return nil, err
	}
	m := Metrics{}
	for lines := bufio.NewScanner(bytes.NewReader(body)); lines.Scan(); {
		key, text, ok := cutLast(lines.Text())
		if value, err := strconv.ParseFloat(text, 64); ok && err == nil && !strings.HasPrefix(key, "#") {
			m[key] = value
		}
	}
	return m, nil
}

func cutLast(line string) (before, after string, ok bool) {
	i := strings.LastIndexByte(line, ' ')
	if i < 0 {
		return "", "", false
	}
	return line[:i], line[i+1:], true
}

// EtcdLeader is the zone of etcd's leader, or -1.
func (c *Cluster) EtcdLeader() int {
	c.t.Helper()
	for z := range Zones {
		if c.Etcd[z].Running() && c.EtcdMetrics(z).Sum("etcd_server_is_leader") == 1 {
			return z
		}
	}
	return -1
}

// EtcdData is the folder of the member of zone z.
func (c *Cluster) EtcdData(z int) string { return c.etcdFolder(z) }
