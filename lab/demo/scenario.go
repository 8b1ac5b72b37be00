package demo

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/plimsoll-k8s/plimsoll/lab/application"
	"github.com/plimsoll-k8s/plimsoll/lab/nodes"
	"github.com/plimsoll-k8s/plimsoll/lab/trace"
	"github.com/plimsoll-k8s/plimsoll/lab/traffic"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Namespace of the demo's workloads.
const Namespace = "demo"

// Bounds of the autoscaled Deployments.
const (
	minReplicas = 2
	maxReplicas = 60
)

// Targets of the autoscalers: a replica at 60 % of what it can do.
const targetUtilization = 60

// peakReplicas is how many replicas at 100 % the trace's peak needs (protocol A1 of the
// autoscaling benchmark).
const peakReplicas = 30

// How a pod starts and ends, trace time.
var startup = nodes.StartupDelay{Median: 20 * time.Second, P99: 60 * time.Second}

const shutdown = 5 * time.Second

// workload is one Deployment of the demo.
type workload struct {
	name        string
	replicas    int32
	cpu, memory string  // requests; the CPU limit is the request
	cores       float64 // cpu as a number
	// share of the trace's load that an autoscaled workload gets; 0: steady at half its capacity.
	share float64
	// metric that drives an autoscaled workload.
	metric driver
}

type driver string

const (
	byPrometheus driver = "Prometheus"
	byCPU        driver = "CPU"
)

// requestsPerCore is what a core serves, requests per second.
const requestsPerCore = 100

// workloads: two that follow the load, one by a PromQL query and one by CPU, and ten steady ones
// of shapes that leave different gaps on a node.
var workloads = []workload{
	{name: "shop", replicas: 4, cpu: "500m", memory: "512Mi", cores: 0.5, share: 1, metric: byPrometheus},
	{name: "search", replicas: 4, cpu: "500m", memory: "1Gi", cores: 0.5, share: 0.7, metric: byCPU},
	{name: "gateway", replicas: 6, cpu: "1", memory: "1Gi", cores: 1},
	{name: "accounts", replicas: 4, cpu: "250m", memory: "256Mi", cores: 0.25},
	{name: "cart", replicas: 5, cpu: "500m", memory: "1Gi", cores: 0.5},
	{name: "catalog", replicas: 4, cpu: "1", memory: "2Gi", cores: 1},
	{name: "payments", replicas: 3, cpu: "500m", memory: "512Mi", cores: 0.5},
	{name: "stock", replicas: 3, cpu: "2", memory: "4Gi", cores: 2},
	{name: "cache", replicas: 3, cpu: "500m", memory: "12Gi", cores: 0.5},
	{name: "reports", replicas: 4, cpu: "3", memory: "4Gi", cores: 3},
	{name: "advice", replicas: 3, cpu: "4", memory: "16Gi", cores: 4},
	{name: "logs", replicas: 6, cpu: "250m", memory: "2Gi", cores: 0.25},
}

// pools: 40 nodes of three shapes over three zones.
func pools() []nodes.Pool {
	zones := []string{"lab-a", "lab-b", "lab-c"}
	return []nodes.Pool{
		{Name: "general", Count: 24, Zones: zones, RacksPerZone: 4, CPU: "8", Memory: "32Gi"},
		{Name: "compute", Count: 8, Zones: zones, RacksPerZone: 2, CPU: "16", Memory: "32Gi"},
		{Name: "memory", Count: 8, Zones: zones, RacksPerZone: 2, CPU: "8", Memory: "64Gi"},
	}
}

func (w workload) autoscaled() bool { return w.metric != "" }

// capacity of one replica in requests per second.
func (w workload) capacity() float64 { return w.cores * requestsPerCore }

// app is the workload as the traffic driver sees it. trace gives the load of a share of 1.
func (w workload) app(seed uint64, trace func(time.Duration) float64) traffic.App {
	params := application.DefaultParams()
	params.Seed = seed
	params.Capacity = w.capacity()
	params.CPULimit = w.cores
	params.IdleCPU = 0.02 * w.cores
	load := func(elapsed time.Duration) float64 { return w.share * trace(elapsed) }
	if !w.autoscaled() {
		steady := 0.5 * w.capacity() * float64(w.replicas)
		load = func(time.Duration) float64 { return steady }
	}
	return traffic.App{Namespace: Namespace, Name: w.name, Params: params, Load: load}
}

// deployment is the workload as a user would write it.
func (w workload) deployment(schedulerName string) *appsv1.Deployment {
	labels := map[string]string{traffic.AppLabel: w.name}
	annotations := map[string]string{}
	if w.metric == byPrometheus {
		annotations[traffic.ScrapeAnnotation] = "true"
	}
	requests := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(w.cpu), corev1.ResourceMemory: resource.MustParse(w.memory)}
	replicas := w.replicas
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: w.name, Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations},
				Spec: corev1.PodSpec{
					SchedulerName: schedulerName,
					Containers: []corev1.Container{{
						Name: "app", Image: "registry.example/" + w.name + ":1",
						Resources: corev1.ResourceRequirements{Requests: requests, Limits: requests},
					}},
				},
			},
		},
	}
}

// workloadAutoscaler is our autoscaler's object: CPU, and for a Prometheus-driven workload the
// request rate too; the larger proposal wins. Its behaviour is the controller's default, as for
// the stock autoscaler. window is the length of the query's rate in wall time.
func (w workload) workloadAutoscaler(window time.Duration) *v1alpha1.WorkloadAutoscaler {
	least, utilization := int32(minReplicas), int32(targetUtilization)
	metrics := []v1alpha1.MetricSpec{{
		Type: v1alpha1.ResourceMetricSourceType,
		Resource: &autoscalingv2.ResourceMetricSource{
			Name:   corev1.ResourceCPU,
			Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &utilization},
		},
	}}
	if w.metric == byPrometheus {
		perReplica := resource.NewMilliQuantity(int64(w.capacity()*targetUtilization*10), resource.DecimalSI)
		metrics = append(metrics, v1alpha1.MetricSpec{
			Type: v1alpha1.PrometheusMetricSourceType,
			Prometheus: &v1alpha1.PrometheusMetricSource{
				Name:   "requests-per-second",
				Query:  fmt.Sprintf(`sum(rate(http_requests_total{namespace=%q,app=%q}[%dms]))`, Namespace, w.name, window.Milliseconds()),
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: perReplica},
			},
		})
	}
	return &v1alpha1.WorkloadAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: w.name},
		Spec: v1alpha1.WorkloadAutoscalerSpec{
			ScaleTargetRef: v1alpha1.ScaleTargetRef{APIVersion: "apps/v1", Kind: "Deployment", Name: w.name},
			MinReplicas:    &least, MaxReplicas: maxReplicas,
			Metrics: metrics,
		},
	}
}

// horizontalPodAutoscaler is the stock autoscaler's object. Without an adapter it cannot read
// Prometheus, so CPU drives both workloads; its behaviour is the controller's default.
func (w workload) horizontalPodAutoscaler() *autoscalingv2.HorizontalPodAutoscaler {
	least, utilization := int32(minReplicas), int32(targetUtilization)
	return &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: Namespace, Name: w.name},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: w.name},
			MinReplicas:    &least, MaxReplicas: maxReplicas,
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name:   corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &utilization},
				},
			}},
		},
	}
}

// ScaleLoad scales a trace so that its peak needs 30 replicas of the shop at full capacity.
func ScaleLoad(t trace.Trace) (trace.Trace, error) {
	return t.Scale(peakReplicas * workloads[0].capacity())
}
