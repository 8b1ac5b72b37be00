// Package failure says why a metrics API could not be read, in words that are the
// same as long as the reason is: they go into status, and what changes there is
// written.
package failure

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// maxText is how long a text may be, in bytes.
const maxText = 1000

// Of is the answer of a metric whose request failed: NoData if the API has no
// such metric, Unreadable otherwise. api is the name of the API's group.
func Of(api, doing string, err error) scaling.Metric {
	reason := scaling.ReasonUnreadable
	if apierrors.IsNotFound(err) && !Absent(err) {
		reason = scaling.ReasonNoData
	}
	return source.Unknown(reason, Text(api, doing, err))
}

// Absent reports whether err says that the API server has no such API, rather
// than that the API has no such object.
func Absent(err error) bool {
	return apierrors.IsNotFound(err) && apierrors.IsUnexpectedServerError(err)
}

// Text says what failed and why. It leaves out addresses of this end and of
// requests, which differ from one failure to the next.
func Text(api, doing string, err error) string {
	text := cause(err)
	if Absent(err) || apierrors.IsServiceUnavailable(err) {
		text = fmt.Sprintf("%s is not served, or not available: %s", api, text)
	}
	text = doing + ": " + text
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}

func cause(err error) string {
	var request *url.Error
	if errors.As(err, &request) {
		err = request.Err
	}
	var connection *net.OpError
	if errors.As(err, &connection) && connection.Addr != nil {
		return fmt.Sprintf("%s %s: %v", connection.Op, connection.Addr, connection.Err)
	}
	if err == context.DeadlineExceeded { //nolint:errorlint // a wrapped one says more, and is told in full
		return "no answer in time"
	}
	return strings.TrimSuffix(err.Error(), ": "+context.DeadlineExceeded.Error())
}
