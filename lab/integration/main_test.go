// Package integration tests the lab as a whole: what needs the control plane, nodes, metrics and a scheduler at the same time. It is
// one package so that only one more test binary links the API server.
package integration

import (
	"context"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

// TestMain keeps the components' logs for the case that something fails.
func TestMain(m *testing.M) { os.Exit(quiet.Tests(m)) }

// eventually polls until the condition holds; an error that it returns ends the test. What it says last is in the message.
func eventually(tb testing.TB, what string, condition func(ctx context.Context) (held bool, seen string, err error)) {
	tb.Helper()
	last := "nothing"
	err := wait.PollUntilContextTimeout(tb.Context(), 100*time.Millisecond, 2*time.Minute, true, func(ctx context.Context) (bool, error) {
		held, seen, err := condition(ctx)
		last = seen
		return held, err
	})
	if err != nil {
		tb.Fatalf("%s: %v; seen last: %s", what, err, last)
	}
}
