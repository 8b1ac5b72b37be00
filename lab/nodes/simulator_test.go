package nodes

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/kwok/pkg/apis/internalversion"
)

func TestStartRejects(t *testing.T) {
	for _, tc := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"no kubelet address", Config{}, `kubelet address ""`},
		{"a kubelet address without port", Config{KubeletAddress: "127.0.0.1"}, `kubelet address "127.0.0.1"`},
		{"a port by name", Config{KubeletAddress: "127.0.0.1:http"}, `kubelet address "127.0.0.1:http": port must be 1 to 65535`},
		{"port 0", Config{KubeletAddress: "127.0.0.1:0"}, "port must be 1 to 65535"},
		{"a port above 65535", Config{KubeletAddress: "127.0.0.1:65536"}, "port must be 1 to 65535"},
		{
			"a start-up delay that does not exist",
			Config{KubeletAddress: "127.0.0.1:10250", Startup: StartupDelay{Median: -1}},
			"pod start-up median",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Start(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, tc.cfg)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestFailAndRecoverStopAndStartTheKubelet(t *testing.T) {
	list, err := Pool{Name: "p", Count: 2, Zones: []string{"a"}, CPU: "1", Memory: "1Gi"}.Nodes()
	if err != nil {
		t.Fatal(err)
	}
	client := fake.NewClientset(list[0], list[1])
	s := &Simulator{client: client}
	alive := func(name string) bool {
		node, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return Alive(node)
	}
	if err := s.Fail(t.Context(), "p-000"); err != nil {
		t.Fatal(err)
	}
	if alive("p-000") || !alive("p-001") {
		t.Errorf("after Fail of p-000: alive are p-000 %v, p-001 %v; want false, true", alive("p-000"), alive("p-001"))
	}
	if err := s.Recover(t.Context(), "p-000"); err != nil {
		t.Fatal(err)
	}
	if !alive("p-000") {
		t.Error("after Recover the kubelet of p-000 must run")
	}
	if err := s.Fail(t.Context(), "none"); err == nil || !strings.Contains(err.Error(), "node none") {
		t.Errorf("Fail of an unknown node: got %v, want an error that names it", err)
	}
}

func TestStagesDrawTheStartupDelay(t *testing.T) {
	for _, tc := range []struct {
		name  string
		delay StartupDelay
		want  int // stages in which a pod becomes ready
	}{
		{"at once: one stage without delay", StartupDelay{}, 1},
		{"always the same: one stage", StartupDelay{Median: time.Second, P99: time.Second}, 1},
		{"a distribution: a stage for each slice", StartupDelay{Median: time.Second, P99: 5 * time.Second}, startupSlices},
	} {
		t.Run(tc.name, func(t *testing.T) {
			stages, err := Config{Startup: tc.delay}.stages()
			if err != nil {
				t.Fatal(err)
			}
			names := map[string]bool{}
			var until time.Duration
			for _, s := range stages[internalversion.StageResourceRef{APIGroup: "v1", Kind: "Pod"}] {
				if !strings.HasPrefix(s.Name, "pod-ready") {
					continue
				}
				names[s.Name] = true
				if s.Spec.Weight != 1 {
					t.Errorf("stage %s: weight %d, want 1 for each", s.Name, s.Spec.Weight)
				}
				from, to := stageDelay(s)
				if from < until || to < from {
					t.Errorf("stage %s takes %v to %v, the one before ended at %v", s.Name, from, to, until)
				}
				until = to
			}
			if len(names) != tc.want {
				t.Errorf("got stages %v, want %d", names, tc.want)
			}
			if want := tc.delay.Quantile(0.995).Truncate(time.Millisecond); until != want {
				t.Errorf("the longest start-up is %v, want %v", until, want)
			}
		})
	}
}

func stageDelay(s *internalversion.Stage) (from, to time.Duration) {
	if s.Spec.Delay == nil || s.Spec.Delay.DurationMilliseconds == nil {
		return 0, 0
	}
	return time.Duration(*s.Spec.Delay.DurationMilliseconds) * time.Millisecond,
		time.Duration(*s.Spec.Delay.JitterDurationMilliseconds) * time.Millisecond
}
