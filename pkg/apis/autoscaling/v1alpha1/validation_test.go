package v1alpha1_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// edit changes a field of a spec by its path; a nil value removes it.
type edit struct {
	path  []any
	value any
}

func at(path ...any) []any { return path }

func change(value any, path ...any) []edit { return []edit{{path, value}} }

func object(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// The places of the metrics of testdata/complete.yaml.
const (
	resourceMetric = iota
	containerMetric
	podsMetric
	objectMetric
	externalMetric
	promMetric
	promPerPodMetric
	customMetric
)

// rejection is an object that must not get through: by the schema, by Validate
// or by both, as said.
type rejection struct {
	edits    []edit
	bySchema string // part of the message with the path, or empty if the schema lets it through
	byGo     string // the path and what is allowed, or empty if the Go types cannot hold it
}

// rejected has edits of testdata/complete.yaml, by what is edited.
func rejected() map[string]map[string]rejection {
	return map[string]map[string]rejection{
		"target":    rejectedTargets(),
		"bounds":    rejectedBounds(),
		"metrics":   rejectedMetrics(),
		"sources":   rejectedSources(),
		"amounts":   rejectedAmounts(),
		"behavior":  rejectedBehavior(),
		"schedules": rejectedSchedules(),
		"modes":     rejectedModes(),
	}
}

func rejectedTargets() map[string]rejection {
	return map[string]rejection{
		"no target":                      {change(nil, "scaleTargetRef"), "spec.scaleTargetRef: Required", "spec.scaleTargetRef.name: Required value: the name of the object"},
		"no kind":                        {change("", "scaleTargetRef", "kind"), "spec.scaleTargetRef.kind", "spec.scaleTargetRef.kind: Required value: for example Deployment"},
		"a kind with a slash":            {change("a/b", "scaleTargetRef", "kind"), "spec.scaleTargetRef.kind", `spec.scaleTargetRef.kind: Invalid value: "a/b": must be the name of a kind`},
		"a kind too long":                {change(strings.Repeat("a", 64), "scaleTargetRef", "kind"), "spec.scaleTargetRef.kind", "spec.scaleTargetRef.kind: Invalid value"},
		"a name with a capital":          {change("Web", "scaleTargetRef", "name"), "spec.scaleTargetRef.name", `spec.scaleTargetRef.name: Invalid value: "Web"`},
		"no API version":                 {change(nil, "scaleTargetRef", "apiVersion"), "spec.scaleTargetRef.apiVersion", "spec.scaleTargetRef.apiVersion: Required value: for example apps/v1"},
		"an API version of three parts":  {change("a/b/c", "scaleTargetRef", "apiVersion"), "spec.scaleTargetRef.apiVersion", `spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": must be`},
		"an API version with a capital":  {change("apps/V1", "scaleTargetRef", "apiVersion"), "spec.scaleTargetRef.apiVersion", `spec.scaleTargetRef.apiVersion: Invalid value: "apps/V1": must be`},
		"an API group with two dots":     {change("a..b/v1", "scaleTargetRef", "apiVersion"), "spec.scaleTargetRef.apiVersion", `spec.scaleTargetRef.apiVersion: Invalid value: "a..b/v1": must be`},
		"a target's name with two dots":  {change("a..b", "scaleTargetRef", "name"), "spec.scaleTargetRef.name", `spec.scaleTargetRef.name: Invalid value: "a..b"`},
		"a target's name that ends in -": {change("a-", "scaleTargetRef", "name"), "spec.scaleTargetRef.name", `spec.scaleTargetRef.name: Invalid value: "a-"`},
	}
}

func rejectedBounds() map[string]rejection {
	podsOnly := []edit{{at("minReplicas"), int64(0)}, {at("metrics"), []any{
		object("type", "Resource", "resource", object("name", "cpu", "target", object("type", "Utilization", "averageUtilization", int64(60)))),
		object("type", "Prometheus", "prometheus", object("query", "up", "perPod", true, "target", object("type", "AverageValue", "averageValue", "1"))),
	}}}
	none := []edit{{at("metrics"), nil}}
	return map[string]rejection{
		"a negative minimum":                            {change(int64(-1), "minReplicas"), "spec.minReplicas", "spec.minReplicas: Invalid value: -1: must be 0 or more"},
		"a minimum of 0 with metrics of pods alone":     {podsOnly, "spec.minReplicas: Invalid value: minReplicas 0 needs a metric that is not read from the pods", "spec.minReplicas: Invalid value: 0: must be 1 or more, or a metric must be one that is not read from the pods"},
		"a maximum of 0":                                {change(int64(0), "maxReplicas"), "spec.maxReplicas", "spec.maxReplicas: Invalid value: 0: must be 1 or more"},
		"no maximum":                                    {change(nil, "maxReplicas"), "spec.maxReplicas: Required", "spec.maxReplicas: Invalid value: 0: must be 1 or more"},
		"a maximum below the minimum":                   {change(int64(1), "maxReplicas"), "minReplicas must not be greater than maxReplicas", "spec.maxReplicas: Invalid value: 1: must be minReplicas (2) or more"},
		"no metrics with policy Target":                 {none, "spec.metrics: Invalid value: policies Target and Watermark need at least one metric", "spec.metrics: Required value: at least one metric, policy is Target"},
		"no metrics with policy Watermark":              {append(none, edit{at("policy", "name"), "Watermark"}), "spec.metrics: Invalid value: policies Target and Watermark need", "spec.metrics: Required value: at least one metric, policy is Watermark"},
		"no metrics and no policy, which is Target":     {append(none, edit{at("policy"), nil}), "spec.metrics: Invalid value: policies Target and Watermark need", "spec.metrics: Required value: at least one metric, policy is Target"},
		"no schedules with policy Schedule":             {[]edit{{at("schedules"), nil}, {at("policy", "name"), "Schedule"}}, "spec.schedules: Invalid value: policy Schedule needs at least one schedule", "spec.schedules: Required value: at least one schedule, policy is Schedule"},
		"a policy's name that is empty":                 {change("", "policy", "name"), "spec.policy.name", ""},
		"a policy's name too long":                      {change(strings.Repeat("a", 64), "policy", "name"), "spec.policy.name", "spec.policy.name: Too long: may not be more than 63"},
		"parameters of a policy that are not an object": {change("a=b", "policy", "parameters"), "spec.policy.parameters", `spec.policy.parameters: Invalid value: "\"a=b\"": must be an object`},
	}
}

func rejectedMetrics() map[string]rejection {
	var eleven []any
	for i := range 11 {
		eleven = append(eleven, object("type", "Prometheus", "prometheus", object("query", fmt.Sprint(i), "target", object("type", "Value", "value", "1"))))
	}
	cases := map[string]rejection{
		"more metrics than 10":                          {change(eleven, "metrics"), "spec.metrics: Too many: 11: must have at most 10", "spec.metrics: Too many: 11: must have at most 10"},
		"an unknown type":                               {change("Disk", "metrics", resourceMetric, "type"), "spec.metrics[0].type: Unsupported value", `spec.metrics[0].type: Unsupported value: "Disk": supported values: "Resource", "ContainerResource", "Pods", "Object", "External", "Prometheus", "Custom"`},
		"no type":                                       {change(nil, "metrics", resourceMetric, "type"), "spec.metrics[0].type: Required", `spec.metrics[0].type: Unsupported value: ""`},
		"two Prometheus metrics of one name":            {change("requests", "metrics", promPerPodMetric, "prometheus", "name"), "spec.metrics: Invalid value: the name of a Prometheus metric must be its own", `spec.metrics[5].prometheus.name: Duplicate value: "requests"`},
		"a Prometheus metric of a resource's name":      {change("cpu", "metrics", promMetric, "prometheus", "name"), "the name of a Prometheus metric must be its own", `spec.metrics[5].prometheus.name: Duplicate value: "cpu"`},
		"a Prometheus metric of a Pods metric's name":   {change("sessions", "metrics", promMetric, "prometheus", "name"), "the name of a Prometheus metric must be its own", `spec.metrics[5].prometheus.name: Duplicate value: "sessions"`},
		"a Prometheus metric of an Object's name":       {change("requests-per-second", "metrics", promMetric, "prometheus", "name"), "the name of a Prometheus metric must be its own", `spec.metrics[5].prometheus.name: Duplicate value: "requests-per-second"`},
		"a Custom metric of an External metric's name":  {change("queue-length", "metrics", customMetric, "custom", "name"), "the name of a Custom metric must be its own", `spec.metrics[7].custom.name: Duplicate value: "queue-length"`},
		"a Custom metric of a Prometheus metric's name": {change("requests", "metrics", customMetric, "custom", "name"), "the name of a Custom metric must be its own", `spec.metrics[7].custom.name: Duplicate value: "requests"`},
	}
	for i, name := range []string{"resource", "containerResource", "pods", "object", "external", "prometheus", "prometheus", "custom"} {
		path := fmt.Sprintf("spec.metrics[%d].%s: ", i, name)
		cases["no field for the type, place "+fmt.Sprint(i)] = rejection{change(nil, "metrics", i, name), path + "Invalid value: " + name + " must be set if and only if type is", path + "Required value: type is"}
		other, otherType := "resource", "Resource"
		if i == resourceMetric {
			other, otherType = "custom", "Custom"
		}
		cases["another type's field, place "+fmt.Sprint(i)] = rejection{change(otherType, "metrics", i, "type"), path + "Invalid value: " + name + " must be set if and only if type is", path + "Forbidden: type is " + otherType}
		cases["a type without its field, place "+fmt.Sprint(i)] = rejection{change(otherType, "metrics", i, "type"), fmt.Sprintf("spec.metrics[%d].%s: Invalid", i, other), fmt.Sprintf("spec.metrics[%d].%s: Required", i, other)}
	}
	return cases
}

func rejectedSources() map[string]rejection {
	long := strings.Repeat("a", 64)
	cases := map[string]rejection{
		"a resource without a name":             {change("", "metrics", resourceMetric, "resource", "name"), "spec.metrics[0].resource.name: Invalid value: must not be empty", "spec.metrics[0].resource.name: Required"},
		"a resource's name with a space":        {change("c p u", "metrics", resourceMetric, "resource", "name"), "", `spec.metrics[0].resource.name: Invalid value: "c p u"`},
		"a container's resource without a name": {change("", "metrics", containerMetric, "containerResource", "name"), "spec.metrics[1].containerResource.name: Invalid value: must not be empty", "spec.metrics[1].containerResource.name: Required"},
		"no container":                          {change("", "metrics", containerMetric, "containerResource", "container"), "spec.metrics[1].containerResource.container: Invalid value: must not be empty nor longer than 63", "spec.metrics[1].containerResource.container: Required"},
		"a container's name too long":           {change(long, "metrics", containerMetric, "containerResource", "container"), "spec.metrics[1].containerResource.container: Invalid value: must not be empty nor longer than 63", "spec.metrics[1].containerResource.container: Invalid value"},
		"an object's kind with a slash":         {change("a/b", "metrics", objectMetric, "object", "describedObject", "kind"), "spec.metrics[3].object.describedObject.kind: Invalid value", `spec.metrics[3].object.describedObject.kind: Invalid value: "a/b": may not contain '/'`},
		"a container's name with a dot":         {change("a.b", "metrics", containerMetric, "containerResource", "container"), "", `spec.metrics[1].containerResource.container: Invalid value: "a.b"`},
		"an object without a kind":              {change("", "metrics", objectMetric, "object", "describedObject", "kind"), "spec.metrics[3].object.describedObject.kind: Invalid value: must not be empty nor contain '/'", "spec.metrics[3].object.describedObject.kind: Required"},
		"an object without a name":              {change("", "metrics", objectMetric, "object", "describedObject", "name"), "spec.metrics[3].object.describedObject.name: Invalid value: must not be empty nor contain '/'", "spec.metrics[3].object.describedObject.name: Required"},
		"an object's name with a slash":         {change("a/b", "metrics", objectMetric, "object", "describedObject", "name"), "spec.metrics[3].object.describedObject.name: Invalid value", `spec.metrics[3].object.describedObject.name: Invalid value: "a/b": may not contain '/'`},
		"an object's API version of three":      {change("a/b/c", "metrics", objectMetric, "object", "describedObject", "apiVersion"), "", `spec.metrics[3].object.describedObject.apiVersion: Invalid value: "a/b/c"`},
		"no query":                              {change("", "metrics", promMetric, "prometheus", "query"), "spec.metrics[5].prometheus.query", "spec.metrics[5].prometheus.query: Required value: a PromQL expression"},
		"a query beyond the limit":              {change(strings.Repeat("x", 4097), "metrics", promMetric, "prometheus", "query"), "spec.metrics[5].prometheus.query", "spec.metrics[5].prometheus.query: Too long: may not be more than 4096"},
		"a server's name that is empty":         {change("", "metrics", promMetric, "prometheus", "serverName"), "spec.metrics[5].prometheus.serverName", ""},
		"a server's name too long":              {change(long, "metrics", promMetric, "prometheus", "serverName"), "spec.metrics[5].prometheus.serverName", "spec.metrics[5].prometheus.serverName: Too long: may not be more than 63"},
		"a query's name with a space":           {change("a b", "metrics", promMetric, "prometheus", "name"), "spec.metrics[5].prometheus.name", `spec.metrics[5].prometheus.name: Invalid value: "a b": must be 1 to 63 letters`},
		"a query's name too long":               {change(long, "metrics", promMetric, "prometheus", "name"), "spec.metrics[5].prometheus.name", "spec.metrics[5].prometheus.name: Invalid value"},
		"an empty result that is nothing":       {change("Null", "metrics", promMetric, "prometheus", "emptyResult"), "spec.metrics[5].prometheus.emptyResult: Unsupported value", `spec.metrics[5].prometheus.emptyResult: Unsupported value: "Null": supported values: "Unknown", "Zero"`},
		"a negative activation threshold":       {change("-1", "metrics", promMetric, "prometheus", "activationThreshold"), "spec.metrics[5].prometheus.activationThreshold: Invalid value: \"-1\": must be 0 or more", `spec.metrics[5].prometheus.activationThreshold: Invalid value: "-1": must be 0 or more`},
		"per pod with a target of type Value":   {change(true, "metrics", promMetric, "prometheus", "perPod"), "spec.metrics[5].prometheus.target.type: Invalid value: with perPod the type must be AverageValue", `spec.metrics[5].prometheus.target.type: Unsupported value: "Value": supported values: "AverageValue"`},
		"a custom metric without a source":      {change("", "metrics", customMetric, "custom", "source"), "spec.metrics[7].custom.source", "spec.metrics[7].custom.source: Required"},
		"a custom metric's source too long":     {change(long, "metrics", customMetric, "custom", "source"), "spec.metrics[7].custom.source", "spec.metrics[7].custom.source: Too long: may not be more than 63"},
		"a custom metric's name that ends in -": {change("a-", "metrics", customMetric, "custom", "name"), "spec.metrics[7].custom.name", `spec.metrics[7].custom.name: Invalid value: "a-": must be`},
		"custom parameters that are a list":     {change([]any{int64(1)}, "metrics", customMetric, "custom", "parameters"), "spec.metrics[7].custom.parameters", `spec.metrics[7].custom.parameters: Invalid value: "[1]": must be an object`},
		"custom per pod with type Value":        {change(true, "metrics", customMetric, "custom", "perPod"), "spec.metrics[7].custom.target.type: Invalid value: with perPod the type must be AverageValue", `spec.metrics[7].custom.target.type: Unsupported value: "Value": supported values: "AverageValue"`},
	}
	for i, name := range map[int]string{podsMetric: "pods", objectMetric: "object", externalMetric: "external"} {
		path := fmt.Sprintf("spec.metrics[%d].%s.metric", i, name)
		cases["no metric of "+name] = rejection{change("", "metrics", i, name, "metric", "name"), path + ".name: Invalid value: must not be empty nor contain '/'", path + ".name: Required"}
		cases["a metric with a slash of "+name] = rejection{change("a/b", "metrics", i, name, "metric", "name"), path + ".name: Invalid value: must not be empty nor contain '/'", path + `.name: Invalid value: "a/b": may not contain '/'`}
		cases["a metric with a % of "+name] = rejection{change("a%b", "metrics", i, name, "metric", "name"), "", path + `.name: Invalid value: "a%b": may not contain '%'`}
		cases["a selector's value of "+name] = rejection{change("a b", "metrics", i, name, "metric", "selector", "matchLabels", "kind"), "", path + ".selector.matchLabels"}
		cases["a selector's operator of "+name] = rejection{change("Like", "metrics", i, name, "metric", "selector", "matchExpressions", 0, "operator"), "", path + `.selector.matchExpressions[0].operator: Invalid value: "Like"`}
		cases["a selector's key of "+name] = rejection{change("a b", "metrics", i, name, "metric", "selector", "matchExpressions", 0, "key"), "", path + `.selector.matchExpressions[0].key: Invalid value: "a b"`}
	}
	cases["a selector's values with In"] = rejection{change([]any{}, "metrics", podsMetric, "pods", "metric", "selector", "matchExpressions", 0, "values"), "", "spec.metrics[2].pods.metric.selector.matchExpressions[0].values: Required"}
	cases["a selector's values with NotIn"] = rejection{change([]any{}, "metrics", externalMetric, "external", "metric", "selector", "matchExpressions", 0, "values"), "", "spec.metrics[4].external.metric.selector.matchExpressions[0].values: Required"}
	cases["a selector's values with Exists"] = rejection{[]edit{{at("metrics", objectMetric, "object", "metric", "selector", "matchExpressions", 0, "operator"), "Exists"}, {at("metrics", objectMetric, "object", "metric", "selector", "matchExpressions", 0, "values"), []any{"a"}}}, "", "spec.metrics[3].object.metric.selector.matchExpressions[0].values: Forbidden"}
	return cases
}

// rejectedAmounts are the targets of all metrics, each with every type that it
// may not have, and without, with a wrong and with a second amount.
func rejectedAmounts() map[string]rejection {
	amounts := map[string]any{"averageUtilization": int64(50), "averageValue": "5", "value": "5"}
	wrong := map[string][]any{"averageUtilization": {int64(0), int64(-1)}, "averageValue": {"0", "-1m", int64(-3), int64(0)}, "value": {"0", "-1Ki", int64(-3)}}
	of := map[string]string{"Utilization": "averageUtilization", "AverageValue": "averageValue", "Value": "value"}
	cases := map[string]rejection{}
	for i, m := range []struct {
		name    string
		allowed []string
	}{
		{"resource", []string{"Utilization", "AverageValue"}},
		{"containerResource", []string{"Utilization", "AverageValue"}},
		{"pods", []string{"AverageValue"}},
		{"object", []string{"Value", "AverageValue"}},
		{"external", []string{"Value", "AverageValue"}},
		{"prometheus", []string{"Value", "AverageValue"}},
		{"prometheus", []string{"AverageValue"}},
		{"custom", []string{"Value", "AverageValue"}},
	} {
		target, path := at("metrics", i, m.name, "target"), fmt.Sprintf("spec.metrics[%d].%s.target", i, m.name)
		for kind, amount := range of {
			name := fmt.Sprintf("%d %s of type %s", i, m.name, kind)
			if !slices.Contains(m.allowed, kind) {
				cases[name] = rejection{change(object("type", kind, amount, amounts[amount]), target...), path + ".type: Invalid value", path + fmt.Sprintf(".type: Unsupported value: %q", kind)}
				continue
			}
			cases[name+" without an amount"] = rejection{change(object("type", kind), target...), path + "." + amount + ": Invalid value: " + amount + " must be set if and only if type is " + kind, path + "." + amount + ": Required value: type is " + kind}
			for _, v := range wrong[amount] {
				cases[fmt.Sprintf("%s and %v", name, v)] = rejection{change(object("type", kind, amount, v), target...), path + "." + amount + ": Invalid value: " + amount + " must be greater than 0", path + "." + amount + ": Invalid value: "}
			}
			for other := range amounts {
				if other != amount {
					cases[name+" and "+other] = rejection{change(object("type", kind, amount, amounts[amount], other, amounts[other]), target...), path + "." + other + ": Invalid value: " + other + " must", path + "." + other + ": Forbidden: type is " + kind}
				}
			}
		}
		cases[fmt.Sprintf("%d %s of no type", i, m.name)] = rejection{change(object("value", "1"), target...), path + ".type: Required", path + `.type: Unsupported value: ""`}
		cases[fmt.Sprintf("%d %s of a type that is none", i, m.name)] = rejection{change(object("type", "Median", "value", "1"), target...), path + ".type: Invalid value: type must be", path + `.type: Unsupported value: "Median"`}
		cases[fmt.Sprintf("%d %s of an amount that is none", i, m.name)] = rejection{change(object("type", "AverageValue", "averageValue", "many"), target...), path + ".averageValue", ""}
	}
	return cases
}

func rejectedBehavior() map[string]rejection {
	cases := map[string]rejection{}
	for _, d := range []string{"scaleUp", "scaleDown"} {
		path := "spec.behavior." + d
		add := func(name string, value any, what, bySchema, byGo string, more ...any) {
			cases[d+": "+name] = rejection{change(value, append(at("behavior", d), more...)...), path + "." + what + ": Invalid value: " + bySchema, path + "." + byGo}
		}
		add("a window below 0", int64(-1), "stabilizationWindowSeconds", "must be from 0 to 3600", "stabilizationWindowSeconds: Invalid value: -1: must be from 0 to 3600", "stabilizationWindowSeconds")
		add("a window beyond an hour", int64(3601), "stabilizationWindowSeconds", "must be from 0 to 3600", "stabilizationWindowSeconds: Invalid value: 3601: must be from 0 to 3600", "stabilizationWindowSeconds")
		add("a selection that is none", "Mean", "selectPolicy", "must be Max, Min or Disabled", `selectPolicy: Unsupported value: "Mean": supported values: "Max", "Min", "Disabled"`, "selectPolicy")
		add("no policies", []any{}, "policies", "must have at least one policy", "policies: Required value: at least one policy", "policies")
		add("a policy's type that is none", "Nodes", "policies", "type must be Pods or Percent", `policies[0].type: Unsupported value: "Nodes": supported values: "Pods", "Percent"`, "policies", 0, "type")
		add("a policy's value of 0", int64(0), "policies", "value must be 1 or more", "policies[0].value: Invalid value: 0: must be 1 or more", "policies", 0, "value")
		add("a policy's period of 0", int64(0), "policies", "periodSeconds must be from 1 to 1800", "policies[0].periodSeconds: Invalid value: 0: must be from 1 to 1800", "policies", 0, "periodSeconds")
		add("a policy's period beyond half an hour", int64(1801), "policies", "periodSeconds must be from 1 to 1800", "policies[0].periodSeconds: Invalid value: 1801: must be from 1 to 1800", "policies", 0, "periodSeconds")
		add("a negative tolerance", "-0.1", "tolerance", "must be 0 or more", `tolerance: Invalid value: "-100m": must be 0 or more`, "tolerance")
	}
	return cases
}

func rejectedSchedules() map[string]rejection {
	var many []any
	for i := range 21 {
		many = append(many, object("name", fmt.Sprint(i), "start", "0 1 * * *", "end", "0 2 * * *", "minReplicas", int64(2)))
	}
	cases := map[string]rejection{
		"more schedules than 20":               {change(many, "schedules"), "spec.schedules: Too many: 21: must have at most 20", "spec.schedules: Too many: 21: must have at most 20"},
		"no name":                              {change("", "schedules", 0, "name"), "spec.schedules[0].name", "spec.schedules[0].name: Required value: the name of the schedule"},
		"a name too long":                      {change(strings.Repeat("a", 64), "schedules", 0, "name"), "spec.schedules[0].name", "spec.schedules[0].name: Too long"},
		"two of one name":                      {change("night", "schedules", 0, "name"), "spec.schedules[1]: Duplicate value", `spec.schedules[1].name: Duplicate value: "night"`},
		"start and end that are equal":         {change("0 18 * * 1-5", "schedules", 0, "start"), "start and end must differ", `spec.schedules[0].end: Invalid value: "0 18 * * 1-5": `},
		"start and end that mean the same":     {change("00 18 * * 1-5", "schedules", 0, "start"), "", `spec.schedules[0].end: Invalid value: "0 18 * * 1-5": `},
		"a time zone that is none":             {change("Mars/Olympus", "schedules", 0, "timeZone"), "", `spec.schedules[0].timeZone: Invalid value: "Mars/Olympus"`},
		"the time zone of the machine":         {change("Local", "schedules", 0, "timeZone"), "", `spec.schedules[0].timeZone: Invalid value: "Local"`},
		"a time zone that is empty":            {change("", "schedules", 0, "timeZone"), "spec.schedules[0].timeZone", ""},
		"a time zone too long":                 {change(strings.Repeat("a", 101), "schedules", 0, "timeZone"), "spec.schedules[0].timeZone", "spec.schedules[0].timeZone: Too long"},
		"no floor and no ceiling":              {change(nil, "schedules", 0, "minReplicas"), "spec.schedules[0]: Invalid value: minReplicas or maxReplicas must be set", "spec.schedules[0]: Required value: minReplicas or maxReplicas"},
		"a negative floor":                     {change(int64(-1), "schedules", 0, "minReplicas"), "spec.schedules[0].minReplicas", "spec.schedules[0].minReplicas: Invalid value: -1: must be from 0 to the maxReplicas of the spec (20)"},
		"a floor above the maximum":            {change(int64(21), "schedules", 0, "minReplicas"), "spec.schedules: Invalid value: the minReplicas of a schedule must not be greater", "spec.schedules[0].minReplicas: Invalid value: 21: must be from 0 to the maxReplicas of the spec (20)"},
		"a negative ceiling":                   {change(int64(-1), "schedules", 1, "maxReplicas"), "spec.schedules[1].maxReplicas", "spec.schedules[1].maxReplicas: Invalid value: -1: must be 0 or more"},
		"a ceiling below the minimum":          {change(int64(1), "schedules", 1, "maxReplicas"), "spec.schedules: Invalid value: the maxReplicas of a schedule must not be less", "spec.schedules[1].maxReplicas: Invalid value: 1: must be the minReplicas of the spec (2) or more"},
		"a ceiling below its floor":            {change(int64(5), "schedules", 0, "maxReplicas"), "spec.schedules[0]: Invalid value: minReplicas must not be greater than maxReplicas", "spec.schedules[0].maxReplicas: Invalid value: 5: must be minReplicas (6) or more"},
		"a fallback later than a day":          {change(int64(86401), "fallback", "afterSeconds"), "spec.fallback.afterSeconds", "spec.fallback.afterSeconds: Invalid value: 86401: must be from 0 to 86400"},
		"a fallback in the past":               {change(int64(-1), "fallback", "afterSeconds"), "spec.fallback.afterSeconds", "spec.fallback.afterSeconds: Invalid value: -1: must be from 0 to 86400"},
		"a fallback to nothing":                {change(int64(0), "fallback", "replicas"), "spec.fallback.replicas", "spec.fallback.replicas: Invalid value: 0: must be from 1 to maxReplicas (20)"},
		"a fallback to more than the maximum":  {change(int64(21), "fallback", "replicas"), "spec.fallback.replicas: Invalid value: must not be greater than maxReplicas", "spec.fallback.replicas: Invalid value: 21: must be from 1 to maxReplicas (20)"},
		"a ceiling of 0 with a minimum of one": {[]edit{{at("minReplicas"), nil}, {at("schedules", 1, "maxReplicas"), int64(0)}}, "spec.schedules: Invalid value: the maxReplicas of a schedule must not be less", "spec.schedules[1].maxReplicas: Invalid value: 0: must be the minReplicas of the spec (1) or more"},
	}
	for _, name := range []string{"start", "end"} {
		path := "spec.schedules[0]." + name
		cases["no "+name] = rejection{change("", "schedules", 0, name), path, path + ": Required value: a cron expression"}
		cases["a "+name+" of four fields"] = rejection{change("0 8 * *", "schedules", 0, name), path, path + `: Invalid value: "0 8 * *": want five fields`}
		cases["a "+name+" of six fields"] = rejection{change("0 0 8 * * *", "schedules", 0, name), path, path + `: Invalid value: "0 0 8 * * *": want five fields`}
		cases["a "+name+" by nickname"] = rejection{change("@daily", "schedules", 0, name), path, path + `: Invalid value: "@daily": want five fields`}
		cases["a "+name+" with its own time zone"] = rejection{change("TZ=UTC 0 8 * * *", "schedules", 0, name), path, path + `: Invalid value: "TZ=UTC 0 8 * * *": want five fields`}
		cases["a "+name+" in the 25th hour"] = rejection{change("0 24 * * *", "schedules", 0, name), "", path + `: Invalid value: "0 24 * * *"`}
		cases["a "+name+" that never is"] = rejection{change("0 0 31 2 *", "schedules", 0, name), "", path + `: Invalid value: "0 0 31 2 *": never fires`}
		cases["a "+name+" too long"] = rejection{change("0 8 * * "+strings.Repeat("1,", 47), "schedules", 0, name), path, path + ": Too long: may not be more than 100"}
	}
	return cases
}

func rejectedModes() map[string]rejection {
	return map[string]rejection{
		"an unknown mode":             {change("Off", "mode"), "spec.mode: Unsupported value", `spec.mode: Unsupported value: "Off": supported values: "Auto", "Recommend", "Paused"`},
		"an unknown selection":        {change("Label", "podSelection"), "spec.podSelection: Unsupported value", `spec.podSelection: Unsupported value: "Label": supported values: "Owner", "Selector"`},
		"a spec without any field":    {[]edit{{at("scaleTargetRef"), nil}, {at("maxReplicas"), nil}, {at("metrics"), nil}}, "spec.maxReplicas: Required", "spec.metrics: Required"},
		"a mode that is empty":        {change("", "mode"), "spec.mode: Unsupported value", ""},
		"a selection of no pods":      {change("", "podSelection"), "spec.podSelection: Unsupported value", ""},
		"an empty result of no kind":  {change("", "metrics", promMetric, "prometheus", "emptyResult"), "spec.metrics[5].prometheus.emptyResult", ""},
		"an activation that is a map": {change(object(), "metrics", promMetric, "prometheus", "activationThreshold"), "spec.metrics[5].prometheus.activationThreshold", ""},
	}
}

func TestRejected(t *testing.T) {
	schema := loadSchema(t)
	for subject, cases := range rejected() {
		for name, c := range cases {
			t.Run(subject+": "+name, func(t *testing.T) {
				object := loadComplete(t)
				for _, e := range c.edits {
					apply(t, object, e)
				}
				checkRejection(t, "schema", schema.validate(object), c.bySchema)
				wa, err := decode(object)
				if err != nil {
					if c.byGo != "" {
						t.Fatalf("the Go types cannot hold it: %v", err)
					}
					return
				}
				v1alpha1.SetDefaults(wa)
				checkRejection(t, "Validate", errorText(v1alpha1.Validate(wa).ToAggregate()), c.byGo)
			})
		}
	}
}

func checkRejection(t *testing.T, who, got, want string) {
	t.Helper()
	if want == "" && got != "" {
		t.Errorf("%s rejects what the table says it lets through: %s", who, got)
	}
	if !strings.Contains(got, want) {
		t.Errorf("%s says %q, want %q in it", who, got, want)
	}
}

func TestValid(t *testing.T) {
	schema := loadSchema(t)
	for name, edits := range map[string][]edit{
		"every field":                                  nil,
		"two External metrics of one name":             change("requests-per-second", "metrics", externalMetric, "external", "metric", "name"),
		"a tolerance above 1":                          change("1.5", "behavior", "scaleUp", "tolerance"),
		"a Prometheus metric without a name":           change(nil, "metrics", promMetric, "prometheus", "name"),
		"a minimum of 0 with an External metric":       change(int64(0), "minReplicas"),
		"a minimum of 0 and a ceiling of 0":            {{at("minReplicas"), int64(0)}, {at("schedules", 1, "maxReplicas"), int64(0)}},
		"policy Schedule, no metrics and no minimum":   {{at("policy", "name"), "Schedule"}, {at("metrics"), nil}, {at("minReplicas"), int64(0)}},
		"a policy of somebody else without metrics":    {{at("policy", "name"), "Tides"}, {at("metrics"), nil}, {at("minReplicas"), int64(0)}},
		"a policy of somebody else, pods, a minimum 0": {{at("policy", "name"), "Tides"}, {at("minReplicas"), int64(0)}},
		"behavior without a direction":                 change(nil, "behavior", "scaleDown"),
		"no behavior":                                  change(nil, "behavior"),
		"a tolerance of 0":                             change(int64(0), "behavior", "scaleUp", "tolerance"),
		"a fallback that holds":                        change(nil, "fallback", "replicas"),
		"a workload of the core group":                 change(object("apiVersion", "v1", "kind", "ReplicationController", "name", "a"), "scaleTargetRef"),
		"an object of the core group":                  change(object("kind", "Service", "name", "a"), "metrics", objectMetric, "object", "describedObject"),
		"days by name":                                 change("30 7 * * MON-FRI", "schedules", 0, "start"),
	} {
		t.Run(name, func(t *testing.T) {
			object := loadComplete(t)
			for _, e := range edits {
				apply(t, object, e)
			}
			checkValid(t, schema, object)
		})
	}
}

func TestTheExamplesAreValid(t *testing.T) {
	schema := loadSchema(t)
	files, err := filepath.Glob(exampleDir + "/workloadautoscaler*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatalf("%d examples, want 4: %v", len(files), err)
	}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, text := range strings.Split(string(content), "\n---\n") {
			t.Run(fmt.Sprint(filepath.Base(file), i), func(t *testing.T) { checkValid(t, schema, parse(t, text)) })
		}
	}
}

func checkValid(t *testing.T, schema schema, object map[string]any) {
	t.Helper()
	unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(object), schema.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		t.Errorf("the schema does not know %v", unknown)
	}
	if got := schema.validate(object); got != "" {
		t.Errorf("schema: %s", got)
	}
	wa, err := decode(object)
	if err != nil {
		t.Fatal(err)
	}
	v1alpha1.SetDefaults(wa)
	if errs := v1alpha1.Validate(wa); len(errs) > 0 {
		t.Errorf("Validate: %v", errs.ToAggregate())
	}
}

// BenchmarkValidate is one object with every field, as an autoscaler checks it
// when it has changed.
func BenchmarkValidate(b *testing.B) {
	wa := &v1alpha1.WorkloadAutoscaler{}
	content, err := os.ReadFile(completeFile)
	if err != nil {
		b.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(content, wa); err != nil {
		b.Fatal(err)
	}
	v1alpha1.SetDefaults(wa)
	b.ReportAllocs()
	for b.Loop() {
		if errs := v1alpha1.Validate(wa); len(errs) > 0 {
			b.Fatal(errs.ToAggregate())
		}
	}
}
