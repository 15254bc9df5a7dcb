package cluster

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// namespaces are three zones, each with its own network:
//
//	      bridge zwN (no address): its traffic has crossed between zones
//	     /         |         \
//	zone0@zwN-a zone0@zwN-b zone0@zwN-c      10.N.1.5/.10  10.N.2.5/.10  10.N.3.5/.10
//	hub0 |      hub0 |      hub0 |           172.30.N.2    172.30.N.6    172.30.N.10
//	     +--- the test's namespace ---+      172.30.N.1/.5/.9; the S3 server on 172.30.N.1
//
// The S3 server and the test are reached by hub0, so the counters of zone0 contain
// only the traffic between zones.
type namespaces struct{ block int }

// openNamespaces creates them, after removing what an earlier holder of the block
// left behind.
func openNamespaces(block int) (*namespaces, error) {
	n := &namespaces{block: block}
	n.close()
	commands := []string{fmt.Sprintf("link add %s type bridge", n.bridgeName()), fmt.Sprintf("link set %s up", n.bridgeName())}
	for z := range Zones {
		ns, far := n.zoneName(z), 4*z
		in := "-n " + ns + " "
		commands = append(commands, "netns add "+ns, in+"link set lo up",
			fmt.Sprintf("link add %s type veth peer name zone0 netns %s", n.vethName("z", z), ns),
			fmt.Sprintf("link set %s master %s up", n.vethName("z", z), n.bridgeName()),
			in+"link set zone0 up",
			fmt.Sprintf("link add %s type veth peer name hub0 netns %s", n.vethName("h", z), ns),
			fmt.Sprintf("addr add 172.30.%d.%d/30 dev %s", block, far+1, n.vethName("h", z)),
			fmt.Sprintf("link set %s up", n.vethName("h", z)),
			fmt.Sprintf("%saddr add 172.30.%d.%d/30 dev hub0", in, block, far+2), in+"link set hub0 up")
		for _, host := range []int{hostEtcd, hostBroker, hostBroker + 1, hostBroker + 2, hostClient} {
			commands = append(commands, fmt.Sprintf("%saddr add 10.%d.%d.%d/16 dev zone0", in, block, z+1, host))
		}
		commands = append(commands, fmt.Sprintf("%sroute add 172.30.%d.0/24 via 172.30.%d.%d", in, block, block, far+1),
			fmt.Sprintf("route add 10.%d.%d.0/24 via 172.30.%d.%d", block, z+1, block, far+2))
	}
	for _, c := range commands {
		if err := runIP(c); err != nil {
			n.close()
			return nil, fmt.Errorf("make network namespaces (this needs root): %w", err)
		}
	}
	return n, nil
}

// hostClient is the host number of client programs.
const hostClient = 100

func (n *namespaces) bridgeName() string              { return fmt.Sprintf("zw%d", n.block) }
func (n *namespaces) zoneName(z int) string           { return fmt.Sprintf("zw%d-%c", n.block, 'a'+z) }
func (n *namespaces) vethName(k string, z int) string { return fmt.Sprintf("zw%d%s%d", n.block, k, z) }

// hubAddr is the address that every zone reaches by hub0.
func (n *namespaces) hubAddr() string { return fmt.Sprintf("172.30.%d.1", n.block) }

// close removes everything; missing parts are no error. Interfaces and routes are
// removed with their namespace.
func (n *namespaces) close() {
	for z := range Zones {
		if _, err := os.Stat(filepath.Join("/run/netns", n.zoneName(z))); err == nil {
			_ = runIP("netns del " + n.zoneName(z))
		}
		_ = runIP("link del " + n.vethName("z", z)) // a veth outlives its namespace for a moment
		_ = runIP("link del " + n.vethName("h", z))
	}
	_ = runIP("link del " + n.bridgeName())
}

func runIP(arguments string) error {
	output, err := exec.Command("ip", strings.Fields(arguments)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", arguments, err, strings.TrimSpace(string(output)))
	}
	return nil
}

// ZoneTraffic is what a zone has sent to and received from other zones, as the
// kernel counted it.
type ZoneTraffic struct{ Sent, Received int64 }

// ZoneTraffic reads zone z's counters of bytes between zones.
func (c *Cluster) ZoneTraffic(z int) ZoneTraffic {
	c.t.Helper()
	var out ZoneTraffic
	for file, to := range map[string]*int64{"tx_bytes": &out.Sent, "rx_bytes": &out.Received} {
		text, err := exec.Command("ip", "netns", "exec", c.nets.zoneName(z), "cat", "/sys/class/net/zone0/statistics/"+file).Output()
		if err == nil {
			*to, err = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
		}
		if err != nil {
			c.t.Fatalf("read %s of zone0 in %s: %v", file, c.nets.zoneName(z), err)
		}
	}
	return out
}

// CommandIn returns a command that runs in zone z's network, or in the test's own
// if there are no namespaces.
func (c *Cluster) CommandIn(z int, args ...string) []string {
	if c.nets == nil {
		return args
	}
	return append([]string{"ip", "netns", "exec", c.nets.zoneName(z)}, args...)
}

// errNoRoot: namespaces cannot be created.
var errNoRoot = errors.New("network namespaces need root")

// CanNamespace returns an error if this machine does not allow namespaces.
func CanNamespace() error {
	if os.Geteuid() != 0 {
		return errNoRoot
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("network namespaces: %w", err)
	}
	return nil
}
