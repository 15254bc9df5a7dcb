package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"text/tabwriter"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/zonewise/zonewise/internal/cli"
	"github.com/zonewise/zonewise/internal/etcdserver"
)

type etcdServerOptions struct {
	name, dir                      string
	client, peer                   string
	advertiseClient, advertisePeer string
	initial                        string
	existing                       bool
	quota                          int64
	clientTLS, peerTLS             tlsOptions
	heartbeatMs, election          int
	log                            logOptions
}

func etcdCommand() cli.Command {
	return cli.Command{
		Name:  "etcd",
		Short: "Run a member of etcd, with the settings that the log relies on",
		Long: `
Runs etcd in this program. Name members after the zones they stand in (two of
one zone: use1-az1.a, use1-az1.b): brokers prefer the member of their own zone,
and price what crosses between them. Three zones, three members; the data must
be on a disk that keeps what fsync wrote.`,
		Examples: []string{
			"zonewise etcd --name use1-az1 --data-dir /var/lib/zonewise/etcd --client-url http://10.0.1.5:2379 \\",
			"    --peer-url http://10.0.1.5:2380 --initial-cluster use1-az1=http://10.0.1.5:2380,use1-az2=...,use1-az3=...",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &etcdServerOptions{}
			s.String(&o.name, "name", "", "ZONE", "of this member: the id of its zone (required)")
			s.String(&o.dir, "data-dir", "", "FOLDER", "of its data (required)")
			s.String(&o.client, "client-url", "", "URL", "listens for brokers (required)")
			s.String(&o.peer, "peer-url", "", "URL", "listens for other members")
			s.String(&o.advertiseClient, "advertise-client-url", "", "URL", "what brokers are told; without it --client-url")
			s.String(&o.advertisePeer, "advertise-peer-url", "", "URL", "what members are told; without it --peer-url")
			s.String(&o.initial, "initial-cluster", "", "NAME=URL,...", "every member with its peer URL; without it this one is alone")
			s.Bool(&o.existing, "existing", false, "join a cluster that is there, after `zonewise etcd add` or `replace`")
			s.Bytes(&o.quota, "quota", etcdserver.DefaultQuotaBytes, "size at which etcd takes no more writes; the log stops at 60 % of it")
			s.Int(&o.heartbeatMs, "heartbeat-ms", 100, "MS", "between heartbeats of the leader")
			s.Int(&o.election, "election-ms", 1000, "MS", "without a heartbeat before an election")
			o.clientTLS.declareTLS(s, "client", "brokers")
			o.peerTLS.declareTLS(s, "peer", "other members")
			o.log.declareLog(s, "info")
			return func(ctx context.Context, env cli.Env) error { return runEtcd(ctx, o, env) }
		},
	}
}

func runEtcd(ctx context.Context, o *etcdServerOptions, env cli.Env) error {
	for flag, value := range map[string]string{"name": o.name, "data-dir": o.dir, "client-url": o.client} {
		if value == "" {
			return cli.Usagef("no --%s", flag)
		}
	}
	logger, err := o.log.newLogger(env.Stderr)
	if err != nil {
		return err
	}
	// etcd reads them itself; this check has the better error messages.
	if _, err := o.clientTLS.loadConfig("client"); err != nil {
		return err
	}
	if _, err := o.peerTLS.loadConfig("peer"); err != nil {
		return err
	}
	shareProcessors()
	files := func(t tlsOptions) etcdserver.TLS {
		return etcdserver.TLS{CertFile: t.cert, KeyFile: t.key, CAFile: t.ca}
	}
	own, silence := silenceable(logger, slog.LevelWarn)
	m, err := etcdserver.Start(ctx, etcdserver.Config{Name: o.name, Dir: o.dir, ClientURL: o.client, PeerURL: o.peer,
		AdvertiseClientURL: o.advertiseClient, AdvertisePeerURL: o.advertisePeer, InitialCluster: o.initial, Existing: o.existing, QuotaBytes: o.quota,
		ClientTLS: files(o.clientTLS), PeerTLS: files(o.peerTLS), HeartbeatMs: uint(o.heartbeatMs), ElectionMs: uint(o.election), Logger: own})
	if err != nil {
		return err
	}
	defer m.Stop()
	defer silence()
	logger.Info("etcd member is serving", "name", o.name, "endpoint", m.Endpoint())
	came, stop := notifyHangup()
	defer stop()
	for {
		select {
		case <-came:
			logger.Info("SIGHUP ignored: etcd reads its certificates for each connection; use SIGTERM to stop it")
		case <-ctx.Done():
			logger.Info("stopping")
			return nil
		case err := <-m.Done():
			return fmt.Errorf("etcd member %s: %w", o.name, err)
		}
	}
}

// shareProcessors leaves half of the processors to the broker on the same
// machine. A member waits for its disk and its peers most of the time, and each
// further processor that Go may use costs useless wake-ups: a fifth of its work
// on a small machine. GOMAXPROCS in the environment has precedence.
func shareProcessors() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS((runtime.GOMAXPROCS(0) + 1) / 2)
	}
}

// adminTimeout bounds one request of an operator to etcd.
const adminTimeout = 30 * time.Second

// etcdAdmin is a command that sends requests to a running etcd.
func etcdAdmin(c cli.Command, run func(ctx context.Context, client *clientv3.Client, env cli.Env) error) cli.Command {
	c.New = func(s *cli.Set) func(context.Context, cli.Env) error {
		o := &etcdOptions{}
		o.declareEtcd(s)
		return func(ctx context.Context, env cli.Env) error {
			client, err := o.dialAll()
			if err != nil {
				return err
			}
			defer client.Close()
			ctx, cancel := context.WithTimeout(ctx, adminTimeout)
			defer cancel()
			return run(ctx, client, env)
		}
	}
	return c
}

const joinHint = "start it with: zonewise etcd --existing --name %s --initial-cluster %s ...\n"

func etcdAddCommand() cli.Command {
	return etcdAdmin(cli.Command{
		Name: "etcd add", Args: "NAME PEER-URL", MinArgs: 2, MaxArgs: 2,
		Short:    "Make room in etcd for one more member",
		Long:     "Adds the member to the cluster and prints how to start it. Until it is started\nit counts as a member that is down.",
		Examples: []string{"zonewise etcd add use1-az3 http://10.0.3.5:2380 --etcd http://10.0.1.5:2379"},
	}, func(ctx context.Context, c *clientv3.Client, env cli.Env) error {
		initial, err := etcdserver.AddMember(ctx, c, env.Args[0], env.Args[1])
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "added; "+joinHint, env.Args[0], initial)
		return nil
	})
}

func etcdRemoveCommand() cli.Command {
	return etcdAdmin(cli.Command{
		Name: "etcd remove", Args: "NAME", MinArgs: 1, MaxArgs: 1,
		Short:    "Take a member out of etcd",
		Long:     "Takes the member out for good; its data folder cannot join again. The last\nmember is not taken out.",
		Examples: []string{"zonewise etcd remove use1-az3 --etcd http://10.0.1.5:2379"},
	}, func(ctx context.Context, c *clientv3.Client, env cli.Env) error {
		if err := etcdserver.RemoveMember(ctx, c, env.Args[0]); err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "removed %s\n", env.Args[0])
		return nil
	})
}

func etcdReplaceCommand() cli.Command {
	return etcdAdmin(cli.Command{
		Name: "etcd replace", Args: "NAME PEER-URL", MinArgs: 2, MaxArgs: 2,
		Short:    "Take a lost member out of etcd and make room for a new one of its name",
		Long:     "For a member whose machine or disk is gone. Start the new one with an empty\ndata folder.",
		Examples: []string{"zonewise etcd replace use1-az3 http://10.0.3.9:2380 --etcd http://10.0.1.5:2379"},
	}, func(ctx context.Context, c *clientv3.Client, env cli.Env) error {
		initial, err := etcdserver.ReplaceMember(ctx, c, env.Args[0], env.Args[1])
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "replaced; "+joinHint, env.Args[0], initial)
		return nil
	})
}

func etcdMembersCommand() cli.Command {
	return etcdAdmin(cli.Command{
		Name:     "etcd members",
		Short:    "List etcd's members and how they are",
		Examples: []string{"zonewise etcd members --etcd http://10.0.1.5:2379"},
	}, func(ctx context.Context, c *clientv3.Client, env cli.Env) error {
		all, err := etcdserver.Members(ctx, c)
		if err != nil {
			return err
		}
		w := tabwriter.NewWriter(env.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tID\tPEER URLS\tSTANDING\tSIZE")
		for _, m := range all {
			standing := "down"
			switch {
			case m.Leader:
				standing = "leader"
			case m.Reachable && m.Learner:
				standing = "learner"
			case m.Reachable:
				standing = "follower"
			}
			fmt.Fprintf(w, "%s\t%x\t%v\t%s\t%s\n", m.Name, m.ID, m.PeerURLs, standing, humanBytes(float64(m.SizeBytes)))
		}
		return w.Flush()
	})
}

func etcdSnapshotCommand() cli.Command {
	return etcdAdmin(cli.Command{
		Name: "etcd snapshot", Args: "FILE", MinArgs: 1, MaxArgs: 1,
		Short: "Write a snapshot of etcd to a new file",
		Long: `For inspection. Do not restore it under a running cluster: what was acknowledged
after it would be gone, and brokers that saw more refuse to go on. After the loss
of etcd, ` + "`zonewise recover`" + ` rebuilds it from the bucket, up to the last archive.`,
		Examples: []string{"zonewise etcd snapshot before-upgrade.db --etcd http://10.0.1.5:2379"},
	}, func(ctx context.Context, c *clientv3.Client, env cli.Env) error {
		n, err := etcdserver.Snapshot(ctx, c, env.Args[0])
		if err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "%s: %d bytes\n", env.Args[0], n)
		return nil
	})
}
