// Package controlplane runs a real Kubernetes control plane inside the calling process: etcd,
// kube-apiserver and kube-controller-manager from their Go modules, on loopback, in a temporary
// directory, with RBAC on. Tests, the demo and benchmarks share it.
//
// One control plane at a time: the upstream components keep process-wide state (configz, metric
// registries, feature gates), so a second Start while one runs fails with ErrRunning. One after
// the other works. What upstream leaves behind after a clean stop is listed in the README.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	logsapi "k8s.io/component-base/logs/api/v1"
)

// ErrRunning is returned by Start while another control plane runs in this process.
var ErrRunning = errors.New("a control plane already runs in this process: upstream keeps global state, stop that one first")

// frontProxyName is the identity with which kube-apiserver calls aggregated API servers.
const frontProxyName = "front-proxy-client"

// running guards the one control plane a process may have.
var running sync.Mutex

// Config of a control plane. The zero value works.
type Config struct {
	// Dir holds the control plane's private directory. Default: os.TempDir().
	// Its path must stay short: a unix socket's path is limited to about 100 bytes.
	Dir string
	// AuditFile receives one JSON line a request (metadata only). Default: no audit.
	AuditFile string
	// HorizontalPodAutoscaler switches the upstream autoscaler on. Default: off.
	HorizontalPodAutoscaler *HorizontalPodAutoscaler
	// NodeMonitorGrace is how long a silent node keeps its Ready condition. Default 40 s.
	NodeMonitorGrace time.Duration
	// PodEvictionDelay is how long pods stay on a node that is not ready, rounded up to
	// whole seconds. Default 300 s, as kube-apiserver.
	PodEvictionDelay time.Duration
	// Controllers are the ones of kube-controller-manager to run, by name; the service account
	// controller must be among them, for Start waits for its work. Default: those that a cluster of
	// workloads on simulated nodes needs.
	Controllers []string
	// FeatureGates hold for every component in this process until the control plane has ended;
	// then they are as before.
	FeatureGates map[string]bool
	// APIServerFlags and ControllerManagerFlags are added to the components' command lines.
	APIServerFlags, ControllerManagerFlags []string
}

// HorizontalPodAutoscaler are the flags of the upstream autoscaler that follow the lab's clock.
// Zero means upstream's default.
type HorizontalPodAutoscaler struct {
	SyncPeriod             time.Duration // default 15 s
	DownscaleStabilization time.Duration // default 5 min
	CPUInitialization      time.Duration // default 5 min
	InitialReadinessDelay  time.Duration // default 30 s
}

func (h HorizontalPodAutoscaler) flags() []string {
	var out []string
	add := func(flag string, d time.Duration) {
		if d > 0 {
			out = append(out, "--horizontal-pod-autoscaler-"+flag+"="+d.String())
		}
	}
	add("sync-period", h.SyncPeriod)
	add("downscale-stabilization", h.DownscaleStabilization)
	add("cpu-initialization-period", h.CPUInitialization)
	add("initial-readiness-delay", h.InitialReadinessDelay)
	return out
}

// ControlPlane is a running control plane.
type ControlPlane struct {
	// RESTConfig has the rights of system:masters.
	RESTConfig *rest.Config
	// Kubeconfig is a file (mode 0600) with the same rights that plain kubectl accepts.
	Kubeconfig string
	// Dir is the private directory; it is gone after the stop.
	Dir string

	pki    *pki
	stops  []func() error // what end has to do, in the order of the starts
	cancel context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed
}

// pki is every certificate and key of one control plane.
type pki struct {
	ca, frontProxyCA          *authority
	server, frontProxy, admin keyPair
	serviceAccountKey         string
}

// Start boots a control plane and returns once it is ready: the API answers /readyz and the
// default namespace has its service account. It stops when ctx ends or Stop is called; either
// way Wait returns only when everything has ended and the directory is gone. A ctx that ends
// during the boot is heeded once kube-apiserver is ready, a few seconds later. If the process
// dies instead (kill, panic) a small watcher removes the directory.
func Start(ctx context.Context, cfg Config) (*ControlPlane, error) {
	if !running.TryLock() {
		return nil, ErrRunning
	}
	cp := &ControlPlane{done: make(chan struct{})}
	ended, err := cp.boot(ctx, cfg.withDefaults())
	if err != nil {
		return nil, errors.Join(err, cp.end())
	}
	runCtx, cancel := context.WithCancel(ctx)
	cp.cancel = cancel
	go func() {
		select {
		case <-runCtx.Done():
		case <-ended: // a component, by itself: the error comes out of Wait
		}
		cancel()
		cp.err = cp.end()
		close(cp.done)
	}()
	return cp, nil
}

// boot starts everything and leaves in cp.stops what end has to do, also after an error. The
// channel is closed when a component has ended.
func (cp *ControlPlane) boot(ctx context.Context, cfg Config) (ended <-chan struct{}, err error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	dir, release, err := privateDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	cp.Dir, cp.stops = dir, append(cp.stops, release)
	restoreGates, err := setFeatureGates(cfg.FeatureGates)
	if err != nil {
		return nil, err
	}
	cp.stops = append(cp.stops, restoreGates)
	if cp.pki, err = newPKI(dir); err != nil {
		return nil, err
	}
	endpoint, stopEtcd, err := startEtcd(ctx, dir, cp.pki.ca)
	if err != nil {
		return nil, err
	}
	cp.stops = append(cp.stops, func() error { stopEtcd(); return nil })

	// Several components of one process set up logging; the second would be refused.
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	api, err := cp.bootAPIServer(ctx, cfg, endpoint)
	if err != nil {
		return nil, err
	}
	kcm, err := cp.bootControllers(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return either(api.done, kcm.done), nil
}

// bootAPIServer starts kube-apiserver and waits until it is ready.
func (cp *ControlPlane) bootAPIServer(ctx context.Context, cfg Config, etcdEndpoint string) (*apiServer, error) {
	// Not ctx: to end kube-apiserver before its post-start hooks are done ends the process.
	ownCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	api, err := startAPIServer(ownCtx, cfg, cp.Dir, etcdEndpoint, cp.pki)
	if err != nil {
		cancel()
		return nil, err
	}
	cp.stops = append(cp.stops, func() error { cancel(); return api.wait() })
	cp.RESTConfig = cp.adminConfig(api.address)
	if err := api.waitReady(ownCtx, cp.RESTConfig); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start control plane: %w", err)
	}
	cp.Kubeconfig, err = cp.writeKubeconfig("admin", "kubeconfig", cp.pki.admin.authInfo())
	return api, err
}

// bootControllers starts kube-controller-manager and waits until it has done a first piece of work.
func (cp *ControlPlane) bootControllers(ctx context.Context, cfg Config) (*component, error) {
	kubeconfig, err := cp.UserKubeconfig("system:kube-controller-manager")
	if err != nil {
		return nil, err
	}
	// Not ctx: components end in reverse order of their start.
	ownCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	kcm, err := startControllers(ownCtx, cfg, cp.pki, kubeconfig)
	if err != nil {
		cancel()
		return nil, err
	}
	cp.stops = append(cp.stops, func() error { cancel(); return kcm.wait() })
	return kcm, cp.waitForServiceAccount(ctx)
}

// end undoes boot, as far as it came, last things first, and lets the next control plane start.
func (cp *ControlPlane) end() error {
	defer running.Unlock()
	var errs []error
	for _, stop := range slices.Backward(cp.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// either is closed when one of two channels is. Both have to be closed some time.
func either(a, b <-chan struct{}) <-chan struct{} {
	out := make(chan struct{})
	go func() {
		defer close(out)
		select {
		case <-a:
		case <-b:
		}
	}()
	return out
}

// Stop ends the control plane and waits for it.
func (cp *ControlPlane) Stop() error {
	cp.cancel()
	return cp.Wait()
}

// Wait returns when the control plane has ended, with what went wrong.
func (cp *ControlPlane) Wait() error {
	<-cp.done
	return cp.err
}

// Done is closed when the control plane has ended.
func (cp *ControlPlane) Done() <-chan struct{} { return cp.done }

// ServingCertificate issues a certificate for an aggregated API server on loopback that answers
// to the given DNS names, signed by the authority that CABundle returns.
func (cp *ControlPlane) ServingCertificate(commonName string, dnsNames ...string) (certFile, keyFile string, err error) {
	pair, err := cp.pki.ca.issue(commonName, dnsNames)
	return pair.certFile, pair.keyFile, err
}

// CABundle is the PEM of the authority that signs every serving certificate.
func (cp *ControlPlane) CABundle() []byte { return cp.pki.ca.pem() }

// adminConfig is a configuration with the rights of system:masters and no client-side limit.
func (cp *ControlPlane) adminConfig(address string) *rest.Config {
	return &rest.Config{
		Host: "https://" + address,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: cp.pki.ca.pem(), CertData: cp.pki.admin.certPEM, KeyData: cp.pki.admin.keyPEM,
		},
		QPS: -1,
	}
}

func (cp *ControlPlane) writeKubeconfig(user, file string, identity *clientcmdapi.AuthInfo) (string, error) {
	const name = "plimsoll-lab"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: cp.RESTConfig.Host, CertificateAuthorityData: cp.pki.ca.pem()}
	config.AuthInfos[user] = identity
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: user}
	config.CurrentContext = name
	path := filepath.Join(cp.Dir, file)
	if err := clientcmd.WriteToFile(*config, path); err != nil { // creates with mode 0600
		return "", fmt.Errorf("write kubeconfig of %s: %w", user, err)
	}
	return path, nil
}

// waitForServiceAccount waits until pods can be created in the default namespace.
func (cp *ControlPlane) waitForServiceAccount(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(cp.RESTConfig)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	return WaitForServiceAccount(ctx, client, "default")
}

func newPKI(dir string) (*pki, error) {
	var p pki
	var err error
	if p.ca, err = newAuthority(dir, "ca"); err != nil {
		return nil, err
	}
	if p.frontProxyCA, err = newAuthority(dir, "front-proxy-ca"); err != nil {
		return nil, err
	}
	if p.server, err = p.ca.issue("kube-apiserver", []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc"}); err != nil {
		return nil, err
	}
	if p.frontProxy, err = p.frontProxyCA.issue(frontProxyName, nil); err != nil {
		return nil, err
	}
	if p.admin, err = p.ca.issue("plimsoll-lab-admin", nil, "system:masters"); err != nil {
		return nil, err
	}
	p.serviceAccountKey, err = newSigningKey(dir, "service-account.key")
	return &p, err
}

func (c Config) withDefaults() Config {
	if c.Dir == "" {
		c.Dir = os.TempDir()
	}
	if c.NodeMonitorGrace == 0 {
		c.NodeMonitorGrace = 40 * time.Second
	}
	if c.PodEvictionDelay == 0 {
		c.PodEvictionDelay = 300 * time.Second
	}
	if c.Controllers == nil {
		c.Controllers = defaultControllers()
	}
	return c
}
