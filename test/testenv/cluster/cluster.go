package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zonewise/zonewise/test/testenv/s3server"
)

// Zones is the number of zones of a cluster.
const Zones = 3

// Options are the wishes of a test; the zero value will do.
type Options struct {
	Brokers    int               // default one in each zone; broker i is in zone i%3
	Broker     map[string]string // other values for keys of broker.yaml
	Flags      []string          // more flags of every broker
	Namespaces bool              // a network namespace per zone; needs root
	NoBrokers  bool              // start etcd and S3 only
	// Bucket replaces the S3 server's URL: a proxy's, or a wrong one.
	Bucket func(s3 *s3server.Server) string
	// Env replaces credentials and the like, per variable.
	Env map[string]string
}

// Cluster is a running cluster.
type Cluster struct {
	Folder  string // configuration, logs, etcd's data
	Program string
	S3      *s3server.Server
	Etcd    []*Process
	Brokers []*Process

	t         testing.TB
	options   Options
	root      string
	addresses addressMap
	block     int
	nets      *namespaces // nil: loopback
	bucket    string
}

// readyTimeout bounds a start, on a shared machine.
const readyTimeout = 60 * time.Second

// Start builds what is needed and starts the cluster. It returns when every broker is
// ready. If that fails, the test fails; everything is removed when the test ends.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c := &Cluster{t: t, options: o, Folder: t.TempDir()}
	if c.options.Brokers == 0 {
		c.options.Brokers = Zones
	}
	var err error
	if c.root, err = Root(); err != nil {
		t.Fatal(err)
	}
	if c.Program, err = Program(c.Folder); err != nil {
		t.Fatal(err)
	}
	block, release, err := ReserveBlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	c.block, c.addresses = block, addressMap{prefix: fmt.Sprintf("127.%d", block), portAdd: 10_000}
	host := ""
	if o.Namespaces {
		c.addresses = addressMap{prefix: fmt.Sprintf("10.%d", block)}
		if c.nets, err = openNamespaces(block); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.nets.close)
		host = c.nets.hubAddr()
	}
	c.S3 = s3server.Start(t, s3server.Options{Host: host})
	c.bucket = c.S3.URL("")
	if o.Bucket != nil {
		c.bucket = o.Bucket(c.S3)
	}
	t.Cleanup(c.cleanUp)
	for z := range Zones {
		c.Etcd = append(c.Etcd, c.newEtcd(z, "", c.etcdFolder(z)))
		c.Etcd[z].Start()
	}
	for i := range c.options.Brokers {
		c.Brokers = append(c.Brokers, c.newBroker(i))
	}
	if !o.NoBrokers {
		c.StartBrokers()
	}
	return c
}

// StartBrokers starts the brokers that do not run, the first of each zone one after
// the other (the cluster stores zones in the order in which they appear), and waits
// until all are ready.
func (c *Cluster) StartBrokers() {
	c.t.Helper()
	for _, p := range c.Brokers {
		if !p.Running() {
			p.Start()
			c.Ready(p)
		}
	}
}

func (c *Cluster) etcdFolder(z int) string { return filepath.Join(c.Folder, fmt.Sprintf("etcd-%d", z)) }

// newEtcd creates a member of zone z. suffix distinguishes it from an earlier one.
func (c *Cluster) newEtcd(z int, suffix, data string) *Process {
	c.t.Helper()
	name := fmt.Sprintf("etcd-%d%s", z, suffix)
	config := filepath.Join(c.Folder, name+".yaml")
	err := c.addresses.render(zoneFile(c.root, z, "etcd.yaml"), config, map[string]string{"data-dir": data, "log-format": "text"})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.newProcess(z, name, c.Program, "etcd", "--config", config)
}

// newBroker creates broker i, of zone i%3.
func (c *Cluster) newBroker(i int) *Process {
	c.t.Helper()
	z, host := i%Zones, c.BrokerHost(i)
	name := fmt.Sprintf("broker-%d", i)
	config := filepath.Join(c.Folder, name+".yaml")
	values := map[string]string{
		"bucket": fmt.Sprintf("%q", c.bucket), "log-format": "text", "advertise": host,
		"listen": fmt.Sprintf("%s:%d", host, portKafka+c.addresses.portAdd), "peer": fmt.Sprintf("%s:%d", host, portPeer+c.addresses.portAdd),
		"http": fmt.Sprintf("%s:%d", host, portHTTP+c.addresses.portAdd),
	}
	for key, value := range c.options.Broker {
		values[key] = value
	}
	if err := c.addresses.render(zoneFile(c.root, z, "broker.yaml"), config, values); err != nil {
		c.t.Fatal(err)
	}
	return c.newProcess(z, name, append([]string{c.Program, "broker", "--config", config}, c.options.Flags...)...)
}

func (c *Cluster) newProcess(z int, name string, args ...string) *Process {
	p := &Process{Name: name, Log: filepath.Join(c.Folder, name+".log"), Zone: c.Zone(z), t: c.t, args: args}
	if c.nets != nil {
		p.Namespace = c.nets.zoneName(z)
	}
	p.env = c.Env()
	return p
}

// Env is the environment of the cluster's programs, without the user's settings and
// credentials.
func (c *Cluster) Env() []string {
	values := map[string]string{"PATH": os.Getenv("PATH"), "HOME": c.Folder, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_ACCESS_KEY_ID": c.S3.AccessKey, "AWS_SECRET_ACCESS_KEY": c.S3.SecretKey, "AWS_REGION": c.S3.Region}
	for key, value := range c.options.Env {
		values[key] = value
	}
	var env []string
	for key, value := range values {
		env = append(env, key+"="+value)
	}
	return env
}

// cleanUp ends every process, and shows the logs of a test that failed.
func (c *Cluster) cleanUp() {
	for _, p := range append(c.Brokers, c.Etcd...) {
		p.stop()
	}
	if !c.t.Failed() {
		return
	}
	keep := os.Getenv("ZONEWISE_KEEP_LOGS")
	for _, p := range append(c.Brokers, c.Etcd...) {
		c.t.Logf("=== end of the log of %s\n%s", p.Name, p.Tail(4000))
		if keep != "" {
			_ = os.MkdirAll(keep, 0o755)
			_ = copyFile(p.Log, filepath.Join(keep, filepath.Base(p.Log))) // best effort: the test has failed anyway
		}
	}
}

// Ready waits until a broker's /readyz returns 200.
func (c *Cluster) Ready(p *Process) {
	c.t.Helper()
	if err := c.waitReady(p, readyTimeout); err != nil {
		c.t.Fatalf("%v", err)
	}
}

func (c *Cluster) waitReady(p *Process, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	url := c.HTTP(c.brokerIndex(p)) + "/readyz"
	for {
		_, err := httpGet(ctx, url)
		if err == nil {
			return nil
		}
		for _, other := range append([]*Process{p}, c.Etcd...) {
			if how, ended := other.exitError(); ended {
				return fmt.Errorf("%s ended while %s was starting: %v", other.Name, p.Name, how)
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %v: %w", p.Name, patience, err)
		}
	}
}

func (c *Cluster) brokerIndex(p *Process) int {
	for i, b := range c.Brokers {
		if b == p {
			return i
		}
	}
	c.t.Fatalf("%s is not a broker of this cluster", p.Name)
	return 0
}
