package devicedriver_test

import (
	"slices"
	"strings"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	frameworkruntime "k8s.io/kubernetes/pkg/scheduler/framework/runtime"

	"github.com/plimsoll-k8s/plimsoll/pkg/devices"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim"
	"github.com/plimsoll-k8s/plimsoll/pkg/sim/devicedriver"
)

const profile = `
apiVersion: kubescheduler.config.k8s.io/v1
kind: KubeSchedulerConfiguration
profiles:
- schedulerName: test
  plugins:
    multiPoint:
      disabled: [{name: "*"}]
      enabled: [{name: PrioritySort}, {name: DefaultBinder}, {name: NodeResourcesFit}, {name: SimDeviceDriver}]
`

// world is a simulator with a driver and one node, called node.
type world struct {
	*testing.T
	simulator *sim.Simulator
	driver    *devicedriver.Driver
	pods      map[string]*v1.Pod
}

func newWorld(t *testing.T, choose devicedriver.Choice, nodeHas string) *world {
	t.Helper()
	driver := devicedriver.New(choose)
	loaded, err := sim.LoadProfile([]byte(profile))
	if err != nil {
		t.Fatal(err)
	}
	simulator, err := sim.New(t.Context(), sim.Config{
		Profile: loaded, Plugins: frameworkruntime.Registry{devicedriver.Name: driver.Factory},
	})
	if err != nil {
		t.Fatal(err)
	}
	has := v1.ResourceList{v1.ResourcePods: resource.MustParse("100"), v1.ResourceCPU: resource.MustParse("100")}
	err = simulator.AddNode(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node", Annotations: map[string]string{devicedriver.Annotation: nodeHas}},
		Status:     v1.NodeStatus{Allocatable: has, Capacity: has},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, simulator: simulator, driver: driver, pods: map[string]*v1.Pod{}}
}

func pod(name, asks string) *v1.Pod {
	p := &v1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID(name)}}
	if asks != "" {
		p.Annotations = map[string]string{devicedriver.Annotation: asks}
	}
	return p
}

// place schedules a pod and returns why it is pending, empty if it was placed.
func (w *world) place(name, asks string) string {
	w.Helper()
	w.pods[name] = pod(name, asks)
	result, err := w.simulator.Schedule(w.pods[name])
	if err != nil {
		w.Fatal(err)
	}
	return result.Why()
}

func (w *world) wantFree(want ...int64) {
	w.Helper()
	if got := w.driver.State("node").Free; !slices.Equal(got, want) {
		w.Errorf("%v are free, want %v", got, want)
	}
}

func TestDevicesAreHandedOutAndComeBack(t *testing.T) {
	w := newWorld(t, devicedriver.Tightest, `{"class":"gpu","count":3}`)
	w.wantFree(1000, 1000, 1000)
	w.place("share", `{"class":"gpu","count":1,"milli":300}`)
	w.wantFree(700, 1000, 1000)
	w.place("two", `{"class":"gpu","count":2}`)
	w.wantFree(700, 0, 0)
	if why := w.place("whole", `{"class":"gpu","count":1}`); why != "1 too few free devices" {
		t.Errorf("a pod for which no device is left: %q", why)
	}
	before := w.driver.State("node")
	w.simulator.Delete(w.pods["two"])
	w.wantFree(700, 1000, 1000)
	if before.Version == w.driver.State("node").Version {
		t.Error("what is free changed, its version did not")
	}
	if !slices.Equal(before.Free, []int64{700, 0, 0}) {
		t.Errorf("a state handed out has become %v", before.Free)
	}
	w.simulator.Delete(w.pods["whole"]) // it held nothing
	w.wantFree(700, 1000, 1000)
}

func TestPodsWithoutDevicesPass(t *testing.T) {
	w := newWorld(t, devicedriver.Tightest, "")
	if why := w.place("plain", ""); why != "" {
		t.Errorf("a pod that asks for no device: %s", why)
	}
	if why := w.place("device", `{"class":"gpu","count":1}`); why == "" {
		t.Error("a pod that asks for a device is on a node without")
	}
}

func TestClassesAreToldApart(t *testing.T) {
	w := newWorld(t, devicedriver.Tightest, `{"class":"gpu","count":1}`)
	if why := w.place("nic", `{"class":"nic","count":1}`); why == "" {
		t.Error("a pod that asks for a nic is on a node that has gpus")
	}
}

func TestShares(t *testing.T) {
	for name, c := range map[string]struct {
		choose devicedriver.Choice
		want   []int64 // after shares of 700, 800, and 200
	}{
		"tightest": {devicedriver.Tightest, []int64{300, 0, 1000}},
		"first":    {devicedriver.First, []int64{100, 200, 1000}},
		"a choice of one's own": {
			func(_ string, _ *v1.Pod, free []int64) int { return slices.Index(free, slices.Max(free)) },
			[]int64{300, 200, 800},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.choose, `{"class":"gpu","count":3}`)
			w.place("a", `{"class":"gpu","count":1,"milli":700}`)
			w.place("b", `{"class":"gpu","count":1,"milli":800}`)
			w.place("c", `{"class":"gpu","count":1,"milli":200}`)
			w.wantFree(c.want...)
		})
	}
}

func TestAChoiceThatDoesNotFitIsAnError(t *testing.T) {
	w := newWorld(t, func(string, *v1.Pod, []int64) int { return 5 }, `{"class":"gpu","count":1}`)
	_, err := w.simulator.Schedule(pod("a", `{"class":"gpu","count":1,"milli":500}`))
	if err == nil || !strings.Contains(err.Error(), "device 5 chosen for 500 thousandths, of [1000] free") {
		t.Errorf("error is %v", err)
	}
	w.wantFree(1000)
}

func TestWrongAnnotationsAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ asks, want string }{
		"no JSON":           {"x", "invalid character"},
		"too many":          {`{"count":1025}`, "count: 1025: must be from 0 to 1024"},
		"negative":          {`{"count":-1}`, "count: -1: must be from 0 to 1024"},
		"more than whole":   {`{"count":1,"milli":1001}`, "milli: 1001: must be from 1 to 1000"},
		"shares of several": {`{"count":2,"milli":500}`, "milli: 500: must be 1000 with a count above 1"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, devicedriver.Tightest, `{"class":"gpu","count":4}`)
			if why := w.place("a", c.asks); !strings.Contains(why, devicedriver.Annotation) || !strings.Contains(why, c.want) {
				t.Errorf("the pod is pending because of %q, want it to contain %s", why, c.want)
			}
			if got := w.driver.Request(w.pods["a"]); got != (devices.Request{}) {
				t.Errorf("it asks for %+v, want nothing", got)
			}
		})
	}
}

func TestANodeThatLeavesTakesItsDevicesAlong(t *testing.T) {
	w := newWorld(t, devicedriver.Tightest, `{"class":"gpu","count":1}`)
	w.place("a", `{"class":"gpu","count":1}`)
	if err := w.simulator.RemoveNode("node"); err != nil {
		t.Fatal(err)
	}
	w.wantFree()
	w.simulator.Delete(w.pods["a"])
	w.wantFree()
}
