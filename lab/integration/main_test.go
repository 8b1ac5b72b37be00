// Package integration tests the lab as a whole: what needs the control plane, nodes, metrics and a scheduler at the same time. It is
// one package so that only one more test binary links the API server.
package integration

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/plimsoll-k8s/plimsoll/lab/quiet"
)

// TestMain keeps the components' logs for the case that something fails.
func TestMain(m *testing.M) {
	log, err := os.CreateTemp("", "integration-test-*.log")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	quiet.Redirect(log)
	code := m.Run()
	if code != 0 {
		if text, err := os.ReadFile(log.Name()); err == nil {
			fmt.Fprintf(os.Stderr, "--- the components' last log lines\n%s", text[max(0, len(text)-16_000):])
		}
	}
	os.Remove(log.Name())
	os.Exit(code)
}

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
