package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plimsoll-k8s/plimsoll/lab/trace/worldcup"
)

// TestDemo runs the command as CI and users do: the whole system, a trace, a node that ends.
func TestDemo(t *testing.T) {
	audit, logs := filepath.Join(t.TempDir(), "audit.log"), filepath.Join(t.TempDir(), "lab.log")
	args := []string{"demo", "--headless", "--duration=2h", "--speed=60", "--audit-log=" + audit, "--log-file=" + logs}
	if _, there := worldcup.Path(worldcup.DataDir(os.Getenv, mustGetwd(t))); there {
		args = append(args, "--trace=worldcup", "--from=14h") // the hours before the opening match
	} else {
		t.Log("no World Cup data here: a synthetic day instead")
		args = append(args, "--from=9h")
	}
	visitor := &visitor{arrived: make(chan string, 1)}
	seen := make(chan error, 1)
	go func() { seen <- joinIn(t.Context(), visitor.arrived) }()
	err := executeTo(t, visitor, args...)
	out := visitor.String()
	t.Log(out)
	if err != nil {
		t.Fatalf("%v\n\nlast lines of the components' logs:\n%s", err, tail(logs, 40))
	}
	for _, want := range []string{
		"KUBECONFIG=", "Prometheus answers at http://127.0.0.1:", "ends", "comes back",
		"node-hours", "replica-hours", "under-provisioned time", "lost requests", "pods pending", "scale actions",
		"Why is it there?", " rather than ", "promises broken",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output does not say %q", want)
		}
	}
	if !regexp.MustCompile(`healed after the node's end +[0-9]+m[0-9]+s\n`).MatchString(out) {
		t.Error("the workloads did not heal")
	}
	if err := <-seen; errors.Is(err, exec.ErrNotFound) {
		t.Log("no kubectl on PATH: nobody joined in")
	} else if err != nil {
		t.Errorf("a visitor with kubectl: %v", err)
	}
	checkAudit(t, audit)
	kubeconfig := kubeconfigLine.FindStringSubmatch(out)[1]
	if _, err := os.Stat(filepath.Dir(kubeconfig)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", filepath.Dir(kubeconfig), err)
	}
}

// visitor reads the demo's output and comes in with the kubeconfig that it prints.
type visitor struct {
	arrived chan string // the kubeconfig's path, once
	mu      sync.Mutex
	out     bytes.Buffer
	came    bool
}

var kubeconfigLine = regexp.MustCompile(`KUBECONFIG=(\S+)\n`)

func (v *visitor) Write(p []byte) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.out.Write(p)
	if found := kubeconfigLine.FindSubmatch(v.out.Bytes()); found != nil && !v.came {
		v.came = true
		v.arrived <- string(found[1])
	}
	return len(p), nil
}

func (v *visitor) String() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.out.String()
}

// joinIn does with plain kubectl what the demo proposes, each until it shows what it should or a
// while has passed.
func joinIn(ctx context.Context, arrived <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	var kubeconfig string
	select {
	case kubeconfig = <-arrived:
	case <-ctx.Done():
		return errors.New("the demo printed no kubeconfig")
	}
	for _, look := range []struct {
		args []string
		want *regexp.Regexp
	}{
		{[]string{"get", "nodes"}, regexp.MustCompile(`(?m)^general-023 +Ready `)},
		{[]string{"top", "pods", "-n", "demo"}, regexp.MustCompile(`(?m)^shop-\S+ +[0-9]+m +[0-9]+Mi`)},
		{[]string{"get", "wa", "-n", "demo"}, regexp.MustCompile(`^NAME +TARGET +MIN +MAX +CURRENT +DESIRED +METRIC +REASON +AGE *\n(?s:.*)shop +shop +2 +60 +[0-9]+ +[0-9]+ +(cpu|requests-per-second) +[A-Z][A-Za-z]+ +[0-9]`)},
	} {
		if err := kubectlUntil(ctx, kubeconfig, look.want, look.args...); err != nil {
			return err
		}
	}
	return nil
}

func kubectlUntil(ctx context.Context, kubeconfig string, want *regexp.Regexp, args ...string) error {
	for {
		out, err := exec.CommandContext(ctx, "kubectl", append([]string{"--kubeconfig=" + kubeconfig}, args...)...).CombinedOutput()
		switch {
		case errors.Is(err, exec.ErrNotFound):
			return err
		case err == nil && want.Match(out):
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kubectl %s never showed %s; last: %w\n%s", strings.Join(args, " "), want, err, out)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// checkAudit holds what our components asked for against what they were granted: nothing
// forbidden, and both really acted as their service accounts.
func checkAudit(t *testing.T, file string) {
	t.Helper()
	data, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	const prefix = "system:serviceaccount:plimsoll-system:"
	requests := map[string]int{}
	lines := bufio.NewScanner(data)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			Verb, RequestURI string
			User             struct{ Username string }
			ResponseStatus   struct{ Code int }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatalf("audit line %q: %v", lines.Text(), err)
		}
		name, ours := strings.CutPrefix(event.User.Username, prefix)
		if !ours {
			continue
		}
		requests[name]++
		if event.ResponseStatus.Code == 403 {
			t.Errorf("%s was forbidden to %s %s", name, event.Verb, event.RequestURI)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"plimsoll-scheduler", "plimsoll-autoscaler"} {
		if requests[name] == 0 {
			t.Errorf("no request of %s in the audit log", name)
		}
	}
	t.Logf("requests by service account: %v", requests)
}

func TestDemoRefuses(t *testing.T) {
	wrong := filepath.Join(t.TempDir(), "wrong.csv")
	if err := os.WriteFile(wrong, []byte("time,requests\n2024-01-01 00:00:00,1\n2024-01-01 00:01:00,many\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		args []string
		want []string // the one line says all of these
	}{
		{"an unknown flag", []string{"--sped=2"}, []string{"--sped"}},
		{"an argument", []string{"now"}, []string{`"now"`}},
		{"a speed above the range", []string{"--speed=241"}, []string{"--speed 241", "1 to 240"}},
		{"a speed that is no number", []string{"--speed=NaN"}, []string{"--speed NaN", "1 to 240"}},
		{"too short a duration", []string{"--duration=9m"}, []string{"--duration 9m", "10m or more"}},
		{"a negative start", []string{"--from=-1s"}, []string{"--from -1s"}},
		{"an unknown system", []string{"--against=hpa"}, []string{`--against "hpa"`, `"stock"`}},
		{"an absent trace", []string{"--trace=no-such-file.csv"}, []string{"--trace", "no-such-file.csv"}},
		{"a wrong trace", []string{"--trace=" + wrong}, []string{"wrong.csv:3", "many"}},
		{"a log file that cannot be made", []string{"--log-file=/no/such/directory/x"}, []string{"--log-file"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := execute(t, append([]string{"demo"}, tt.args...)...)
			var usage usageError
			if !errors.As(err, &usage) {
				t.Fatalf("got error %v, want a usage error", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
		})
	}
}

func execute(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := executeTo(t, &out, args...)
	return out.String(), err
}

func executeTo(t *testing.T, out io.Writer, args ...string) error {
	t.Helper()
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(out)
	cmd.SetErr(out)
	return cmd.ExecuteContext(t.Context())
}

func mustGetwd(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// tail is the last lines of a file.
func tail(file string, n int) string {
	data, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
