package rivals_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/workloads"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

func keyOf(apiVersion, namespace, name string) workloads.Key {
	return workloads.KeyOf(namespace, v1alpha1.ScaleTargetRef{APIVersion: apiVersion, Kind: "Deployment", Name: name})
}

var (
	web  = keyOf("apps/v1", "shop", "web")
	ours = rivals.Claim{Kind: "WorkloadAutoscaler", Name: "web"}
	twin = rivals.Claim{Kind: "WorkloadAutoscaler", Name: "twin"}
	hpa  = rivals.Claim{Kind: "HorizontalPodAutoscaler", Name: "web"}
	keda = rivals.Claim{Kind: "ScaledObject", Name: "web"}
)

func TestOthers(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(x *rivals.Index)
		want []rivals.Claim
	}{
		"nobody claims it":                     {func(*rivals.Index) {}, nil},
		"one alone has no rival":               {func(x *rivals.Index) { x.Add(web, ours) }, nil},
		"an HPA of the same name is another":   {func(x *rivals.Index) { x.Add(web, ours); x.Add(web, hpa) }, []rivals.Claim{hpa}},
		"who claims nothing itself has rivals": {func(x *rivals.Index) { x.Add(web, hpa) }, []rivals.Claim{hpa}},
		"in the order of kinds and names":      {func(x *rivals.Index) { x.Add(web, twin); x.Add(web, keda); x.Add(web, ours); x.Add(web, hpa) }, []rivals.Claim{hpa, keda, twin}},
		"a claim once more is once":            {func(x *rivals.Index) { x.Add(web, hpa); x.Add(web, hpa) }, []rivals.Claim{hpa}},
		"removed it is gone":                   {func(x *rivals.Index) { x.Add(web, hpa); x.Add(web, keda); x.Remove(web, hpa) }, []rivals.Claim{keda}},
		"removed all, none is left":            {func(x *rivals.Index) { x.Add(web, ours); x.Add(web, hpa); x.Remove(web, hpa) }, nil},
		"a claim that is not there is removed": {func(x *rivals.Index) { x.Remove(web, keda); x.Add(web, hpa); x.Remove(web, keda) }, []rivals.Claim{hpa}},
		"by another version it is the same":    {func(x *rivals.Index) { x.Add(keyOf("apps/v1beta1", "shop", "web"), hpa) }, []rivals.Claim{hpa}},
		"in another namespace it is not":       {func(x *rivals.Index) { x.Add(keyOf("apps/v1", "bank", "web"), hpa) }, nil},
		"of another name it is not":            {func(x *rivals.Index) { x.Add(keyOf("apps/v1", "shop", "other"), hpa) }, nil},
		"of another group it is not":           {func(x *rivals.Index) { x.Add(keyOf("example.com/v1", "shop", "web"), hpa) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			x := rivals.NewIndex()
			c.do(x)
			if diff := cmp.Diff(c.want, x.Others(web, ours)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAListThatAReaderHoldsDoesNotChange(t *testing.T) {
	x := rivals.NewIndex()
	x.Add(web, hpa)
	held := x.Others(web, ours)
	x.Add(web, keda)
	x.Remove(web, hpa)
	if diff := cmp.Diff([]rivals.Claim{hpa}, held); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestReadersAndWritersAtOnce is for the race detector.
func TestReadersAndWritersAtOnce(t *testing.T) {
	x := rivals.NewIndex()
	var all sync.WaitGroup
	for i := range 4 {
		claim := rivals.Claim{Kind: "WorkloadAutoscaler", Name: fmt.Sprint(i)}
		all.Go(func() {
			for range 200 {
				x.Add(web, claim)
				x.Others(web, claim)
				x.Remove(web, claim)
			}
			x.Add(web, claim)
		})
	}
	all.Wait()
	if got := x.Others(web, ours); len(got) != 4 {
		t.Errorf("%v, want four claims", got)
	}
}
