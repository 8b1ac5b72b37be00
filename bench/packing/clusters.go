package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/azure"
)

// cluster is what nodes P3 has.
type cluster struct {
	name   string
	shapes []azure.Shape
	counts []int // of nodes that stand, by shape; nil: nodes of the one shape come as needed
}

// Prices of P3's clusters of several shapes, for an hour.
const (
	priceOfVCPU = 0.04
	priceOfGB   = 0.005
)

// namedClusters are P3's clusters by name.
func namedClusters() map[string]string {
	return map[string]string{
		"n64":      "64x192",
		"n16":      "16x112",
		"fixed920": "920*64x192",
		"mixed":    "400*16x112+500*32x64+350*64x192+200*96x384",
	}
}

// parseCluster reads a cluster: a name, vCPUxGB for nodes that come as needed, or
// count*vCPUxGB, several with plus, for nodes that stand.
func parseCluster(text string) (cluster, error) {
	c := cluster{name: strings.NewReplacer(".", "_", "*", "of", "+", "-").Replace(text)}
	definition, named := namedClusters()[text]
	if !named {
		definition = text
	}
	part := regexp.MustCompile(`^(?:([0-9]{1,6})\*)?([0-9]{1,6})x([0-9]{1,6})$`)
	parts := strings.Split(definition, "+")
	for _, p := range parts {
		match := part.FindStringSubmatch(p)
		if match == nil || (match[1] == "") != (len(parts) == 1 && !strings.Contains(p, "*")) {
			return c, fmt.Errorf("-clusters: %q: must be n64, n16, fixed920, mixed, vCPUxGB such as 64x192, or counts of such with plus such as 400*16x112+500*32x64", text)
		}
		// Digits, as matched: no error is possible.
		vcpu, _ := strconv.Atoi(match[2])
		gb, _ := strconv.Atoi(match[3])
		if vcpu == 0 || gb == 0 {
			return c, fmt.Errorf("-clusters: %q: a node must have vCPU and GB above 0", text)
		}
		c.shapes = append(c.shapes, azure.Shape{VCPU: float64(vcpu), MemGB: float64(gb)})
		if match[1] != "" {
			count, _ := strconv.Atoi(match[1])
			c.counts = append(c.counts, count)
		}
	}
	for i, s := range c.shapes {
		c.shapes[i].Price = 1 // one shape: node-hours as they are
		if len(c.shapes) > 1 {
			c.shapes[i].Price = priceOfVCPU*s.VCPU + priceOfGB*s.MemGB
		}
	}
	return c, nil
}

// isAutoscaled reports whether nodes come as needed.
func (c cluster) isAutoscaled() bool { return c.counts == nil }
