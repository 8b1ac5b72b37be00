package controlplane

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	cliflag "k8s.io/component-base/cli/flag"
	"k8s.io/kubernetes/cmd/kube-apiserver/app"
	"k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"github.com/spf13/pflag"
)

// auditPolicy records who asked for what, without bodies: enough to hold granted permissions
// against used ones.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// apiServer is a running kube-apiserver.
type apiServer struct {
	*component
	address string // host:port on loopback
}

// startAPIServer runs kube-apiserver until ctx ends.
func startAPIServer(ctx context.Context, cfg Config, dir, etcdEndpoint string, pki *pki) (*apiServer, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for kube-apiserver: %w", err)
	}
	opts, err := apiServerOptions(ctx, cfg, dir, etcdEndpoint, pki, listener)
	if err != nil {
		listener.Close()
		return nil, err
	}
	config, err := app.NewConfig(opts)
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("configure kube-apiserver: %w", err)
	}
	completed, err := config.Complete()
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("complete configuration of kube-apiserver: %w", err)
	}
	server, err := app.CreateServerChain(completed)
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("create kube-apiserver: %w", err)
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("prepare kube-apiserver: %w", err)
	}
	return &apiServer{
		component: startComponent("kube-apiserver", func() error { return prepared.Run(ctx) }),
		address:   listener.Addr().String(),
	}, nil
}

func apiServerOptions(ctx context.Context, cfg Config, dir, etcdEndpoint string, pki *pki, listener net.Listener) (options.CompletedOptions, error) {
	args := []string{
		"--etcd-servers=" + etcdEndpoint,
		"--cert-dir=" + dir,
		"--tls-cert-file=" + pki.server.certFile,
		"--tls-private-key-file=" + pki.server.keyFile,
		"--client-ca-file=" + pki.ca.certFile(),
		"--requestheader-client-ca-file=" + pki.frontProxyCA.certFile(),
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + pki.frontProxy.certFile,
		"--proxy-client-key-file=" + pki.frontProxy.keyFile,
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file=" + pki.serviceAccountKey,
		"--service-account-key-file=" + pki.serviceAccountKey,
		"--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC",
		"--endpoint-reconciler-type=none", // nothing reaches the API through the kubernetes Service
		"--anonymous-auth=true",           // as kubeadm: /healthz, /livez, /readyz and /version only, by RBAC
		"--max-requests-inflight=0",       // the lab's own clients are not to be throttled: APF stays out of measurements
		"--max-mutating-requests-inflight=0",
		"--enable-priority-and-fairness=false",
		fmt.Sprintf("--default-not-ready-toleration-seconds=%d", ceilSeconds(cfg.PodEvictionDelay)),
		fmt.Sprintf("--default-unreachable-toleration-seconds=%d", ceilSeconds(cfg.PodEvictionDelay)),
	}
	if cfg.AuditFile != "" {
		policy := filepath.Join(dir, "audit-policy.yaml")
		if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
			return options.CompletedOptions{}, fmt.Errorf("write audit policy: %w", err)
		}
		args = append(args, "--audit-policy-file="+policy, "--audit-log-path="+cfg.AuditFile)
	}
	opts := options.NewServerRunOptions()
	flags := opts.Flags()
	if err := parseFlags(&flags, append(args, cfg.APIServerFlags...)); err != nil {
		return options.CompletedOptions{}, fmt.Errorf("flags of kube-apiserver: %w", err)
	}
	if err := opts.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return options.CompletedOptions{}, fmt.Errorf("flags of kube-apiserver: %w", err)
	}
	address := listener.Addr().(*net.TCPAddr)
	opts.SecureServing.Listener, opts.SecureServing.BindPort = listener, address.Port
	opts.SecureServing.ExternalAddress = address.IP
	completed, err := opts.Complete(ctx)
	if err != nil {
		return options.CompletedOptions{}, fmt.Errorf("complete options of kube-apiserver: %w", err)
	}
	if errs := completed.Validate(); len(errs) != 0 {
		return options.CompletedOptions{}, fmt.Errorf("options of kube-apiserver: %w", utilerrors.NewAggregate(errs))
	}
	return completed, nil
}

// waitReady returns once /readyz answers, or with ctx.
func (s *apiServer) waitReady(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client for kube-apiserver: %w", err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		select {
		case <-s.done:
			return false, fmt.Errorf("it ended: %w", s.err)
		default:
		}
		_, last = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("wait for kube-apiserver: %w (last answer: %w)", err, last)
	}
	return err
}

// parseFlags parses args with all of a component's named flag sets.
func parseFlags(named *cliflag.NamedFlagSets, args []string) error {
	flags := pflag.NewFlagSet("component", pflag.ContinueOnError)
	for _, set := range named.FlagSets {
		flags.AddFlagSet(set)
	}
	return flags.Parse(args)
}

// ceilSeconds rounds a duration up to whole seconds, at least 1: what the API can say.
func ceilSeconds(d time.Duration) int64 {
	return max(1, int64((d+time.Second-1)/time.Second))
}
