package metrics

import (
	"fmt"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	metricsclient "k8s.io/metrics/pkg/client/clientset/versioned/typed/metrics/v1beta1"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
	externalclient "k8s.io/metrics/pkg/client/external_metrics"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/custom"
)

// RequestTimeout is how long a request to custom.metrics.k8s.io or
// external.metrics.k8s.io may take: their clients take no context.
const RequestTimeout = 10 * time.Second

// Connect returns clients of the three metrics APIs, asked through h with the rate
// limit of config; mapper maps the kinds of described objects. It asks nothing
// itself: an API that is installed later is found then. now is the clock.
func Connect(config *rest.Config, h *http.Client, mapper meta.RESTMapper, now func() time.Time) (Clients, error) {
	podMetrics, err := metricsclient.NewForConfigAndClient(config, h)
	if err != nil {
		return Clients{}, fmt.Errorf("client of metrics.k8s.io: %w", err)
	}
	bounded := rest.CopyConfig(config)
	bounded.Timeout = RequestTimeout
	discover, err := discovery.NewDiscoveryClientForConfig(bounded)
	if err != nil {
		return Clients{}, fmt.Errorf("client of custom.metrics.k8s.io: %w", err)
	}
	external, err := externalclient.NewForConfig(bounded)
	if err != nil {
		return Clients{}, fmt.Errorf("client of external.metrics.k8s.io: %w", err)
	}
	versions := custom.Versions(customclient.NewAvailableAPIsGetter(discover), now)
	return Clients{PodMetrics: podMetrics, Custom: customclient.NewForConfig(bounded, mapper, versions), External: external}, nil
}
