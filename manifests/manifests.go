// Package manifests holds the shipped Kubernetes objects, so that a program or a
// test applies exactly what is shipped.
package manifests

import "embed"

// FS has every YAML file of this folder under its path in it, such as
// rbac/scheduler.yaml:
//
//   - kustomization.yaml: the base that installs the rest (kubectl apply -k)
//   - namespace.yaml: the namespace of both components
//   - crd: the CustomResourceDefinitions, generated from pkg/apis
//   - rbac: ServiceAccounts, roles and bindings, one file for each component
//   - scheduler/config.yaml: a KubeSchedulerConfiguration, which is a file for
//     plimsoll-scheduler and no object of the API
//   - scheduler/deployment.yaml, autoscaler/deployment.yaml: the components
//   - examples: objects for users to start from, not installed
//
// A file holds one object or several, separated by "---" lines.
//
//go:embed *.yaml */*.yaml
var FS embed.FS
