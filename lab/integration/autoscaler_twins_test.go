package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/app"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/shadow"
)

// twinLength is how long the twins' load takes, trace time: 50 s at the lab's pace.
const twinLength = 25 * time.Minute

// twinLoad is a morning, a noon that sways, a rush and an evening, in requests per second. A pod at the target takes 29.
func twinLoad(elapsed time.Duration) float64 {
	minute := elapsed.Minutes()
	switch {
	case minute < 2:
		return 60
	case minute < 6:
		return 60 + 30*(minute-2)
	case minute < 10:
		return 180 + 25*math.Sin((minute-6)*math.Pi/2)
	case minute < 12:
		return 260
	case minute < 15:
		return 260 - 55*(minute-12)
	}
	return 95
}

// eyes is what the recorder and a busy machine add to a moment.
const eyes = 150 * time.Millisecond

// twinSpecs are the same for both autoscalers, word for word. Their times are wall time.
func twinSpecs() map[string]string {
	const metrics = `
  metrics:
  - {type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}`
	return map[string]string{
		"plain": metrics,
		"rates": metrics + `
  behavior:
    scaleUp:
      stabilizationWindowSeconds: 0
      tolerance: "0.05"
      policies:
      - {type: Pods, value: 2, periodSeconds: 4}
      - {type: Percent, value: 50, periodSeconds: 4}
    scaleDown:
      stabilizationWindowSeconds: 5
      tolerance: "0.2"
      policies:
      - {type: Percent, value: 25, periodSeconds: 3}`,
	}
}

// testTwins lets the HorizontalPodAutoscaler controller and ours each scale a Deployment under the same load with the same spec. Their
// replicas agree within one sync period and one replica at every moment, but for the shift of the two loops, of up to a period: each
// begins its periods when it likes, and the HorizontalPodAutoscaler's are a little longer than ours, since it counts them from the end of
// one sync to the beginning of the next.
func testTwins(t *testing.T, c *scalerLab) {
	const namespace = "twins"
	c.namespace(t, namespace)
	for pair, spec := range twinSpecs() {
		for twin, kind := range map[string]string{
			pair + "-hpa":  "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler",
			pair + "-ours": "apiVersion: autoscaling.plimsoll.dev/v1alpha1\nkind: WorkloadAutoscaler",
		} {
			c.deployment(t, namespace, twin, 2)
			c.create(t, fmt.Sprintf("%s\nmetadata: {namespace: twins, name: %[2]s}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %[2]s}\n  minReplicas: 2\n  maxReplicas: 12%[3]s\n", kind, twin, spec))
		}
	}
	for pair := range twinSpecs() {
		c.eventuallyCondition(t, namespace, pair+"-ours", "ScalingActive", metav1.ConditionTrue, "ValidMetricFound")
		eventually(t, pair+"-hpa is active", func(ctx context.Context) (bool, string, error) {
			hpa, err := c.Client.AutoscalingV2().HorizontalPodAutoscalers(namespace).Get(ctx, pair+"-hpa", metav1.GetOptions{})
			if err != nil {
				return false, "", err
			}
			active := slices.ContainsFunc(hpa.Status.Conditions, func(c autoscalingv2.HorizontalPodAutoscalerCondition) bool {
				return c.Type == autoscalingv2.ScalingActive && c.Status == "True"
			})
			return active, fmt.Sprintf("%+v", hpa.Status), nil
		})
	}

	curves := c.record(t, namespace, c.Pace.Wall(twinLength), func() { c.Traffic.Begin(twinLength) })
	for pair := range twinSpecs() {
		theirs, ours := curves[pair+"-hpa"], curves[pair+"-ours"]
		if low, high := theirs.bounds(); low > 4 || high < 7 || len(theirs) < 4 {
			t.Errorf("%s: the HorizontalPodAutoscaler went from %d to %d replicas in %d steps: that proves nothing", pair, low, high, len(theirs))
		}
		const agreed = 1 // replica
		needed := time.Duration(0)
		for needed < time.Minute && max(theirs.apart(ours, needed), ours.apart(theirs, needed)) > agreed {
			needed += 10 * time.Millisecond
		}
		t.Logf("%s: at most %d replica apart within %v, a period is %v\ntheirs %v\nours   %v", pair, agreed, needed, scalerPeriod(), theirs, ours)
		if most := 2*scalerPeriod() + eyes; needed > most {
			t.Errorf("%s: the replicas agree within %v, want %v: a period, and another by which the two loops are shifted", pair, needed, most)
		}
	}
}

// curve is what a Deployment asks for, as steps in the order of time.
type curve []step

type step struct {
	at       time.Duration
	replicas int32
}

func (s step) String() string { return fmt.Sprintf("%.2fs:%d", s.at.Seconds(), s.replicas) }

func (c curve) bounds() (low, high int32) {
	low = math.MaxInt32
	for _, s := range c {
		low, high = min(low, s.replicas), max(high, s.replicas)
	}
	return low, high
}

// within are the least and the most replicas from a time to another, both included.
func (c curve) within(from, to time.Duration) (low, high int32) {
	low = math.MaxInt32
	for i, s := range c {
		ends := i+1 < len(c) && c[i+1].at <= from
		if !ends && (s.at <= to || i == 0) {
			low, high = min(low, s.replicas), max(high, s.replicas)
		}
	}
	return low, high
}

// apart is how far the curve is from what the other has within a shift, at its worst.
func (c curve) apart(other curve, shift time.Duration) int32 {
	var worst int32
	for i, s := range c {
		until := s.at
		if i+1 < len(c) {
			until = c[i+1].at
		} else if len(other) > 0 {
			until = max(until, other[len(other)-1].at)
		}
		for at := s.at; ; at += 10 * time.Millisecond {
			low, high := other.within(at-shift, at+shift)
			worst = max(worst, low-s.replicas, s.replicas-high)
			if at+10*time.Millisecond >= until {
				break
			}
		}
	}
	return worst
}

// record watches the Deployments of a namespace for so long from begin on.
func (c *scalerLab) record(t *testing.T, namespace string, length time.Duration, begin func()) map[string]curve {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	list, err := c.Client.AppsV1().Deployments(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	curves := map[string]curve{}
	for i := range list.Items {
		curves[list.Items[i].Name] = curve{{0, *list.Items[i].Spec.Replicas}}
	}
	begin()
	start := time.Now()
	var watching sync.WaitGroup
	var mu sync.Mutex
	for name := range curves {
		watching.Go(func() {
			for ctx.Err() == nil {
				d, err := c.Client.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
				if err == nil {
					mu.Lock()
					if known := curves[name]; known[len(known)-1].replicas != *d.Spec.Replicas {
						curves[name] = append(known, step{time.Since(start), *d.Spec.Replicas})
					}
					mu.Unlock()
				}
				select {
				case <-ctx.Done():
				case <-time.After(25 * time.Millisecond):
				}
			}
		})
	}
	watching.Wait()
	return curves
}

func TestCurvesAreCompared(t *testing.T) {
	one := curve{{0, 2}, {10 * time.Second, 4}, {20 * time.Second, 8}}
	for name, c := range map[string]struct {
		other curve
		want  int32
	}{
		"the same":                     {one, 0},
		"shifted by less than allowed": {curve{{0, 2}, {10500 * time.Millisecond, 4}, {19600 * time.Millisecond, 8}}, 0},
		"shifted by more":              {curve{{0, 2}, {10 * time.Second, 4}, {21200 * time.Millisecond, 8}}, 4},
		"one more":                     {curve{{0, 3}, {10 * time.Second, 5}, {20 * time.Second, 9}}, 1},
		"a peak that the first lacks":  {curve{{0, 2}, {5 * time.Second, 7}, {5200 * time.Millisecond, 2}, {10 * time.Second, 4}, {20 * time.Second, 8}}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			if got := max(one.apart(c.other, time.Second), c.other.apart(one, time.Second)); got != c.want {
				t.Errorf("%d apart, want %d", got, c.want)
			}
		})
	}
}

// testShadow runs ours beside the HorizontalPodAutoscaler controller as a ServiceAccount of its own: it shows both numbers and writes
// nothing at all.
func testShadow(t *testing.T, c *scalerLab) {
	const namespace = "twins"
	c.namespace(t, namespace)
	c.create(t, `
apiVersion: v1
kind: ServiceAccount
metadata: {namespace: plimsoll-system, name: plimsoll-shadow}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: plimsoll-shadow}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: plimsoll-autoscaler}
subjects:
- {kind: ServiceAccount, namespace: plimsoll-system, name: plimsoll-shadow}
`)
	address := freeAddress(t)
	p := c.startOurs(t, shadowAccount, func(o *app.Options) {
		o.Shadow, o.LeaderElect, o.MetricsBindAddress = true, false, address
	})
	defer p.stop(t)
	c.deployment(t, namespace, "shadowed", 2)
	c.create(t, "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {namespace: twins, name: shadowed}\nspec:\n"+
		"  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shadowed}\n  minReplicas: 2\n  maxReplicas: 12"+twinSpecs()["plain"])

	agreed, seen := 0, map[int32]bool{}
	c.Traffic.Begin(twinLength)
	for end := time.Now().Add(c.Pace.Wall(twinLength * 2 / 3)); time.Now().Before(end); time.Sleep(scalerPeriod()) {
		row, found := readShadow(t, address, namespace, "shadowed")
		if !found || row.Desired == nil {
			continue
		}
		if row.Differs != (*row.Desired != row.HPADesired) {
			t.Errorf("the row says differs %v of %d and %d", row.Differs, *row.Desired, row.HPADesired)
		}
		if !row.Differs {
			agreed, seen[row.HPADesired] = agreed+1, true
		}
	}
	if agreed < 10 || len(seen) < 3 {
		row, _ := readShadow(t, address, namespace, "shadowed")
		t.Errorf("both numbers were the same %d times, at %d levels, want 10 and 3 at least; the row is %+v", agreed, len(seen), row)
	}
	if row, _ := readShadow(t, address, namespace, "shadowed"); row.Target != "Deployment/shadowed" || row.Problem != "" || len(row.Metrics) != 1 || row.Decision == nil {
		t.Errorf("the row is %+v, want the target, the metric, the decision and no problem", row)
	}
	t.Logf("both numbers were the same %d times at %d levels", agreed, len(seen))
	for _, r := range c.requests(t, shadowAccount) {
		if !slices.Contains([]string{"get", "list", "watch"}, r.Verb) || r.ResponseStatus.Code == http.StatusForbidden {
			t.Errorf("shadow mode asked for more than it may: %s", r)
		}
	}
}

// readShadow asks the running autoscaler for its table.
func readShadow(t *testing.T, address, namespace, name string) (shadow.Row, bool) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/shadow", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(req)
	if err != nil {
		return shadow.Row{}, false // not there yet
	}
	defer response.Body.Close()
	var rows []shadow.Row
	if err := json.NewDecoder(response.Body).Decode(&rows); err != nil {
		t.Fatalf("/shadow: %v", err)
	}
	i := slices.IndexFunc(rows, func(r shadow.Row) bool { return r.Namespace == namespace && r.Name == name })
	if i < 0 {
		return shadow.Row{}, false
	}
	return rows[i], true
}

// freeAddress is an address on loopback that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strings.Replace(listener.Addr().String(), "[::1]", "127.0.0.1", 1)
}
