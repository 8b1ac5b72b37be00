package throughput

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/component-base/metrics/legacyregistry"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"
	perf "k8s.io/kubernetes/test/integration/scheduler_perf"
	"k8s.io/kubernetes/test/utils/client-go/ktesting"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/plugins"
)

// shipped is the profile that is measured.
const shipped = "../../manifests/scheduler/config.yaml"

// setting is what both profiles have in common.
type setting struct {
	name string
	// scoreAll has every node looked at, as the shipped profile does; else the default, a tenth of
	// 5,000.
	scoreAll bool
	// alike are replicas. scheduler_perf's own SchedulingBasic gives every pod a label of its
	// own, which rules batches out.
	alike bool
}

func allSettings() []setting {
	return []setting{
		{name: "score=all/pods=distinct", scoreAll: true},
		{name: "score=default/pods=distinct"},
		{name: "score=all/pods=alike", scoreAll: true, alike: true},
		{name: "score=default/pods=alike", alike: true},
	}
}

// pods is how many are measured: more where a cycle is cheap, so that it too takes several of
// scheduler_perf's samples, one a second.
func (s setting) pods(o options) int {
	if s.scoreAll {
		return o.pods
	}
	return sampledTimes * o.pods
}

// BenchmarkSchedulingBasic runs scheduler_perf's SchedulingBasic under both profiles in turns, and
// writes what they came to. It fails where a pod stays without a node.
func BenchmarkSchedulingBasic(b *testing.B) {
	o, err := flagged(flag.CommandLine)
	if err != nil {
		b.Fatal(err)
	}
	etcdOnPath(b)
	var runs []Run
	for repeat := range o.repeats {
		for _, s := range allSettings() {
			for _, profile := range order(repeat) {
				name := fmt.Sprintf("repeat=%d/%s/profile=%s", repeat+1, s.name, profile)
				if !b.Run(name, func(b *testing.B) { runs = append(runs, run(b, o, s, profile)) }) {
					b.FailNow()
				}
			}
		}
	}
	report(b, o, runs)
}

// order has each profile first in every other repeat.
func order(repeat int) []string {
	profiles := []string{Default, Plimsoll}
	if repeat%2 == 1 {
		slices.Reverse(profiles)
	}
	return profiles
}

// run measures a profile once, on an etcd and an API server of its own.
func run(b *testing.B, o options, s setting, profile string) Run {
	dir := b.TempDir()
	write(b, filepath.Join(dir, "pod.yaml"), pod())
	write(b, filepath.Join(dir, "scheduler.yaml"), schedulerConfiguration(b, profile, s))
	write(b, filepath.Join(dir, "workload.yaml"), workload(dir, o, s))
	results := filepath.Join(dir, "results")
	if err := flag.Set("data-items-dir", results); err != nil {
		b.Fatal(err)
	}
	batched := 0.0
	perf.RunBenchmarkPerfScheduling(b, filepath.Join(dir, "workload.yaml"), "plimsoll", registry(),
		perf.WithPrepareFn(func(ctx ktesting.TContext) error {
			ctx.TB().Cleanup(func() { batched = hintsUsed(b) }) // before scheduler_perf resets the metrics
			return nil
		}))
	if b.Failed() {
		b.FailNow()
	}
	return Run{
		Setting: s.name, Profile: profile,
		PodsPerSecond: podsPerSecond(b, results), HintedShare: batched / float64(s.pods(o)+o.warmUp),
	}
}

func registry() frameworkruntime.Registry {
	out := frameworkruntime.Registry{}
	for name, factory := range plugins.Registry(plugins.Options{}) {
		out[name] = factory
	}
	return out
}

// schedulerConfiguration is the profile for pods that name no scheduler, as those of
// scheduler_perf.
func schedulerConfiguration(b *testing.B, profile string, s setting) map[string]any {
	config := map[string]any{"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}
	if profile == Plimsoll {
		text, err := os.ReadFile(shipped)
		if err != nil {
			b.Fatal(err)
		}
		var read struct {
			Profiles []map[string]any `json:"profiles"`
		}
		if err := yaml.Unmarshal(text, &read); err != nil || len(read.Profiles) != 1 {
			b.Fatalf("%s: %d profiles, want 1 (error: %v)", shipped, len(read.Profiles), err)
		}
		read.Profiles[0]["schedulerName"] = "default-scheduler"
		config["profiles"] = read.Profiles
	}
	if s.scoreAll {
		config["percentageOfNodesToScore"] = 100
	}
	return config
}

// workload is SchedulingBasic, in scheduler_perf's terms.
func workload(dir string, o options, s setting) []any {
	alike := 1
	if s.alike {
		alike = max(s.pods(o), o.warmUp)
	}
	createPods := func(count string, more map[string]any) map[string]any {
		op := map[string]any{"opcode": "createPods", "countParam": count, "signatureBatchSizeParam": "$alike"}
		maps.Copy(op, more)
		return op
	}
	return []any{map[string]any{
		"name":                   "SchedulingBasic",
		"defaultPodTemplatePath": filepath.Join(dir, "pod.yaml"),
		"schedulerConfigPath":    filepath.Join(dir, "scheduler.yaml"),
		// Fewer than its default, which is two hundred.
		"metricsCollectorConfig": map[string]any{"metrics": map[string]any{"scheduler_pod_scheduling_duration_seconds": nil}},
		"workloadTemplate": []any{
			map[string]any{"opcode": "createNodes", "countParam": "$initNodes"},
			createPods("$initPods", nil),
			createPods("$measurePods", map[string]any{"collectMetrics": true}),
		},
		"workloads": []any{map[string]any{
			"name":   fmt.Sprintf("%dNodes_%dPods", o.nodes, s.pods(o)),
			"labels": []string{"performance"},
			"params": map[string]any{"initNodes": o.nodes, "initPods": o.warmUp, "measurePods": s.pods(o), "alike": alike},
		}},
	}}
}

// pod asks for what SchedulingBasic's pods ask for.
func pod() map[string]any {
	resources := map[string]any{"cpu": "100m", "memory": "500Mi"}
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"generateName": "pod-"},
		"spec": map[string]any{"containers": []any{map[string]any{
			"name": "pause", "image": "registry.k8s.io/pause:3.10.2",
			"ports":     []any{map[string]any{"containerPort": 80}},
			"resources": map[string]any{"limits": resources, "requests": resources},
		}}},
	}
}

func write(b *testing.B, file string, content any) {
	b.Helper()
	text, err := yaml.Marshal(content)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		b.Fatal(err)
	}
}

// etcdOnPath lets this binary be found as etcd.
func etcdOnPath(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, etcdName)); err != nil {
		b.Fatal(err)
	}
	b.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// hintsUsed is how many pods were placed from a batch since the metrics were reset.
func hintsUsed(b *testing.B) float64 {
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		b.Error(err)
	}
	used := 0.0
	for _, family := range families {
		if family.GetName() != "scheduler_batch_attempts_total" {
			continue
		}
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				if label.GetName() == "result" && label.GetValue() == "hint_used" {
					used += metric.GetCounter().GetValue()
				}
			}
		}
	}
	return used
}

// podsPerSecond is the average that scheduler_perf wrote into the folder.
func podsPerSecond(b *testing.B, dir string) float64 {
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) != 1 {
		b.Fatalf("results of scheduler_perf: got %q (error: %v), want one file", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		b.Fatal(err)
	}
	var read perf.DataItems
	if err := json.Unmarshal(text, &read); err != nil {
		b.Fatalf("read %s: %v", files[0], err)
	}
	for _, item := range read.DataItems {
		if item.Labels["Metric"] == "SchedulingThroughput" && item.Data["Average"] > 0 {
			return item.Data["Average"]
		}
	}
	b.Fatalf("%s holds no throughput above 0:\n%s", files[0], text)
	return 0
}

// report prints the figures and writes them to the file of results.
func report(b *testing.B, o options, runs []Run) {
	figures, err := Figures(runs)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range figures {
		fmt.Printf("%-60s %10s %s\n", f.Name, significant(f.Value), f.Unit)
	}
	if err := os.MkdirAll(filepath.Dir(o.csv), 0o755); err != nil {
		b.Fatal(err)
	}
	file, err := os.Create(o.csv)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	origin := fmt.Sprintf("%s; %s; make bench-throughput ARGS='-nodes %d -pods %d -warm-up %d -repeats %d'",
		time.Now().UTC().Format(time.DateOnly), machine(), o.nodes, o.pods, o.warmUp, o.repeats)
	if err := WriteCSV(file, origin, figures); err != nil {
		b.Fatal(err)
	}
}

// machine says on what was measured.
func machine() string {
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo") // elsewhere than on Linux there is none
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	return fmt.Sprintf("%d cores of %s, %s %s/%s", runtime.NumCPU(), model, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
