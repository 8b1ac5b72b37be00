package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startEtcd runs a single etcd member until the returned function is called.
// Clients reach it through a unix socket inside the control plane's private directory, so no
// other user of the machine can read or write the cluster's state. etcd insists on a peer
// listener even for one member: that one is on loopback behind mutual TLS.
func startEtcd(ctx context.Context, dir string, ca *authority) (endpoint string, stop func(), err error) {
	peer, err := ca.issue("etcd-peer", nil)
	if err != nil {
		return "", nil, err
	}
	endpoint = "unix://" + filepath.Join(dir, "etcd.sock")
	cfg := embed.NewConfig()
	cfg.Name = "lab"
	cfg.Dir = filepath.Join(dir, "etcd")
	cfg.ListenClientUrls = mustURLs(endpoint)
	cfg.AdvertiseClientUrls = cfg.ListenClientUrls
	cfg.ListenPeerUrls = mustURLs("https://127.0.0.1:0")
	cfg.AdvertisePeerUrls = cfg.ListenPeerUrls
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.PeerTLSInfo = transport.TLSInfo{
		CertFile: peer.certFile, KeyFile: peer.keyFile,
		TrustedCAFile: ca.certFile(), ClientCertAuth: true,
	}
	cfg.UnsafeNoFsync = true // the data do not outlive the process
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())

	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return "", nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
		return endpoint, server.Close, nil
	case err := <-server.Err():
		server.Close()
		return "", nil, fmt.Errorf("run etcd: %w", err)
	case <-ctx.Done():
		server.Close()
		return "", nil, ctx.Err()
	case <-time.After(30 * time.Second):
		server.Close()
		return "", nil, errors.New("start etcd: not ready within 30 s")
	}
}

func mustURLs(raw string) []url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		panic(fmt.Sprintf("parse %q: %v", raw, err)) // built from a path of ours
	}
	return []url.URL{*u}
}
