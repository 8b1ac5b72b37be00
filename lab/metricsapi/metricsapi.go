// Package metricsapi serves metrics.k8s.io with metrics-server's own code: it scrapes every
// node's /metrics/resource and is reached through kube-apiserver's aggregation layer, so
// `kubectl top` and the HorizontalPodAutoscaler work as in any cluster.
package metricsapi

import (
	"context"
	"fmt"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
	"sigs.k8s.io/metrics-server/cmd/metrics-server/app/options"

	"github.com/plimsoll-k8s/plimsoll/lab/controlplane"
)

const (
	namespace   = "kube-system"
	serviceName = "metrics-server"
)

// Config of the server.
type Config struct {
	// Resolution is the time between two scrapes of a node. metrics-server's default is 60 s.
	// It staggers a scrape over 8 ms a node (4 s at most): less than that loses samples.
	Resolution time.Duration
}

// Start serves metrics.k8s.io until ctx ends and returns once the aggregation layer reaches it.
// The channel yields the server's error, nil after a clean end.
func Start(ctx context.Context, cp *controlplane.ControlPlane, cfg Config) (<-chan error, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for metrics-server: %w", err)
	}
	opts, err := serverOptions(cp, cfg, listener)
	if err != nil {
		listener.Close()
		return nil, err
	}
	config, err := opts.ServerConfig()
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("configure metrics-server: %w", err)
	}
	server, err := config.Complete()
	if err != nil {
		listener.Close()
		return nil, fmt.Errorf("create metrics-server: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- server.RunUntil(ctx.Done()) }()
	if err := register(ctx, cp, listener.Addr().(*net.TCPAddr).Port); err != nil {
		return nil, err
	}
	return done, nil
}

func serverOptions(cp *controlplane.ControlPlane, cfg Config, listener net.Listener) (*options.Options, error) {
	certFile, keyFile, err := cp.ServingCertificate(serviceName, serviceName+"."+namespace+".svc")
	if err != nil {
		return nil, err
	}
	opts := options.NewOptions()
	opts.Kubeconfig = cp.Kubeconfig
	opts.MetricResolution = cfg.Resolution
	opts.SecureServing.Listener = listener
	opts.SecureServing.BindAddress = net.IPv4(127, 0, 0, 1)
	opts.SecureServing.BindPort = listener.Addr().(*net.TCPAddr).Port
	opts.SecureServing.ServerCert.CertKey.CertFile = certFile
	opts.SecureServing.ServerCert.CertKey.KeyFile = keyFile
	opts.Authentication.RemoteKubeConfigFile = cp.Kubeconfig
	opts.Authorization.RemoteKubeConfigFile = cp.Kubeconfig
	opts.KubeletClient.KubeletUseNodeStatusPort = true
	opts.KubeletClient.KubeletPreferredAddressTypes = []string{string(corev1.NodeInternalIP)}
	opts.KubeletClient.DeprecatedCompletelyInsecureKubelet = true // plain HTTP on loopback
	opts.KubeletClient.KubeletRequestTimeout = max(cfg.Resolution*9/10, time.Second)
	return opts, nil
}

// register makes kube-apiserver send metrics.k8s.io to the port. The service's external name is
// resolved by kube-apiserver itself: no cluster network is needed.
func register(ctx context.Context, cp *controlplane.ControlPlane, port int) error {
	client, err := kubernetes.NewForConfig(cp.RESTConfig)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err = client.CoreV1().Services(namespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: serviceName},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create service of metrics-server: %w", err)
	}
	registration, err := aggregator.NewForConfig(cp.RESTConfig)
	if err != nil {
		return fmt.Errorf("client of the aggregation layer: %w", err)
	}
	port32 := int32(port)
	const name = "v1beta1.metrics.k8s.io"
	_, err = registration.ApiregistrationV1().APIServices().Create(ctx, &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: "metrics.k8s.io", Version: "v1beta1",
			GroupPriorityMinimum: 100, VersionPriority: 100,
			CABundle: cp.CABundle(),
			Service:  &apiregistrationv1.ServiceReference{Namespace: namespace, Name: serviceName, Port: &port32},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("register metrics.k8s.io: %w", err)
	}
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, err := client.Discovery().RESTClient().Get().AbsPath("/apis/metrics.k8s.io/v1beta1").DoRaw(ctx)
		return err == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for metrics.k8s.io: %w", err)
	}
	return nil
}
