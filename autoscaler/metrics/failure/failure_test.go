package failure_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/failure"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

func TestReasons(t *testing.T) {
	server := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}
	pods := schema.GroupResource{Group: "metrics.k8s.io", Resource: "pods"}
	for name, c := range map[string]struct {
		err          error
		reason, text string
	}{
		"the API knows no such metric": {
			apierrors.NewNotFound(pods, "requests"), scaling.ReasonNoData, `read: pods.metrics.k8s.io "requests" not found`,
		},
		"so it does however it is wrapped": {
			fmt.Errorf("in vain: %w", apierrors.NewNotFound(pods, "requests")), scaling.ReasonNoData, `read: in vain: pods.metrics.k8s.io "requests" not found`,
		},
		"there is no such API": {
			apierrors.NewGenericServerResponse(http.StatusNotFound, "get", pods, "", "404 page not found", 0, true), scaling.ReasonUnreadable,
			"read: metrics.k8s.io is not served, or not available: the server could not find the requested resource (get pods.metrics.k8s.io)",
		},
		"the server behind the API is down": {
			apierrors.NewServiceUnavailable("try later"), scaling.ReasonUnreadable, "read: metrics.k8s.io is not served, or not available: try later",
		},
		"it is not allowed": {
			apierrors.NewForbidden(pods, "", errors.New("no role")), scaling.ReasonUnreadable, "read: pods.metrics.k8s.io is forbidden: no role",
		},
		"a local port is left out": {
			&url.Error{Op: "Get", URL: "https://10.0.0.1/apis", Err: &net.OpError{
				Op: "read", Net: "tcp", Source: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 2), Port: 50123}, Addr: server, Err: errors.New("connection reset"),
			}},
			scaling.ReasonUnreadable, "read: read 10.0.0.1:443: connection reset",
		},
		"time is up": {
			&url.Error{Op: "Get", URL: "https://10.0.0.1/apis", Err: context.DeadlineExceeded}, scaling.ReasonUnreadable, "read: no answer in time",
		},
		"time is up before the request": {
			fmt.Errorf("not asked in time: %w", context.DeadlineExceeded), scaling.ReasonUnreadable, "read: not asked in time",
		},
		"the process ends": {context.Canceled, scaling.ReasonUnreadable, "read: context canceled"},
		"a long story is cut": {
			errors.New(strings.Repeat("x", 5000)), scaling.ReasonUnreadable, "read: " + strings.Repeat("x", 994) + "...",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(source.Unknown(c.reason, c.text), failure.Of("metrics.k8s.io", "read", c.err)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
