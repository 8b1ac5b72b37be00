package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/plimsoll-k8s/plimsoll/lab/trace/worldcup"
)

// TestDemo runs the command as CI and users do: the whole system, a trace, a node that ends.
func TestDemo(t *testing.T) {
	audit, logs := filepath.Join(t.TempDir(), "audit.log"), filepath.Join(t.TempDir(), "lab.log")
	args := []string{"demo", "--headless", "--duration=2h", "--speed=120", "--audit-log=" + audit, "--log-file=" + logs}
	if _, there := worldcup.Path(worldcup.DataDir(os.Getenv, mustGetwd(t))); there {
		args = append(args, "--trace=worldcup", "--from=14h") // the hours before the opening match
	} else {
		t.Log("no World Cup data here: a synthetic day instead")
		args = append(args, "--from=9h")
	}
	out, err := execute(t, args...)
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
	if strings.Contains(out, "healed after the node's end not seen") {
		t.Error("the workloads did not heal")
	}
	checkAudit(t, audit)
	kubeconfig := regexp.MustCompile(`KUBECONFIG=(\S+)`).FindStringSubmatch(out)[1]
	if _, err := os.Stat(filepath.Dir(kubeconfig)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", filepath.Dir(kubeconfig), err)
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
	cmd := newCommand()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
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
