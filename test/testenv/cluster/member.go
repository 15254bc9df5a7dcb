package cluster

import (
	"fmt"
	"os"
	"path/filepath"
)

// ReplaceEtcd loses the etcd member of a zone with its disk, and starts a new one
// in its place, as docs/operations.md tells operators to.
func (c *Cluster) ReplaceEtcd(z int) {
	c.t.Helper()
	c.Etcd[z].Kill()
	if err := os.RemoveAll(c.etcdFolder(z)); err != nil {
		c.t.Fatal(err)
	}
	peer := "http://" + c.addresses.portAddr(z, hostEtcd, portEtcdPeer)
	if _, stderr, err := c.Run("etcd", "replace", c.Zone(z), peer, "--etcd", c.EtcdURL((z+1)%Zones)); err != nil {
		c.t.Fatalf("replace the member of zone %d: %v\n%s", z, err, stderr)
	}
	name := fmt.Sprintf("etcd-%d", z)
	c.Etcd[z] = c.newProcess(z, name+"-new", c.Program, "etcd", "--config", filepath.Join(c.Folder, name+".yaml"), "--existing")
	c.Etcd[z].Start()
}
