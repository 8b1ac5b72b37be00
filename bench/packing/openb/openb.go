// Package openb reads node and pod lists with the columns of Alibaba's GPU
// cluster trace of 2023 (openb), and makes of a pod list the arrivals of the FGD
// paper: Weng et al., "Beware of Fragmentation", USENIX ATC 2023.
package openb

import (
	"fmt"
	"io"
	"strings"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/table"
)

// WholeGPU is one GPU in thousandths.
const WholeGPU = 1000

// Node is one line of a node list.
type Node struct {
	Name     string
	CPUMilli int64 // thousandths of a vCPU
	MemMiB   int64
	GPUs     int
	Model    string // of the GPUs; empty without GPUs
}

// Pod is one line of a pod list.
type Pod struct {
	Name     string
	CPUMilli int64 // thousandths of a vCPU
	MemMiB   int64
	GPUs     int   // 0 for none
	GPUMilli int64 // of each GPU, 1 to WholeGPU; below WholeGPU with one GPU only
	// Models are the GPU models that will do, joined by "|"; empty is any.
	Models string
}

// GPUDemand is what the pod asks of all its GPUs, in thousandths.
func (p Pod) GPUDemand() int64 { return int64(p.GPUs) * p.GPUMilli }

// AllowedModels lists the GPU models that will do. Nil is any.
func (p Pod) AllowedModels() []string {
	if p.Models == "" {
		return nil
	}
	return strings.Split(p.Models, "|")
}

// Kind names the pod's kind in reports: cpu, share, or the number of whole GPUs.
func (p Pod) Kind() string {
	switch {
	case p.GPUs == 0:
		return "cpu"
	case p.GPUMilli < WholeGPU:
		return "share"
	default:
		return fmt.Sprint(p.GPUs)
	}
}

// Kinds lists the kinds of pods in the order of reports.
func Kinds() []string { return []string{"share", "1", "2", "4", "8", "cpu"} }

// ReadNodes reads a node list, gzipped if its name ends in .gz. The columns sn,
// cpu_milli, memory_mib, gpu and model may come in any order.
func ReadNodes(file string) ([]Node, error) {
	nodes, err := table.ReadFile(file, parseNode)
	if err == nil && len(nodes) == 0 {
		return nil, fmt.Errorf("read nodes: %s: no node", file)
	}
	return nodes, err
}

// ReadPods reads a pod list, gzipped if its name ends in .gz. The columns name,
// cpu_milli, memory_mib, num_gpu, gpu_milli and gpu_spec (which may be missing) may
// come in any order; others are left alone.
func ReadPods(file string) ([]Pod, error) {
	pods, err := table.ReadFile(file, parsePod)
	if err == nil && len(pods) == 0 {
		return nil, fmt.Errorf("read pods: %s: no pod", file)
	}
	return pods, err
}

// DecodePods reads a pod list from r; file names it in errors.
func DecodePods(r io.Reader, file string) ([]Pod, error) {
	return table.Read(r, file, parsePod)
}

func parseNode(row table.Row) (Node, error) {
	n := Node{
		Name:     row.Text("sn"),
		CPUMilli: row.Int("cpu_milli", 0, 1e9),
		MemMiB:   row.Int("memory_mib", 0, 1e9),
		GPUs:     int(row.Int("gpu", 0, 1024)),
		Model:    row.Text("model"),
	}
	if n.Name == "" {
		row.Fail("sn", "", "must name the node")
	}
	return n, row.Err()
}

func parsePod(row table.Row) (Pod, error) {
	p := Pod{
		Name:     row.Text("name"),
		CPUMilli: row.Int("cpu_milli", 0, 1e9),
		MemMiB:   row.Int("memory_mib", 0, 1e9),
		GPUs:     int(row.Int("num_gpu", 0, 1024)),
		GPUMilli: row.Int("gpu_milli", 0, WholeGPU),
		Models:   row.TextOr("gpu_spec", ""),
	}
	switch {
	case p.Name == "":
		row.Fail("name", "", "must name the pod")
	case p.GPUs > 0 && p.GPUMilli == 0:
		row.Fail("gpu_milli", "0", "must be from 1 to 1000 with num_gpu above 0")
	case p.GPUs > 1 && p.GPUMilli < WholeGPU:
		row.Fail("gpu_milli", fmt.Sprint(p.GPUMilli), "must be 1000 with num_gpu above 1: only one GPU is shared")
	}
	return p, row.Err()
}
