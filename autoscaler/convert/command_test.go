package convert_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/convert"
)

func TestCommand(t *testing.T) {
	hpa := "apiVersion: autoscaling/v1\nkind: HorizontalPodAutoscaler\nmetadata: {name: a}\nspec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: a}, maxReplicas: 3}\n"
	so := strings.NewReplacer("http://prometheus.monitoring:9090", "http://p?a=b").Replace(scaledObject)
	for name, c := range map[string]struct {
		args       []string
		in         string
		wantOut    string
		wantStderr string
		wantErr    string
	}{
		"standard input":               {args: []string{"-f", "-"}, in: hpa, wantOut: "averageUtilization: 80"},
		"a file":                       {args: []string{"-f", "FILE"}, in: hpa, wantOut: "kind: WorkloadAutoscaler"},
		"pods by selector":             {args: []string{"-f", "-", "--pod-selection", "Selector"}, in: hpa, wantOut: "podSelection: Selector"},
		"a server, with a warning":     {args: []string{"-f", "-", "--prometheus-server", "http://p?a=b"}, in: so, wantOut: "query: up", wantStderr: "warning: document 1, ScaledObject a: spec.triggers[0].metadata.query: confined"},
		"a named server":               {args: []string{"-f", "-", "--prometheus-server", "long=http://p?a=b"}, in: so, wantOut: "serverName: long", wantStderr: "warning: "},
		"a server that is not known":   {args: []string{"-f", "-"}, in: so, wantErr: `document 1, ScaledObject a: spec.triggers[0].metadata.serverAddress: Invalid value: "http://p?a=b": must be the URL of a server whose name is given: none is given`, wantStderr: "warning: "},
		"no file":                      {wantErr: "--filename: must be a file, or - for standard input"},
		"a file that is not there":     {args: []string{"-f", "FILE.not"}, in: hpa, wantErr: "--filename: open "},
		"nothing to convert":           {args: []string{"-f", "-"}, in: "# nothing\n", wantErr: "there is nothing to convert"},
		"a selection that is none":     {args: []string{"-f", "-", "--pod-selection", "Label"}, in: hpa, wantErr: `--pod-selection "Label": must be Owner or Selector`},
		"a server that is no URL":      {args: []string{"-f", "-", "--prometheus-server", "a=b"}, in: hpa, wantErr: `--prometheus-server "a=b": must be name=URL or URL`},
		"a server without a name":      {args: []string{"-f", "-", "--prometheus-server", "=http://b"}, in: hpa, wantErr: `--prometheus-server "=http://b": must be name=URL or URL`},
		"an argument that is not read": {args: []string{"a.yaml"}, wantErr: `unknown command "a.yaml"`},
		"help":                         {args: []string{"--help"}, wantOut: "--prometheus-server"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "in.yaml")
			if err := os.WriteFile(file, []byte(c.in), 0o600); err != nil {
				t.Fatal(err)
			}
			for i, a := range c.args {
				c.args[i] = strings.Replace(a, "FILE", file, 1)
			}
			var stdout, stderr bytes.Buffer
			cmd := convert.NewCommand()
			cmd.SetArgs(append([]string{}, c.args...))
			cmd.SetIn(strings.NewReader(c.in))
			cmd.SetOut(&stdout)
			cmd.SetErr(&stderr)
			err := cmd.Execute()
			if (err != nil) != (c.wantErr != "") || err != nil && !strings.Contains(err.Error(), c.wantErr) {
				t.Errorf("error %v, want %q", err, c.wantErr)
			}
			if !strings.Contains(stdout.String(), c.wantOut) || c.wantErr != "" && stdout.Len() > 0 {
				t.Errorf("standard output %q, want %q in it", stdout.String(), c.wantOut)
			}
			if !strings.HasPrefix(stderr.String(), c.wantStderr) || c.wantStderr == "" && stderr.Len() > 0 {
				t.Errorf("standard error %q, want %q", stderr.String(), c.wantStderr)
			}
		})
	}
}
