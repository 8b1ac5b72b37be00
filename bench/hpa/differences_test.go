package hpa_test

import (
	"fmt"
	"maps"
	"math"
	"os"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/pods"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies/target"
	"github.com/plimsoll-k8s/plimsoll/bench/hpa"
	"github.com/plimsoll-k8s/plimsoll/bench/hpa/adapter"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
)

// unknown is an answer that holds what there is.
const unknown = "unknown"

// decisions are the differences in single decisions.
var decisions = []struct {
	field          string // of target.Differences
	what           string
	replicas       int32
	status         int32 // as replicas if 0
	pods           []*corev1.Pod
	metric         autoscalingv2.MetricSpec
	reading        adapter.Reading
	upstream, ours string
}{
	{
		field: "FinishedPodsIgnored", what: "Succeeded pods do not count, as Failed ones.",
		replicas: 2, pods: list(running("a"), running("b"), with(running("done"), succeeded)), metric: cpuUtilization(50),
		reading:  samples(fresh, 20, "a", "b"),
		upstream: "2", ours: "1", // (20 + 20 + 100) of 300 is near 50 %; 40 of 200 is not
	},
	{
		field: "NoReadyPodsHold", what: "Without a ready pod a metric of one value holds.",
		replicas: 3, pods: list(with(running("a"), unready), with(running("b"), unready)), metric: externalValue(100),
		reading:  values(200_000),
		upstream: "0", ours: unknown,
	},
	{
		field: "TerminatingNotServing", what: "Terminating pods are not ready pods.",
		replicas: 1, metric: externalValue(100), reading: values(200_000),
		pods:     list(running("a"), with(running("b"), terminating), with(running("c"), terminating)),
		upstream: "6", ours: "2",
	},
	{
		field: "SurgeNotCounted", what: "Surge pods of a rollout are not replicas.",
		replicas: 10, status: 11, metric: externalAverage(10), reading: values(100_000),
		upstream: "11", ours: "10",
	},
	{
		field: "DirectionKept", what: "A metric above its target never scales in, nor one below out.",
		replicas: 4, metric: externalValue(100), reading: values(150_000),
		pods:     list(running("a"), with(running("b"), unready), with(running("c"), unready), with(running("d"), unready)),
		upstream: "2", ours: "4",
	},
	{
		field: "BadValuesUnknown", what: "A negative value is unknown.",
		replicas: 3, pods: list(running("a"), running("b"), running("c")), metric: externalValue(100), reading: values(-5_000),
		upstream: "0", ours: unknown,
	},
	{
		field: "RequestsOfCountingPodsOnly", what: "A pod without a request matters only if the result depends on it.",
		replicas: 2, pods: list(running("a"), running("b"), with(running("failed"), failed, requestless)), metric: cpuUtilization(50),
		reading:  samples(fresh, 100, "a", "b"),
		upstream: unknown, ours: "4",
	},
	{
		field: "StaleSamplesMissing", what: "Stale samples are missing, a stale value is unknown.",
		replicas: 2, pods: list(running("a"), running("b")), metric: podsAverage(10), reading: samples(time.Hour, 1_000, "a", "b"),
		upstream: "1", ours: unknown,
	},
	{
		field: "ForeignSamplesIgnored", what: "Samples of pods that are not the workload's do not count.",
		replicas: 2, pods: list(running("a"), running("b")), metric: podsAverage(10),
		reading:  adapter.Reading{Pods: join(samples(fresh, 10_000, "a", "b").Pods, samples(fresh, 70_000, "gone").Pods)},
		upstream: "6", ours: "2",
	},
}

// overTime are the differences that show in histories.
var overTime = []struct {
	what, switches string
	asUpstream     func(*hpa.Settings) // the other way around; nil if there is no switch
	script         hpa.Script
	upstream, ours []int32
}{
	{
		what: "A restart or another leader forgets nothing.", switches: "`limits.Seed`",
		asUpstream: func(s *hpa.Settings) { s.ForgetAtRestart = true },
		script: hpa.Script{
			Min: 1, Max: 50, Replicas: 30, Behavior: behavior(perSeconds(100, 15), perSeconds(1, 1800)), Wanted: repeat(5, 1),
			Changes: map[int]hpa.Change{2: {Restart: true}, 3: {Restart: true}},
		},
		upstream: []int32{29, 29, 28, 27, 27}, ours: []int32{29, 29, 29, 29, 29},
	},
	{
		what: "A change counts as long as any policy looks back to it.", switches: "`limits.Rules.MemoryAsHPA`",
		asUpstream: func(s *hpa.Settings) { s.Memory = true },
		script: hpa.Script{ // 10 more, twice; then in, at most 1 less than 10 minutes ago
			Min: 1, Max: 50, Replicas: 10, Behavior: behavior(perSeconds(10, 15), perSeconds(1, 600)), Wanted: []int32{50, 20, 50, 1},
		},
		upstream: []int32{20, 20, 30, 19}, ours: []int32{20, 20, 30, 9},
	},
	{
		what: "A change made without behavior counts once there is one.", switches: "`limits.Rules.MemoryAsHPA`",
		asUpstream: func(s *hpa.Settings) { s.Memory = true },
		script: hpa.Script{ // 10 more; then at most 10 more in 10 minutes
			Min: 1, Max: 50, Replicas: 10, Wanted: []int32{20, 50},
			Changes: map[int]hpa.Change{1: {Behavior: behavior(perSeconds(10, 600), perSeconds(1, 600))}},
		},
		upstream: []int32{20, 30}, ours: []int32{20, 20},
	},
	{
		what: "What was wanted is remembered for an hour.", switches: "`limits.Rules.MemoryAsHPA`",
		asUpstream: func(s *hpa.Settings) { s.Memory = true },
		script: hpa.Script{ // scaling in is disabled, then allowed with a window
			Min: 1, Max: 50, Replicas: 10, Behavior: noScalingIn(behavior(perSeconds(100, 15), perSeconds(100, 15))), Wanted: []int32{30, 30, 1, 1, 1},
			Changes: map[int]hpa.Change{4: {Behavior: within(300, behavior(perSeconds(100, 15), perSeconds(100, 15)))}},
		},
		upstream: []int32{30, 30, 30, 30, 10}, ours: []int32{30, 30, 30, 30, 30},
	},
	{
		what: "Rates saturate.", switches: "none",
		script: hpa.Script{
			Min: 1, Max: 50, Replicas: 10, Behavior: behavior(perSeconds(math.MaxInt32, 15), perSeconds(1, 600)), Wanted: []int32{20},
		},
		upstream: []int32{10}, ours: []int32{20},
	},
	{
		what: "A raised minimum holds at 0 replicas though no metric is known.", switches: "none",
		asUpstream: func(s *hpa.Settings) { s.MinimumNeedsMetrics = true },
		script: hpa.Script{
			Min: 0, Max: 50, Replicas: 1, Behavior: behavior(perSeconds(100, 15), perSeconds(100, 15)), Wanted: []int32{0, hpa.Unreadable, hpa.Unreadable},
			Changes: map[int]hpa.Change{2: {Min: new(int32(2))}},
		},
		upstream: []int32{0, 0, 0}, ours: []int32{0, 0, 2},
	},
}

func TestEveryDifferenceInDecisionsIsWhereItIsSaidToBe(t *testing.T) {
	for _, d := range decisions {
		t.Run(d.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := adapter.Case{
					Now: time.Now(), SpecReplicas: d.replicas, StatusReplicas: max(d.replicas, d.status),
					Pods: d.pods, Metric: d.metric, Reading: d.reading, Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1},
				}
				check(t, "upstream", hpa.Upstream(c), d.upstream)
				check(t, "ours without the difference", adapter.Decide(target.New(target.Compatible()), c), d.upstream)
				check(t, "ours with the difference only", adapter.Decide(target.New(only(t, d.field)), c), d.ours)
				check(t, "ours", adapter.Decide(target.New(target.DefaultConfig()), c), d.ours)
			})
		})
	}
}

// only is compatible but for one difference.
func only(t *testing.T, field string) target.Config {
	t.Helper()
	config := target.Compatible()
	config.MaxSampleAge = target.DefaultConfig().MaxSampleAge
	reflect.ValueOf(&config.Differences).Elem().FieldByName(field).SetBool(true)
	return config
}

func check(t *testing.T, who string, got adapter.Answer, want string) {
	t.Helper()
	text := unknown
	if got.Known {
		text = fmt.Sprint(got.Replicas)
	}
	if text != want {
		t.Errorf("%s: %s, want %s", who, got, want)
	}
}

// TestGeneratedCasesReachEveryDifference shows that the comparison would find each
// difference if it were not switched off.
func TestGeneratedCasesReachEveryDifference(t *testing.T) {
	const n = 10_000
	for _, d := range decisions {
		t.Run(d.field, func(t *testing.T) {
			var result hpa.Result
			synctest.Test(t, func(t *testing.T) { result = hpa.Decisions(*seed, n, target.New(only(t, d.field))) })
			t.Logf("%d of %d cases differ", n-result.Equal, n)
			if differing := n - result.Equal; differing < n/1000 {
				t.Errorf("%d of %d cases differ, want at least %d", differing, n, n/1000)
			}
		})
	}
}

func TestEveryDifferenceOverTimeIsWhereItIsSaidToBe(t *testing.T) {
	for _, d := range overTime {
		t.Run(d.what, func(t *testing.T) {
			upstream, ours := play(t, d.script, hpa.Settings{})
			if diff := cmp.Diff(d.upstream, upstream); diff != "" {
				t.Errorf("upstream (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(d.ours, ours); diff != "" {
				t.Errorf("ours (-want +got):\n%s", diff)
			}
			if d.asUpstream == nil {
				return
			}
			var settings hpa.Settings
			d.asUpstream(&settings)
			if _, compatible := play(t, d.script, settings); !slices.Equal(compatible, upstream) {
				t.Errorf("ours without the difference: %v, upstream: %v", compatible, upstream)
			}
		})
	}
}

func play(t *testing.T, script hpa.Script, settings hpa.Settings) (upstream, ours []int32) {
	t.Helper()
	synctest.Test(t, func(*testing.T) { upstream, ours = hpa.Play(script, settings) })
	return upstream, ours
}

// A few differences have neither a switch nor a script.
const (
	whatOwner     = "Pods are the workload's by their owner."
	whatNegative  = "A sum below 0 is no overflow."
	whatSaturates = "Numbers of replicas saturate."
	whatZero      = "A 0 that somebody sets is not autoscaling's."
)

func TestA0ThatSomebodySetsIsNotAutoscalings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		upstream, ours, err := hpa.PlayControllers(hpa.Script{
			Min: 0, Max: 10, Replicas: 1, Behavior: behavior(perSeconds(100, 15), perSeconds(100, 15)), Wanted: []int32{0, 2, 2},
			Changes: map[int]hpa.Change{1: {Replicas: new(int32(2))}, 2: {Replicas: new(int32(0))}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int32{0, 2, 2}, upstream); diff != "" {
			t.Errorf("upstream (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]int32{0, 2, 0}, ours); diff != "" {
			t.Errorf("ours (-want +got):\n%s", diff)
		}
	})
}

func TestPodsAreTheWorkloadsByTheirOwner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := list(with(running("a"), ownedBy("web")), with(running("b"), ownedBy("web")), with(running("batch"), ownedBy("job")))
		c := adapter.Case{
			Now: time.Now(), SpecReplicas: 2, StatusReplicas: 2, Pods: all, Metric: cpuUtilization(50),
			Reading: samples(fresh, 20, "a", "b"), Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1},
		}
		check(t, "upstream", hpa.Upstream(c), "2")
		check(t, "ours by the selector", adapter.Decide(compatible(), c), "2")
		c.Pods = owned(t, all, "web")
		check(t, "ours by the owner", adapter.Decide(compatible(), c), "1")
	})
}

// owned are the pods that the autoscaler's index says a controller owns.
func owned(t *testing.T, all []*corev1.Pod, uid types.UID) []*corev1.Pod {
	t.Helper()
	index := pods.NewIndex()
	mirror := index.Mirror()
	go mirror.Run(t.Context(), lister(all), &corev1.Pod{})
	synctest.Wait()
	var out []*corev1.Pod
	for _, pod := range index.Owned("shop", uid) {
		i := slices.IndexFunc(all, func(p *corev1.Pod) bool { return p.Name == pod.Name })
		out = append(out, all[i])
	}
	return out
}

// lister lists its pods; nothing changes.
type lister []*corev1.Pod

// IsWatchListSemanticsUnSupported tells the reflector to list.
func (lister) IsWatchListSemanticsUnSupported() bool { return true }

func (l lister) List(metav1.ListOptions) (apiruntime.Object, error) {
	all := &corev1.PodList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for _, pod := range l {
		all.Items = append(all.Items, *pod)
	}
	return all, nil
}

func (lister) Watch(metav1.ListOptions) (watch.Interface, error) { return watch.NewFake(), nil }

func TestASumBelow0IsNoOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := adapter.Case{
			Now: time.Now(), SpecReplicas: 3, StatusReplicas: 3, Metric: externalAverage(10), Reading: values(-5_000),
			Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1},
		}
		check(t, "upstream", hpa.Upstream(c), fmt.Sprint(math.MaxInt32))
		o := adapter.Observe(c)
		o.Metrics[0].Value = -5 // the sum as it is
		if d := target.New(target.DefaultConfig()).Decide(c.Now, o); d.Known {
			t.Errorf("ours: %d replicas, want unknown", d.Replicas)
		}
	})
}

func TestNumbersOfReplicasSaturate(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("what becomes of a float that no int32 can hold depends on the processor")
	}
	synctest.Test(t, func(t *testing.T) {
		c := adapter.Case{
			Now: time.Now(), SpecReplicas: 2, StatusReplicas: 2, Pods: list(running("a"), running("b")), Metric: podsAverage(1),
			Reading: samples(fresh, 4_000_000_000_000, "a", "b"), Tolerance: scaling.Tolerance{Up: 0.1, Down: 0.1},
		}
		check(t, "upstream", hpa.Upstream(c), "0")
		check(t, "ours", adapter.Decide(compatible(), c), fmt.Sprint(math.MaxInt32))
	})
}

// TestTheTableOfDifferencesIsComplete holds docs/hpa-differences.md, the fields of
// target.Differences and the tests together.
func TestTheTableOfDifferencesIsComplete(t *testing.T) {
	text, err := os.ReadFile("../../docs/hpa-differences.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string) // switches by what is different
	for _, row := range regexp.MustCompile(`(?m)^\| (.*) \|$`).FindAllStringSubmatch(string(text), -1) {
		cells := strings.Split(row[1], "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if len(cells) != 6 {
			t.Fatalf("%q has %d cells, want 6", row[0], len(cells))
		}
		if cells[0] != "What" && !strings.HasPrefix(cells[0], "---") {
			rows[cells[0]] = cells[5]
		}
	}
	tested := map[string]string{
		whatOwner: "`podSelection: Selector`", whatNegative: "none", whatSaturates: "none", whatZero: "none",
	}
	for _, d := range decisions {
		tested[d.what] = "`target.Differences." + d.field + "`"
	}
	for _, d := range overTime {
		tested[d.what] = d.switches
	}
	if diff := cmp.Diff(tested, rows); diff != "" {
		t.Errorf("docs/hpa-differences.md and the tests (-tested +documented):\n%s", diff)
	}
	for field := range reflect.TypeFor[target.Differences]().Fields() {
		if !slices.ContainsFunc(slices.Collect(maps.Values(tested)), func(s string) bool { return s == "`target.Differences."+field.Name+"`" }) {
			t.Errorf("target.Differences.%s has no test", field.Name)
		}
	}
}
