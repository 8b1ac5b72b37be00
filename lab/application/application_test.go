package application_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
)

var update = flag.Bool("update", false, "rewrite the expected output under testdata")

// quiet is one server of 50 requests per second without CPU noise.
func quiet() application.Params {
	params := application.DefaultParams()
	params.CPUNoise = 0
	return params
}

func mustNew(t testing.TB, params application.Params) application.Model {
	t.Helper()
	model, err := application.New(params)
	if err != nil {
		t.Fatal(err)
	}
	return model
}

type stepper interface {
	Helper()
	Fatal(args ...any)
}

func mustStep(
	t stepper, model application.Model, state application.State, load float64, pods []application.Pod, wall time.Duration,
) (application.State, application.Flow) {
	t.Helper()
	next, flow, err := model.Step(state, load, pods, wall)
	if err != nil {
		t.Fatal(err)
	}
	return next, flow
}

// ready are running and ready pods with half a core, the default limit.
func ready(names ...string) []application.Pod {
	pods := make([]application.Pod, len(names))
	for i, name := range names {
		pods[i] = application.Pod{Name: name, Running: true, Ready: true, Cores: 0.5}
	}
	return pods
}

func requests(n float64) application.Requests {
	return application.Requests(n * float64(application.Request))
}

func near(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance*math.Abs(want) }

// TestADeploymentThroughItsDay tells a story in steps of a second: read the file for what the model does.
func TestADeploymentThroughItsDay(t *testing.T) {
	starting := application.Pod{Name: "c"}
	draining := application.Pod{Name: "a", Running: true, Cores: 0.5}
	chapters := []struct {
		title   string
		seconds int
		load    float64
		pods    []application.Pod
	}{
		{"no pod yet: all is lost in front of the pods", 1, 40, nil},
		{"one pod serves what it can", 2, 40, ready("a")},
		{"too much for it: the queue grows to two seconds of capacity, then overflows", 4, 90, ready("a")},
		{"a second pod shares the load, but not the first one's queue", 3, 90, ready("a", "b")},
		{"a third pod is created and does not run: it counts as a replica only", 1, 90, append(ready("a", "b"), starting)},
		{"it is ready, and queues drain", 6, 90, ready("a", "b", "c")},
		{"one pod is left and falls behind", 3, 90, ready("a")},
		{"it stops being ready: it drains, what comes is lost", 3, 20, []application.Pod{draining}},
		{"back, behind again, then gone with its queue", 2, 90, ready("a")},
		{"a new pod starts from zero", 2, 25, ready("d")},
	}
	model := mustNew(t, quiet())
	var state application.State
	var flow application.Flow
	var summary application.Summary
	var out strings.Builder
	for _, chapter := range chapters {
		fmt.Fprintf(&out, "%s\n", chapter.title)
		for range chapter.seconds {
			state, flow = mustStep(t, model, state, chapter.load, chapter.pods, time.Second)
			summary = summary.Add(flow)
			fmt.Fprintf(&out, "%4.0f s  load %3.0f of %3.0f  lost: no pod %3.0f overflow %3.0f gone %3.0f",
				summary.Elapsed.Seconds(), flow.Load, flow.Capacity, flow.Lost.NoPod.Float(), flow.Lost.Overflow.Float(), flow.Lost.Gone.Float())
			for _, pod := range state.Pods {
				fmt.Fprintf(&out, " | %s served %3.0f queued %3.0f in flight %5.1f cpu %.2f latency %v",
					pod.Name, pod.Served.Float(), pod.Queued.Float(), pod.InFlight, pod.CPUCores, pod.MeanLatency.Round(time.Millisecond))
			}
			out.WriteByte('\n')
		}
	}
	fmt.Fprintf(&out, "summary: %v, offered %.0f, served %.0f, lost %.0f, under-provisioned %v, at risk %v, replica-hours %.4f, peak %d\n",
		summary.Elapsed, summary.Offered, summary.Served, summary.Lost,
		summary.UnderProvisioned, summary.AtRisk, summary.ReplicaHours, summary.PeakReplicas)
	compare(t, "testdata/day.txt", out.String())
}

func compare(t *testing.T, golden, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got), rewrite with -update:\n%s", diff)
	}
}

func TestMeanLatencyFollowsUtilisation(t *testing.T) {
	four := quiet() // the same capacity from four times slower requests: about four servers
	four.ServiceTime = 80 * time.Millisecond
	for _, tc := range []struct {
		name   string
		params application.Params
		load   float64
		want   time.Duration
	}{
		{"an idle pod would take the service time", quiet(), 0, 20 * time.Millisecond},
		{"half full, M/M/1 doubles the service time", quiet(), 25, 40 * time.Millisecond},
		{"at 0.8 it is five times the service time", quiet(), 40, 100 * time.Millisecond},
		{"at 0.9 it is ten times the service time", quiet(), 45, 200 * time.Millisecond},
		{"growth ends at 0.95", quiet(), 49, 400 * time.Millisecond},
		{"with four servers fewer requests wait", four, 40, 80*time.Millisecond + 61724*time.Microsecond},
	} {
		t.Run(tc.name, func(t *testing.T) {
			state, _ := mustStep(t, mustNew(t, tc.params), application.State{}, tc.load, ready("a"), time.Second)
			if got := state.Pods[0].MeanLatency; (got - tc.want).Abs() > 20*time.Microsecond {
				t.Errorf("mean latency %v, want %v", got, tc.want)
			}
		})
	}
}

func TestMeanLatencyNeverFallsWithLoad(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := quiet()
		params.Capacity = rapid.Float64Range(1, 1000).Draw(t, "capacity")
		params.ServiceTime = time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(time.Second)).Draw(t, "service"))
		low := rapid.Float64Range(0, 2000).Draw(t, "low")
		high := low + rapid.Float64Range(0, 2000).Draw(t, "more")
		model, err := application.New(params)
		if err != nil {
			t.Fatal(err)
		}
		atLow, _ := mustStep(t, model, application.State{}, low, ready("a"), time.Second)
		atHigh, _ := mustStep(t, model, application.State{}, high, ready("a"), time.Second)
		if l, h := atLow.Pods[0].MeanLatency, atHigh.Pods[0].MeanLatency; h < l-time.Microsecond {
			t.Fatalf("%v at %v requests per second, %v at %v", l, low, h, high)
		}
	})
}

func TestCPUFollowsServedLoad(t *testing.T) {
	half := ready("a")
	half[0].Cores = 0.26 // idle use of 0.02, then half of the rest
	for _, tc := range []struct {
		name         string
		load         float64
		pods         []application.Pod
		cpu, perPod  float64
		memoryAtIdle bool
	}{
		{"idle use without load", 0, ready("a"), 0.02, 0, true},
		{"half the load is half of what is not idle use", 25, ready("a"), 0.26, 25, false},
		{"the limit at capacity", 50, ready("a"), 0.5, 50, false},
		{"the limit above capacity", 500, ready("a"), 0.5, 50, false},
		{"two pods share the load evenly", 50, ready("b", "a"), 0.26, 25, false},
		{"a pod that is given less CPU serves less", 50, half, 0.26, 25, false},
		{"a running pod that is not ready uses idle CPU", 50, []application.Pod{{Name: "a", Running: true, Cores: 0.5}}, 0.02, 0, true},
		{"without CPU nothing is served", 50, []application.Pod{{Name: "a", Running: true, Ready: true}}, 0, 0, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			state, _ := mustStep(t, mustNew(t, quiet()), application.State{}, tc.load, tc.pods, 10*time.Second)
			for _, pod := range state.Pods {
				if !near(pod.CPUCores, tc.cpu, 1e-9) || !near(pod.CPUSeconds, 10*tc.cpu, 1e-9) || pod.Served != requests(10*tc.perPod) {
					t.Errorf("%+v\nwant %v cores, %v requests per second", pod, tc.cpu, tc.perPod)
				}
				if idle := pod.MemoryBytes == quiet().MemoryBytes; idle != tc.memoryAtIdle {
					t.Errorf("memory %d, in flight %v", pod.MemoryBytes, pod.InFlight)
				}
			}
		})
	}
}

func TestCPUNoiseHasItsDeviation(t *testing.T) {
	params := application.DefaultParams()
	model := mustNew(t, params)
	var state application.State
	var sum, squares float64
	const steps = 4000
	for range steps {
		state, _ = mustStep(t, model, state, 25, ready("web-7d4b9c-x2x4z"), time.Second)
		relative := state.Pods[0].CPUCores/0.26 - 1
		sum += relative
		squares += relative * relative
	}
	mean, deviation := sum/steps, math.Sqrt(squares/steps)
	if math.Abs(mean) > 0.004 || !near(deviation, params.CPUNoise, 0.05) {
		t.Errorf("mean %.4f, deviation %.4f; want 0 and %v", mean, deviation, params.CPUNoise)
	}
}

func TestNoiseDependsOnSeedAndNameAlone(t *testing.T) {
	use := func(seed uint64, pods ...string) map[string]float64 {
		params := application.DefaultParams()
		params.Seed = seed
		state, _ := mustStep(t, mustNew(t, params), application.State{}, 0, ready(pods...), time.Second)
		cores := map[string]float64{}
		for _, pod := range state.Pods {
			cores[pod.Name] = pod.CPUCores
		}
		return cores
	}
	alone, among := use(1, "b"), use(1, "c", "b", "a")
	if alone["b"] != among["b"] {
		t.Errorf("b uses %v alone, %v among others", alone["b"], among["b"])
	}
	if among["a"] == among["b"] || alone["b"] == use(2, "b")["b"] {
		t.Error("two names, or two seeds, gave the same noise")
	}
}

// TestLevelsKeepTheirTraceValues runs one story in life's time and sixty times faster.
func TestLevelsKeepTheirTraceValues(t *testing.T) {
	type reading struct {
		rate, cores, inFlight float64
		latency               time.Duration
	}
	run := func(pace application.Pace) (readings []reading, summary application.Summary) {
		params := application.DefaultParams()
		params.Pace = pace
		model := mustNew(t, params)
		var state application.State
		for second := range 300 {
			load := 40 + 15*math.Sin(float64(second)/30) // at times above the capacity of 50
			var before application.PodState
			if len(state.Pods) > 0 {
				before = state.Pods[0]
			}
			wall := pace.Wall(time.Second)
			next, flow := mustStep(t, model, state, load, ready("a"), wall)
			state, summary = next, summary.Add(flow)
			after := state.Pods[0]
			readings = append(readings, reading{
				rate:     (after.Served - before.Served).Float() / wall.Seconds(),
				cores:    (after.CPUSeconds - before.CPUSeconds) / wall.Seconds(),
				inFlight: after.InFlight, latency: after.MeanLatency,
			})
		}
		return readings, summary
	}
	slow, slowSummary := run(1)
	fast, fastSummary := run(60)
	for i := range slow {
		s, f := slow[i], fast[i]
		if !near(f.rate, s.rate, 0.001) || !near(f.cores, s.cores, 0.001) || !near(f.inFlight, s.inFlight, 0.01) ||
			!near(f.latency.Seconds(), s.latency.Seconds(), 0.01) {
			t.Fatalf("second %d: %+v in life's time, %+v in the lab's", i, s, f)
		}
	}
	if slowSummary.Lost == 0 || slowSummary.UnderProvisioned == 0 {
		t.Fatalf("the story never overflows: %+v", slowSummary)
	}
	if !near(fastSummary.Offered, slowSummary.Offered, 0.001) || !near(fastSummary.Served, slowSummary.Served, 0.001) ||
		!near(fastSummary.Lost, slowSummary.Lost, 0.001) ||
		!near(fastSummary.ReplicaHours, slowSummary.ReplicaHours, 0.001) ||
		!near(fastSummary.AtRisk.Seconds(), slowSummary.AtRisk.Seconds(), 0.001) ||
		!near(fastSummary.UnderProvisioned.Seconds(), slowSummary.UnderProvisioned.Seconds(), 0.001) {
		t.Errorf("summaries\n%+v\n%+v", slowSummary, fastSummary)
	}
}

func TestSummary(t *testing.T) {
	flow := application.Flow{
		Wall: time.Second, Pace: 60, Load: 10, Capacity: 20, Replicas: 3, Ready: 2,
		Offered: requests(10), Served: requests(9), Lost: application.Losses{NoPod: requests(1), Overflow: requests(2), Gone: requests(3)},
	}
	with := func(load, capacity float64) application.Flow {
		f := flow
		f.Load, f.Capacity = load, capacity
		return f
	}
	for _, tc := range []struct {
		name       string
		flow       application.Flow
		over, risk time.Duration
	}{
		{"half full is no risk", flow, 0, 0},
		{"0.8 is no risk yet", with(16, 20), 0, 0},
		{"above 0.8 is a risk", with(17, 20), 0, time.Minute},
		{"full is a risk", with(20, 20), 0, time.Minute},
		{"above capacity", with(21, 20), time.Minute, time.Minute},
		{"load without capacity", with(1, 0), time.Minute, time.Minute},
		{"neither load nor capacity", with(0, 0), 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			want := application.Summary{
				Elapsed: time.Minute, Offered: 600, Served: 540, Lost: 360,
				UnderProvisioned: tc.over, AtRisk: tc.risk, ReplicaHours: 0.05, PeakReplicas: 3,
			}
			got := application.Summary{}.Add(tc.flow)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			twice := application.Summary{
				Elapsed: time.Minute, Offered: 1200, Served: 1080, Lost: 720,
				UnderProvisioned: 2 * tc.over, AtRisk: 2 * tc.risk, ReplicaHours: 0.1, PeakReplicas: 6,
			}
			if diff := cmp.Diff(twice, got.Plus(got)); diff != "" {
				t.Errorf("Plus (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAContainerThatStartsAgainStartsFromZero(t *testing.T) {
	model := mustNew(t, quiet())
	state, _ := mustStep(t, model, application.State{}, 60, ready("a"), time.Second)
	state, flow := mustStep(t, model, state, 0, []application.Pod{{Name: "a", Cores: 0.5}}, time.Second)
	if len(state.Pods) != 0 || flow.Lost.Gone != requests(10) || flow.Replicas != 1 {
		t.Errorf("stopped: pods %v, flow %+v; want no running pod and its 10 queued requests lost", state.Pods, flow)
	}
	state, _ = mustStep(t, model, state, 20, ready("a"), time.Second)
	if pod := state.Pods[0]; pod.Served != requests(20) || pod.Queued != 0 {
		t.Errorf("started again: %+v, want the 20 requests of this step only", pod)
	}
}

func TestStepRejects(t *testing.T) {
	for _, tc := range []struct {
		name string
		load float64
		pods []application.Pod
		wall time.Duration
		want string
	}{
		{"a negative load", -1, nil, time.Second, "load -1 requests per second: allowed is 0 to 1e+07"},
		{"a load that is not a number", math.NaN(), nil, time.Second, "load NaN"},
		{"infinite load", math.Inf(1), nil, time.Second, "load +Inf"},
		{"a step of nothing", 1, nil, 0, "step of 0s wall time: allowed is above 0, to 1h0m0s"},
		{"a step of a day", 1, nil, 24 * time.Hour, "step of 24h0m0s"},
		{"negative CPU", 1, []application.Pod{{Name: "a", Cores: -1}}, time.Second, `pod "a": -1 cores: allowed is 0 to 1024`},
		{"CPU that is not a number", 1, []application.Pod{{Name: "a", Cores: math.NaN()}}, time.Second, `pod "a": NaN cores`},
		{"a pod without a name", 1, []application.Pod{{}}, time.Second, `pod "": its name`},
		{"a pod given twice", 1, ready("b", "a", "b"), time.Second, `pod "b": its name must not be empty nor another pod's`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := mustNew(t, quiet()).Step(application.State{}, tc.load, tc.pods, tc.wall)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

func TestNewRejects(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*application.Params)
		want   string
	}{
		{"time slower than life", func(p *application.Params) { p.Pace = 0.5 }, "pace: 0.5: allowed is 1 to 10000"},
		{"no pace", func(p *application.Params) { p.Pace = application.Pace(math.NaN()) }, "pace: NaN"},
		{"no capacity", func(p *application.Params) { p.Capacity = 0 }, "capacity: 0: allowed is above 0, to 1e+06"},
		{"no limit", func(p *application.Params) { p.CPULimit = 0 }, "cpuLimit: 0: allowed is 0.001 to 1024 cores"},
		{"idle use near the limit", func(p *application.Params) { p.IdleCPU = 0.49 }, "idleCPU: 0.49: allowed is 0 to 0.9 of cpuLimit"},
		{"noise above the use itself", func(p *application.Params) { p.CPUNoise = 1.1 }, "cpuNoise: 1.1: allowed is 0 to 1"},
		{"no service time", func(p *application.Params) { p.ServiceTime = 0 }, "serviceTime: 0s: allowed is 1µs to 1m"},
		{"a queue of an hour", func(p *application.Params) { p.MaxQueueDelay = time.Hour }, "maxQueueDelay: 1h0m0s: allowed is 0s to 10m"},
		{"negative memory", func(p *application.Params) { p.MemoryBytes = -1 }, "memoryBytes: -1"},
		{"negative memory per request", func(p *application.Params) { p.MemoryPerRequestBytes = -1 }, "memoryPerRequestBytes: -1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			params := application.DefaultParams()
			tc.change(&params)
			_, err := application.New(params)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %s", err, tc.want)
			}
		})
	}
}

// drawParams draws any parameters that New accepts, the extremes too.
func drawParams(t *rapid.T) application.Params {
	limit := rapid.Float64Range(0.001, 64).Draw(t, "limit")
	return application.Params{
		Seed:                  rapid.Uint64().Draw(t, "seed"),
		Pace:                  application.Pace(rapid.Float64Range(1, 10_000).Draw(t, "pace")),
		Capacity:              rapid.Float64Range(0.001, 1e6).Draw(t, "capacity"),
		CPULimit:              limit,
		IdleCPU:               limit * rapid.Float64Range(0, 0.9).Draw(t, "idle"),
		CPUNoise:              rapid.Float64Range(0, 1).Draw(t, "noise"),
		ServiceTime:           time.Duration(rapid.Int64Range(int64(time.Microsecond), int64(time.Minute)).Draw(t, "service")),
		MaxQueueDelay:         time.Duration(rapid.Int64Range(0, int64(10*time.Minute)).Draw(t, "queue")),
		MemoryPerRequestBytes: 16 << 20,
	}
}

func drawPods(t *rapid.T) []application.Pod {
	names := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", "g"}), 0, 7, rapid.ID[string]).Draw(t, "names")
	pods := make([]application.Pod, len(names))
	for i, name := range names {
		pods[i] = application.Pod{
			Name:    name,
			Running: rapid.Float64Range(0, 1).Draw(t, "running") < 0.8,
			Ready:   rapid.Float64Range(0, 1).Draw(t, "ready") < 0.7,
			Cores:   rapid.OneOf(rapid.Float64Range(0, 64), rapid.Just(0.0), rapid.Just(1024.0)).Draw(t, "cores"),
		}
	}
	return pods
}

func TestNoRequestAppearsOrDisappears(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := drawParams(t)
		model, err := application.New(params)
		if err != nil {
			t.Fatal(err)
		}
		var state application.State
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			load := rapid.OneOf(rapid.Float64Range(0, 1000), rapid.Float64Range(0, application.MaxLoad)).Draw(t, "load")
			wall := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "wall"))
			pods := drawPods(t)
			next, flow := mustStep(t, model, state, load, pods, wall)

			total := next.Total
			if total.Offered != total.Served+total.Lost.Sum()+next.Queued() {
				t.Fatalf("offered %d, served %d, lost %+v, queued %d", total.Offered, total.Served, total.Lost, next.Queued())
			}
			if state.Queued()+flow.Offered != flow.Served+flow.Lost.Sum()+next.Queued() {
				t.Fatalf("in this step: queued %d, %+v, queued %d", state.Queued(), flow, next.Queued())
			}
			checkPods(t, params, state, next, pods, flow)
			state = next
		}
	})
}

// checkPods checks each pod's bounds, that its counters only grow, and that the pods add up to the flow.
func checkPods(t *rapid.T, params application.Params, state, next application.State, pods []application.Pod, flow application.Flow) {
	var served, lost application.Requests
	least, most := application.Requests(math.MaxInt64), application.Requests(0)
	for _, pod := range next.Pods {
		input := pods[slices.IndexFunc(pods, func(p application.Pod) bool { return p.Name == pod.Name })]
		var before application.PodState
		if i := slices.IndexFunc(state.Pods, func(p application.PodState) bool { return p.Name == pod.Name }); i >= 0 {
			before = state.Pods[i]
		}
		servedNow, lostNow := pod.Served-before.Served, pod.Lost-before.Lost
		if pod.Queued < 0 || servedNow < 0 || lostNow < 0 || pod.CPUSeconds < before.CPUSeconds ||
			pod.Latency.SumSeconds < before.Latency.SumSeconds || pod.MemoryBytes < 0 || pod.InFlight < 0 {
			t.Fatalf("%+v\nafter %+v", pod, before)
		}
		if !(pod.CPUCores >= 0 && pod.CPUCores <= input.Cores) {
			t.Fatalf("%v cores used of %v", pod.CPUCores, input.Cores)
		}
		if longest := params.ServiceTime + params.MaxQueueDelay; pod.MeanLatency > longest+time.Microsecond {
			t.Fatalf("mean latency %v, above %v", pod.MeanLatency, longest)
		}
		checkBuckets(t, before, pod)
		served, lost = served+servedNow, lost+lostNow
		if input.Ready {
			arrived := servedNow + lostNow + pod.Queued - before.Queued
			least, most = min(least, arrived), max(most, arrived)
		}
	}
	if served != flow.Served || lost != flow.Lost.Overflow {
		t.Fatalf("pods served %d and lost %d, flow %+v", served, lost, flow)
	}
	if flow.Served.Float() > flow.Capacity*flow.Wall.Seconds()+state.Queued().Float()+1e-5 {
		t.Fatalf("served more than the ready pods' capacity and the queues: %+v", flow)
	}
	if most-least > 1 && flow.Ready > 0 {
		t.Fatalf("ready pods received between %d and %d millionths of a request", least, most)
	}
}

func checkBuckets(t *rapid.T, before, after application.PodState) {
	below := application.Requests(0)
	for i, count := range after.Latency.Buckets {
		grown := count - before.Latency.Buckets[i]
		if grown < below {
			t.Fatalf("bucket %d grew by %d, the one below it by %d", i, grown, below)
		}
		below = grown
	}
	if below > after.Served-before.Served {
		t.Fatalf("the last bucket grew by %d, served by %d", below, after.Served-before.Served)
	}
}

func TestStepIsAPureFunctionOfASetOfPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		model, err := application.New(drawParams(t))
		if err != nil {
			t.Fatal(err)
		}
		var state application.State
		for range 4 {
			pods := drawPods(t)
			shuffled := rapid.Permutation(pods).Draw(t, "shuffled")
			inputs := func() string { return marshal(t, state) + marshal(t, pods) }
			untouched := inputs()
			next, flow := mustStep(t, model, state, 1234.5, pods, time.Second)
			again, flowAgain := mustStep(t, model, state, 1234.5, shuffled, time.Second)
			if diff := cmp.Diff(next, again) + cmp.Diff(flow.Served, flowAgain.Served); diff != "" {
				t.Fatalf("another order gives another result:\n%s", diff)
			}
			if inputs() != untouched {
				t.Fatal("Step changed its arguments")
			}
			state = next
		}
	})
}

func marshal(t *rapid.T, value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestPaceConvertsBothWays(t *testing.T) {
	pace := application.Pace(60)
	if got := pace.Trace(time.Second); got != time.Minute {
		t.Errorf("a second of wall time is %v of trace time", got)
	}
	if got := pace.Wall(15 * time.Second); got != 250*time.Millisecond {
		t.Errorf("15 s of trace time are %v of wall time", got)
	}
}

func BenchmarkStep(b *testing.B) {
	names := make([]string, 300)
	for i := range names {
		names[i] = fmt.Sprintf("web-7d4b9c5f6d-%05d", i)
	}
	pods := ready(names...)
	model := mustNew(b, application.DefaultParams())
	var state application.State
	var flow application.Flow
	b.ReportAllocs()
	for b.Loop() {
		state, flow = mustStep(b, model, state, 9000, pods, 100*time.Millisecond)
	}
	if flow.Served == 0 {
		b.Fatal("nothing was served")
	}
}
