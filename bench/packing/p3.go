package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/azure"
)

// LifetimeAnnotation is how long a pod will live, in seconds from its arrival.
// Only a policy that is told the future reads it.
const LifetimeAnnotation = "sim.plimsoll.dev/lifetime-seconds"

const (
	zones = 3
	// zonedBatch is the least number of live members at which a batch counts for
	// the share of its fullest zone.
	zonedBatch = 4
)

// churn is one run of P3: machines come and go, and what is paid for is nodes that
// hold one.
type churn struct {
	*replay
	cluster cluster
	vms     []azure.VM
	rng     *rand.Rand
	ledger  *ledger

	pods    map[int]*v1.Pod // those on nodes, by index of the machine
	where   map[int]string  // their nodes
	nodes   map[string]*hosted
	opened  int
	batches map[int64]*batch
	refused int
	shares  float64
	shared  int // arrivals of which shares is the sum
}

// hosted is a node and what it holds.
type hosted struct {
	zone, shape, pods int
}

// batch is what is known of machines asked for together.
type batch struct {
	size, live int
	owned      bool // its controller is there
	zones      [zones]int
}

func runP3(ctx context.Context, c cluster, vms []azure.VM, p policy, seed int64, progress *progress) (outcome, error) {
	r, err := newReplay(ctx, p, inputs{protocol: "p3", seed: seed}, progress)
	if err != nil {
		return outcome{}, err
	}
	events := azure.Events(vms)
	progress.expect(len(vms))
	run := &churn{
		replay: r, cluster: c, vms: vms,
		rng:    rand.New(rand.NewPCG(uint64(seed), 3)), // Chance is to repeat itself.
		ledger: newLedger(c, events),
		pods:   map[int]*v1.Pod{}, where: map[int]string{}, nodes: map[string]*hosted{}, batches: map[int64]*batch{},
	}
	if err := run.prepare(); err != nil {
		return outcome{}, err
	}
	began := time.Now()
	for _, e := range events {
		if err := ctx.Err(); err != nil {
			return outcome{}, err
		}
		run.ledger.advance(e.At)
		run.AdvanceTo(start().Add(time.Duration(e.At-vms[0].Arrival) * time.Second))
		if e.Departs {
			err = run.depart(e.VM)
		} else {
			err = run.arrive(e.VM)
		}
		if err != nil {
			return outcome{}, err
		}
	}
	return run.outcome(began), nil
}

// prepare counts the batches, adds their controllers, and lets the nodes that
// stand join. The controllers are there from the start: policies look up those of
// pods they have seen, by name, and each one added voids what the simulator keeps.
func (r *churn) prepare() error {
	for _, vm := range r.vms {
		b := r.batches[vm.Batch]
		if b == nil {
			b = &batch{}
			r.batches[vm.Batch] = b
		}
		b.size++
	}
	for _, vm := range r.vms {
		if b := r.batches[vm.Batch]; !b.owned {
			b.owned = true
			if err := r.AddObject(replicaSet(vm.Batch, b.size)); err != nil {
				return err
			}
		}
	}
	var shapes []int
	for shape, count := range r.cluster.counts {
		for range count {
			shapes = append(shapes, shape)
		}
	}
	for i, place := range r.rng.Perm(len(shapes)) {
		if err := r.join(fmt.Sprintf("node-%05d", place), i, shapes[i]); err != nil {
			return err
		}
	}
	return nil
}

// join lets a node join. Names are drawn by the seed, so that ties that are broken
// by name differ between seeds.
func (r *churn) join(name string, index, shape int) error {
	s := r.cluster.shapes[shape]
	has := v1.ResourceList{
		v1.ResourceCPU:    *resource.NewMilliQuantity(int64(s.VCPU*1000), resource.DecimalSI),
		v1.ResourceMemory: *resource.NewQuantity(int64(s.MemGB*(1<<30)), resource.BinarySI),
		v1.ResourcePods:   *resource.NewQuantity(1000, resource.DecimalSI),
	}
	r.nodes[name] = &hosted{zone: index % zones, shape: shape}
	return r.AddNode(&v1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(r.Clock().Now()),
			Labels: map[string]string{
				v1.LabelHostname:     name,
				v1.LabelTopologyZone: fmt.Sprintf("zone-%d", index%zones),
			},
		},
		Status: v1.NodeStatus{Capacity: has, Allocatable: has},
	})
}

func (r *churn) arrive(i int) error {
	vm := r.vms[i]
	r.ledger.demand(vm.VCPU, vm.MemGB)
	pod := machinePod(vm, r.scheduler)
	node, err := r.place(pod)
	if err != nil {
		return err
	}
	if node == "" && r.cluster.isAutoscaled() {
		if node, err = r.open(pod); err != nil {
			return err
		}
	}
	if node == "" {
		r.refused++
		r.Delete(pod)
		return nil
	}
	r.settle(i, pod, node)
	return nil
}

// open lets a node join for a pod that fits none, and places it there.
func (r *churn) open(pod *v1.Pod) (string, error) {
	name := fmt.Sprintf("node-%08x-%05d", r.rng.Uint32(), r.opened)
	if err := r.join(name, r.opened, 0); err != nil {
		return "", err
	}
	r.opened++
	result, err := r.Schedule(pod)
	if err != nil {
		return "", err
	}
	if result.Node == "" { // larger than a node
		return "", r.release(name)
	}
	return result.Node, nil
}

// settle books a pod that was placed.
func (r *churn) settle(i int, pod *v1.Pod, node string) {
	n, b := r.nodes[node], r.batches[r.vms[i].Batch]
	if n.pods == 0 {
		r.ledger.use(r.cluster.shapes[n.shape].Price)
	}
	n.pods++
	r.pods[i], r.where[i] = pod, node
	b.live++
	b.zones[n.zone]++
	if b.live >= zonedBatch {
		r.shares += float64(max(b.zones[0], b.zones[1], b.zones[2])) / float64(b.live)
		r.shared++
	}
}

func (r *churn) depart(i int) error {
	vm := r.vms[i]
	r.ledger.demand(-vm.VCPU, -vm.MemGB)
	pod, name := r.pods[i], r.where[i]
	if pod == nil {
		return nil // it was refused
	}
	delete(r.pods, i)
	delete(r.where, i)
	r.Delete(pod)
	n, b := r.nodes[name], r.batches[vm.Batch]
	b.live--
	b.zones[n.zone]--
	n.pods--
	if n.pods > 0 {
		return nil
	}
	r.ledger.use(-r.cluster.shapes[n.shape].Price)
	if r.cluster.isAutoscaled() {
		return r.release(name)
	}
	return nil
}

func (r *churn) release(name string) error {
	delete(r.nodes, name)
	return r.RemoveNode(name)
}

func (r *churn) outcome(began time.Time) outcome {
	measures := r.ledger.measures()
	if r.shared > 0 {
		measures = append(measures, measure{"zone_share", r.shares / float64(r.shared), "share"})
	}
	return outcome{measures: append(measures,
		measure{"refused", float64(r.refused), "pods"},
		measure{"opened", float64(r.opened), "nodes"},
		r.speed(began))}
}

// replicaSet stands for the batch: its pods' controller, with their number.
func replicaSet(number int64, size int) *appsv1.ReplicaSet {
	name := batchName(number)
	labels := map[string]string{"app": name}
	return &appsv1.ReplicaSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, UID: types.UID(name), Labels: labels},
		Spec: appsv1.ReplicaSetSpec{
			Replicas: ptr.To(int32(size)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: v1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}},
		},
	}
}

func batchName(number int64) string { return "batch-" + strconv.FormatInt(number, 10) }

func machinePod(vm azure.VM, scheduler string) *v1.Pod {
	owner, name := batchName(vm.Batch), "vm-"+vm.ID
	return &v1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: metav1.NamespaceDefault, UID: types.UID(name),
			Labels:      map[string]string{"app": owner},
			Annotations: map[string]string{LifetimeAnnotation: strconv.FormatInt(vm.Lifetime, 10)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "ReplicaSet", Name: owner, UID: types.UID(owner), Controller: ptr.To(true),
			}},
		},
		Spec: v1.PodSpec{
			SchedulerName: scheduler,
			Containers: []v1.Container{{
				Name: "main",
				Resources: v1.ResourceRequirements{Requests: v1.ResourceList{
					v1.ResourceCPU:    *resource.NewMilliQuantity(int64(vm.VCPU*1000), resource.DecimalSI),
					v1.ResourceMemory: *resource.NewQuantity(int64(vm.MemGB*(1<<30)), resource.BinarySI),
				}},
			}},
		},
	}
}
