package main

import (
	"context"
	"log/slog"

	"github.com/zonewise/zonewise/metadata/etcdlog"
	"github.com/zonewise/zonewise/s3stream/bucket"
)

// storedCluster is what is stored of a cluster, opened without a broker: its log in
// etcd, and its objects.
type storedCluster struct {
	log     *etcdlog.Log
	objects bucket.Bucket // below "<cluster>/"
	close   func()
}

// openStoredCluster opens a cluster's log and its bucket, which exists.
func openStoredCluster(ctx context.Context, etcd *etcdOptions, where, cluster string, logger *slog.Logger) (storedCluster, error) {
	client, err := etcd.dialAll()
	if err != nil {
		return storedCluster{}, err
	}
	b, err := openExisting(ctx, "bucket", where)
	if err != nil {
		client.Close()
		return storedCluster{}, err
	}
	log, err := etcdlog.Open(ctx, etcdlog.Config{Cluster: cluster, Client: etcdlog.FromEtcd(client), Logger: logger, Rand: newRand()})
	if err != nil {
		b.close()
		client.Close()
		return storedCluster{}, err
	}
	return storedCluster{log, bucket.Prefix(b, cluster+"/"), func() {
		log.Close()
		b.close()
		client.Close()
	}}, nil
}
