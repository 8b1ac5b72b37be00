// Command importer is what a program outside this repository looks like that uses
// a scheduler plugin and the autoscaler's contract as libraries. A test makes a
// module of it; see conventions/importer_test.go.
package main

import (
	"fmt"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/policies"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
	"github.com/plimsoll-k8s/plimsoll/pkg/scaling"
	"github.com/plimsoll-k8s/plimsoll/plugins"
	"github.com/plimsoll-k8s/plimsoll/plugins/marginalcost"
)

func main() {
	var factory scaling.Factory = policies.New(policies.DefaultConfig())[policies.Default]
	policy, err := factory(nil)
	if err != nil {
		panic(err) // the default policy needs no parameters
	}
	fmt.Println(policy.Name(), v1alpha1.GroupVersion())
	for name := range plugins.Registry(plugins.Options{}) {
		fmt.Println(name, marginalcost.DefaultArgs())
	}
}
