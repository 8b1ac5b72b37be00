// Package endpoints serves the measurements that autoscalers ask for, from the load as a function of
// time: metrics.k8s.io and external.metrics.k8s.io as aggregated APIs, the exposition that Prometheus
// scrapes, and a door before Prometheus that counts queries.
//
// The aggregated APIs are reached through kube-apiserver as in any cluster. They are on loopback
// and leave authentication to it.
package endpoints

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	aggregator "k8s.io/kube-aggregator/pkg/client/clientset_generated/clientset"
)

// Serve serves a handler on a loopback port until ctx ends; with a certificate by TLS.
func Serve(ctx context.Context, handler http.Handler, certFile, keyFile string) (port int, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	go func() {
		if certFile == "" {
			_ = server.Serve(listener) // its clients see what is wrong
			return
		}
		_ = server.ServeTLS(listener, certFile, keyFile)
	}()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// A Registration is an aggregated API.
type Registration struct {
	Group, Version string
	Service        string // name of its Service in kube-system
	Port           int    // on loopback
	CABundle       []byte // PEM of the authority that signed its certificate
}

const serviceNamespace = "kube-system"

// Register makes kube-apiserver send an API to its server, and waits until it does.
func Register(ctx context.Context, config *rest.Config, r Registration) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	_, err = client.CoreV1().Services(serviceNamespace).Create(ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: r.Service},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "localhost"},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("create service %s: %w", r.Service, err)
	}
	registrations, err := aggregator.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("client of the aggregation layer: %w", err)
	}
	port := int32(r.Port)
	_, err = registrations.ApiregistrationV1().APIServices().Create(ctx, &apiregistrationv1.APIService{
		ObjectMeta: metav1.ObjectMeta{Name: r.Version + "." + r.Group},
		Spec: apiregistrationv1.APIServiceSpec{
			Group: r.Group, Version: r.Version, GroupPriorityMinimum: 100, VersionPriority: 100,
			CABundle: r.CABundle,
			Service:  &apiregistrationv1.ServiceReference{Namespace: serviceNamespace, Name: r.Service, Port: &port},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("register %s: %w", r.Group, err)
	}
	var last error
	err = wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		_, last = client.Discovery().RESTClient().Get().AbsPath("/apis", r.Group, r.Version).DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("wait for %s: %w", r.Group, errors.Join(err, last))
	}
	return nil
}

// Door lets queries through to Prometheus and counts them.
type Door struct {
	queries atomic.Int64
	proxy   *httputil.ReverseProxy
}

var _ http.Handler = (*Door)(nil)

// NewDoor returns a door before the Prometheus at an address.
func NewDoor(prometheus string) (*Door, error) {
	target, err := url.Parse(prometheus)
	if err != nil {
		return nil, fmt.Errorf("address of Prometheus: %w", err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 100
	return &Door{proxy: &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: transport,
	}}, nil
}

// ServeHTTP is http.Handler's.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/api/v1/query", "/api/v1/query_range":
		d.queries.Add(1)
	}
	d.proxy.ServeHTTP(w, r)
}

// Queries is how many queries went through so far.
func (d *Door) Queries() int { return int(d.queries.Load()) }
