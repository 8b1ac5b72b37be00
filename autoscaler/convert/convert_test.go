package convert_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/convert"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

var update = flag.Bool("update", false, "write the golden files anew")

func options() convert.Options {
	return convert.Options{Servers: map[string]string{
		"http://prometheus.monitoring:9090": "default",
		"https://thanos.example.com/":       "long-term",
	}}
}

// TestFiles converts testdata/*.yaml. What comes of each, the result, the
// warnings and the error, is beside it in a .golden file.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, out := run(t, string(text))
			checkObjects(t, out)
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("(-want +got), to accept: go test ./autoscaler/convert -update\n%s", diff)
			}
		})
	}
}

func run(t *testing.T, text string) (report, out string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	err := convert.Convert(strings.NewReader(text), &stdout, &stderr, options())
	report = "## stderr\n" + stderr.String() + "## stdout\n" + stdout.String()
	if err != nil {
		report += "## error\n" + err.Error() + "\n"
		if stdout.Len() > 0 {
			t.Errorf("with an error there is a result: %s", stdout.String())
		}
	}
	return report, stdout.String()
}

// checkObjects checks that each object of a result is one that the autoscaler
// takes, with no field that it does not know.
func checkObjects(t *testing.T, out string) {
	t.Helper()
	if out == "" {
		return
	}
	for _, text := range strings.Split(out, "---\n") {
		var wa v1alpha1.WorkloadAutoscaler
		if err := yaml.UnmarshalStrict([]byte(text), &wa); err != nil {
			t.Fatal(err)
		}
		v1alpha1.SetDefaults(&wa)
		if errs := v1alpha1.Validate(&wa); len(errs) > 0 {
			t.Error(errs.ToAggregate())
		}
	}
}

func TestAnHPAIsKeptWhole(t *testing.T) {
	var hpa autoscalingv2.HorizontalPodAutoscaler
	text, err := os.ReadFile("testdata/hpa-v2.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &hpa); err != nil {
		t.Fatal(err)
	}
	before := hpa.DeepCopy()
	wa, warnings, errs := convert.FromHPA(&hpa, convert.Options{PodSelection: v1alpha1.PodSelectionSelector})
	if len(errs) > 0 || len(warnings) > 0 {
		t.Fatal(errs, warnings)
	}
	if wa.Spec.PodSelection != v1alpha1.PodSelectionSelector {
		t.Errorf("podSelection %q, want Selector", wa.Spec.PodSelection)
	}
	if wa.Name != "web" || wa.Namespace != "shop" || wa.Labels["team"] != "shop" {
		t.Errorf("metadata %+v, want that of the HorizontalPodAutoscaler", wa.ObjectMeta)
	}
	if diff := cmp.Diff(before.Spec, backToHPA(wa.Spec)); diff != "" {
		t.Errorf("the spec differs (-HPA +result):\n%s", diff)
	}
	*wa.Spec.MinReplicas = 9
	wa.Spec.Behavior.ScaleUp.Policies[0].Value = 9
	wa.Spec.Metrics[3].Object.Metric.Name = "changed"
	wa.Labels["team"] = "changed"
	if diff := cmp.Diff(before, &hpa); diff != "" {
		t.Errorf("a change of the result changed the HorizontalPodAutoscaler:\n%s", diff)
	}
}

func TestAnHPAOfAScaledObjectIsReadForItsSpec(t *testing.T) {
	hpa := autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Name: "a", OwnerReferences: []metav1.OwnerReference{{Kind: "ScaledObject"}}}}
	hpa.Spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "a"}
	hpa.Spec.MaxReplicas = 3
	wa, _, errs := convert.FromHPA(&hpa, convert.Options{})
	if len(errs) > 0 {
		t.Fatal(errs.ToAggregate())
	}
	if len(wa.OwnerReferences) > 0 {
		t.Errorf("the result has the owner %v, which would delete it", wa.OwnerReferences)
	}
}

// backToHPA is the way back, for a spec that has nothing else.
func backToHPA(s v1alpha1.WorkloadAutoscalerSpec) autoscalingv2.HorizontalPodAutoscalerSpec {
	spec := autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: s.ScaleTargetRef.APIVersion, Kind: s.ScaleTargetRef.Kind, Name: s.ScaleTargetRef.Name},
		MinReplicas:    s.MinReplicas, MaxReplicas: s.MaxReplicas, Behavior: s.Behavior,
	}
	for _, m := range s.Metrics {
		spec.Metrics = append(spec.Metrics, autoscalingv2.MetricSpec{
			Type: autoscalingv2.MetricSourceType(m.Type), Resource: m.Resource, ContainerResource: m.ContainerResource,
			Pods: m.Pods, Object: m.Object, External: m.External,
		})
	}
	return spec
}

// scaledObject is one that is kept without a warning but for that of its query.
const scaledObject = `{
"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "a", "annotations": {}},
"spec": {
  "scaleTargetRef": {"name": "a"}, "minReplicaCount": 1, "maxReplicaCount": 10,
  "triggers": [
    {"type": "prometheus", "metadata": {"serverAddress": "http://prometheus.monitoring:9090", "query": "up", "threshold": "5", "ignoreNullValues": "false"}},
    {"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},
    {"type": "cron", "metadata": {"timezone": "UTC", "start": "0 1 * * *", "end": "0 2 * * *", "desiredReplicas": "5"}}
  ]
}}`

// A replacement turns scaledObject into another one.
type replacement struct{ old, new string }

const (
	inSpec     = `"scaleTargetRef"`
	inCPU      = `"metricType": "Utilization"`
	inPromType = `{"type": "prometheus"`
	inProm     = `"query": "up"`
	inCron     = `"timezone": "UTC"`
	inNotes    = `"annotations": {`
	toZero     = `"minReplicaCount": 0`
	fromOne    = `"minReplicaCount": 1`
	cpuTrigger = `{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "60"}},`
)

// add puts text before the place.
func add(text, place string) replacement { return replacement{place, text + place} }

func TestRefused(t *testing.T) {
	zero := []replacement{{fromOne, toZero}, {cpuTrigger, ""}}
	behavior := func(rules string) replacement {
		return add(`"advanced": {"horizontalPodAutoscalerConfig": {"behavior": `+rules+`}}, `, inSpec)
	}
	for name, c := range map[string]struct {
		changes []replacement
		want    string // the path and part of the reason
	}{
		"an unknown field of the spec":  {[]replacement{add(`"minReplicas": 3, `, inSpec)}, `spec.minReplicas: Forbidden: unknown field "spec.minReplicas"`},
		"an unknown field of a trigger": {[]replacement{add(`"meta": {}, `, inCPU)}, "spec.triggers[1].meta: Forbidden: unknown field"},
		"a field given twice":           {[]replacement{add(`"minReplicaCount": 3, `, inSpec)}, "spec.minReplicaCount: Forbidden: duplicate field"},
		"a number that is a text":       {[]replacement{{`"maxReplicaCount": 10`, `"maxReplicaCount": "10"`}}, "spec.maxReplicaCount: Invalid value: \"string\": must be of type int32"},
		"no name":                       {[]replacement{{`"name": "a", "ann`, `"ann`}}, "metadata.name: Required"},
		"no target's name":              {[]replacement{{`"scaleTargetRef": {"name": "a"}`, `"scaleTargetRef": {}`}}, "scaleTargetRef.name: Required"},
		"no triggers": {[]replacement{{`"triggers": [
    {`, `"triggers": [], "fallback": {"behavior": "", "failureThreshold": 1, "replicas": 1}, "advanced": {}}, "status": [{`}, {"\n  ]\n}}", "\n  ]\n}"}}, "spec.triggers: Required value: at least one trigger"},
		"a negative minimum":                      {[]replacement{{fromOne, `"minReplicaCount": -1`}}, "spec.minReplicaCount: Invalid value: -1: must be 0 or more"},
		"a maximum below the minimum":             {[]replacement{{fromOne, `"minReplicaCount": 11`}}, "spec.maxReplicaCount: Invalid value: 10: must be 1 or more, and minReplicaCount (11) or more"},
		"a minimum of 0 with cpu":                 {[]replacement{{fromOne, toZero}}, "spec.minReplicaCount: Invalid value: 0: must be 1 or more with a trigger of type cpu or memory"},
		"no minimum with cpu":                     {[]replacement{{fromOne + ",", ""}}, "spec.minReplicaCount: Invalid value: 0: must be 1 or more"},
		"idle replicas":                           {[]replacement{add(`"idleReplicaCount": 0, `, inSpec)}, "spec.idleReplicaCount: Invalid value: 0: must not be set"},
		"a cooldown unlike the window":            {append(zero, add(`"cooldownPeriod": 60, `, inSpec)), "spec.cooldownPeriod: Invalid value: 60: must be the stabilizationWindowSeconds of advanced.horizontalPodAutoscalerConfig.behavior.scaleDown (300)"},
		"a window unlike the default cooldown":    {append(zero, behavior(`{"scaleDown": {"stabilizationWindowSeconds": 0}}`)), "spec.cooldownPeriod: Invalid value: 300: must be the stabilizationWindowSeconds of advanced.horizontalPodAutoscalerConfig.behavior.scaleDown (0)"},
		"an initial cooldown":                     {append(zero, add(`"initialCooldownPeriod": 60, `, inSpec)), "spec.initialCooldownPeriod: Invalid value: 60: must be 0"},
		"scaling in disabled with a minimum of 0": {append(zero, behavior(`{"scaleDown": {"selectPolicy": "Disabled"}}`)), `spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleDown.selectPolicy: Invalid value: "Disabled": must not be Disabled`},
		"scaling out disabled with 0":             {append(zero, behavior(`{"scaleUp": {"selectPolicy": "Disabled"}}`)), `spec.advanced.horizontalPodAutoscalerConfig.behavior.scaleUp.selectPolicy: Invalid value: "Disabled"`},
		"a behavior out of range":                 {[]replacement{behavior(`{"scaleUp": {"stabilizationWindowSeconds": 4000}}`)}, "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 4000: must be from 0 to 3600"},
		"restoring the replicas":                  {[]replacement{add(`"advanced": {"restoreToOriginalReplicaCount": true}, `, inSpec)}, "spec.advanced.restoreToOriginalReplicaCount: Invalid value: true: must be false"},
		"a formula":                               {[]replacement{add(`"advanced": {"scalingModifiers": {"formula": "a + b", "target": "1"}}, `, inSpec)}, "spec.advanced.scalingModifiers: Invalid value"},
		"a fallback if lower":                     {[]replacement{add(`"fallback": {"failureThreshold": 1, "replicas": 3, "behavior": "currentReplicasIfLower"}, `, inSpec)}, `spec.fallback.behavior: Invalid value: "currentReplicasIfLower": must be static, currentReplicas or currentReplicasIfHigher`},
		"a fallback by formula":                   {[]replacement{add(`"fallback": {"failureThreshold": 1, "replicas": 3, "behavior": "scalingModifiers"}, `, inSpec)}, "spec.fallback.behavior: Invalid value"},
		"a static fallback to 0":                  {[]replacement{add(`"fallback": {"failureThreshold": 1, "replicas": 0}, `, inSpec)}, "spec.fallback.replicas: Invalid value: 0: must be 1 or more"},
		"a fallback above the maximum":            {[]replacement{add(`"fallback": {"failureThreshold": 1, "replicas": 11}, `, inSpec)}, "fallback.replicas: Invalid value: 11: must be from 1 to maxReplicas (10)"},
		"a fallback after days":                   {[]replacement{add(`"fallback": {"failureThreshold": 9000, "replicas": 1}, `, inSpec)}, "spec.fallback.failureThreshold: Invalid value: 9000: must be 0 or more, and take at most a day"},
		"a negative number of failures":           {[]replacement{add(`"fallback": {"failureThreshold": -1, "replicas": 1}, `, inSpec)}, "spec.fallback.failureThreshold: Invalid value: -1"},
		"paused at a number":                      {[]replacement{{inNotes, inNotes + `"autoscaling.keda.sh/paused-replicas": "3"`}}, `metadata.annotations[autoscaling.keda.sh/paused-replicas]: Invalid value: "3": must not be set: scale the workload`},
		"forced activation":                       {[]replacement{{inNotes, inNotes + `"autoscaling.keda.sh/force-activation": "true"`}}, `metadata.annotations[autoscaling.keda.sh/force-activation]: Invalid value: "true"`},
		"an annotation of KEDA's not known":       {[]replacement{{inNotes, inNotes + `"autoscaling.keda.sh/paused-until": "noon"`}}, `metadata.annotations[autoscaling.keda.sh/paused-until]: Invalid value: "noon"`},
		"a trigger of another type":               {[]replacement{{`"type": "cpu"`, `"type": "kafka"`}}, `spec.triggers[1].type: Invalid value: "kafka": must be prometheus, cpu, memory or cron`},
		"a trigger that logs in":                  {[]replacement{{inPromType, inPromType + `, "authenticationRef": {"name": "secret"}`}}, "spec.triggers[0].authenticationRef: Invalid value"},
		"a server whose name is not given":        {[]replacement{{"http://prometheus.monitoring:9090", "http://other"}}, `spec.triggers[0].metadata.serverAddress: Invalid value: "http://other": must be the URL of a server whose name is given: http://prometheus.monitoring:9090, https://thanos.example.com/`},
		"no server":                               {[]replacement{{"http://prometheus.monitoring:9090", ""}}, "spec.triggers[0].metadata.serverAddress: Required"},
		"no query":                                {[]replacement{{inProm, `"query": ""`}}, "spec.triggers[0].metadata.query: Required"},
		"no threshold":                            {[]replacement{{`"threshold": "5", `, ""}}, "spec.triggers[0].metadata.threshold: Required"},
		"a threshold that is not a number":        {[]replacement{{`"threshold": "5"`, `"threshold": "many"`}}, `spec.triggers[0].metadata.threshold: Invalid value: "many": must be a number of 0.001 or more`},
		"a threshold of 0":                        {[]replacement{{`"threshold": "5"`, `"threshold": "0"`}}, "spec.triggers[0].metadata.threshold: Invalid value"},
		"a threshold that is NaN":                 {[]replacement{{`"threshold": "5"`, `"threshold": "NaN"`}}, "spec.triggers[0].metadata.threshold: Invalid value"},
		"a threshold that is infinite":            {[]replacement{{`"threshold": "5"`, `"threshold": "+Inf"`}}, "spec.triggers[0].metadata.threshold: Invalid value"},
		"a negative activation threshold":         {[]replacement{add(`"activationThreshold": "-1", `, inProm)}, `spec.triggers[0].metadata.activationThreshold: Invalid value: "-1": must be a number of 0 or more`},
		"a flag that is none":                     {[]replacement{{`"ignoreNullValues": "false"`, `"ignoreNullValues": "maybe"`}}, `spec.triggers[0].metadata.ignoreNullValues: Invalid value: "maybe": must be true or false`},
		"a query's utilization":                   {[]replacement{{inPromType, inPromType + `, "metricType": "Utilization"`}}, `spec.triggers[0].metricType: Invalid value: "Utilization": must be AverageValue or Value`},
		"a query's namespace":                     {[]replacement{add(`"namespace": "b", `, inProm)}, `spec.triggers[0].metadata.namespace: Invalid value: "b": must not be set: the query is confined`},
		"headers":                                 {[]replacement{add(`"customHeaders": "a=b", `, inProm)}, `spec.triggers[0].metadata.customHeaders: Invalid value: "a=b": must not be set: how to reach a server`},
		"a connection without a check":            {[]replacement{add(`"unsafeSsl": "true", `, inProm)}, "spec.triggers[0].metadata.unsafeSsl: Invalid value"},
		"a setting of a query not known":          {[]replacement{add(`"step": "5", `, inProm)}, `spec.triggers[0].metadata.step: Invalid value: "5": must not be set: not a setting of triggers of type prometheus`},
		"cpu without a type":                      {[]replacement{{inCPU + ", ", ""}}, `spec.triggers[1].metricType: Invalid value: "": must be Utilization or AverageValue`},
		"cpu without a value":                     {[]replacement{{`"value": "60"`, ""}}, "spec.triggers[1].metadata.value: Required"},
		"cpu of 0 percent":                        {[]replacement{{`"value": "60"`, `"value": "0"`}}, `spec.triggers[1].metadata.value: Invalid value: "0": must be percent, 1 or more`},
		"cpu of no quantity":                      {[]replacement{{inCPU, `"metricType": "AverageValue"`}, {`"value": "60"`, `"value": "lots"`}}, `spec.triggers[1].metadata.value: Invalid value: "lots": must be a quantity greater than 0`},
		"cpu with the type of old":                {[]replacement{{`"value": "60"`, `"value": "60", "type": "Utilization"`}}, "spec.triggers[1].metadata.type: Invalid value"},
		"cpu of a container that is none":         {[]replacement{{`"value": "60"`, `"value": "60", "containerName": "A"`}}, `containerResource.container: Invalid value: "A"`},
		"no time zone":                            {[]replacement{{inCron, `"timezone": ""`}}, "spec.triggers[2].metadata.timezone: Required"},
		"a time zone that is none":                {[]replacement{{inCron, `"timezone": "Mars"`}}, `spec.triggers[2].metadata.timezone: Invalid value: "Mars"`},
		"a start that is none":                    {[]replacement{{"0 1 * * *", "0 1 * *"}}, `spec.triggers[2].metadata.start: Invalid value: "0 1 * *"`},
		"an end like the start":                   {[]replacement{{"0 2 * * *", "0 1 * * *"}}, `spec.triggers[2].metadata.end: Invalid value: "0 1 * * *"`},
		"more replicas than the maximum":          {[]replacement{{`"desiredReplicas": "5"`, `"desiredReplicas": "11"`}}, `spec.triggers[2].metadata.desiredReplicas: Invalid value: "11": must be from 1 to maxReplicaCount (10)`},
		"replicas that are no number":             {[]replacement{{`"desiredReplicas": "5"`, `"desiredReplicas": "five"`}}, `spec.triggers[2].metadata.desiredReplicas: Invalid value: "five"`},
		"a cron trigger of type Value":            {[]replacement{{`{"type": "cron"`, `{"type": "cron", "metricType": "Value"`}}, `spec.triggers[2].metricType: Invalid value: "Value": must be AverageValue`},
	} {
		t.Run(name, func(t *testing.T) {
			wa, _, errs := convert.FromScaledObject([]byte(edited(t, c.changes)), options())
			if wa != nil {
				t.Errorf("there is a result: %v", wa)
			}
			if got := errs.ToAggregate(); got == nil || !strings.Contains(got.Error(), c.want) {
				t.Errorf("errors %v, want %q in it", got, c.want)
			}
		})
	}
}

func FuzzConvert(f *testing.F) {
	f.Add([]byte(scaledObject))
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		report, out := run(t, string(text))
		checkObjects(t, out)
		if again, _ := run(t, string(text)); again != report {
			t.Errorf("the second time it says something else:\n%s\n%s", report, again)
		}
	})
}

func edited(t *testing.T, changes []replacement) string {
	t.Helper()
	text := scaledObject
	for _, r := range changes {
		if !strings.Contains(text, r.old) {
			t.Fatalf("there is no %q to replace", r.old)
		}
		text = strings.Replace(text, r.old, r.new, 1)
	}
	return text
}

func TestKept(t *testing.T) {
	const queryOnly = "spec.triggers[0].metadata.query: confined to the namespace of the object: series of other namespaces do not count"
	for name, c := range map[string]struct {
		changes  []replacement
		check    func(v1alpha1.WorkloadAutoscalerSpec) bool
		warnings []string // begin with, after that of the query
	}{
		"as it is": {check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
			return *s.MinReplicas == 1 && s.MaxReplicas == 10 && len(s.Metrics) == 2 && len(s.Schedules) == 1 && s.Policy == nil && s.ScaleTargetRef.Kind == "Deployment"
		}},
		"paused": {
			changes: []replacement{{inNotes, inNotes + `"autoscaling.keda.sh/paused": "yes"`}},
			check:   func(s v1alpha1.WorkloadAutoscalerSpec) bool { return s.Mode == v1alpha1.ModePaused },
		},
		"not paused": {
			changes: []replacement{{inNotes, inNotes + `"autoscaling.keda.sh/paused": "false"`}},
			check:   func(s v1alpha1.WorkloadAutoscalerSpec) bool { return s.Mode == "" },
		},
		"scaling out paused": {
			changes: []replacement{{inNotes, inNotes + `"autoscaling.keda.sh/paused-scale-out": "true"`}},
			check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
				return *s.Behavior.ScaleUp.SelectPolicy == "Disabled" && s.Behavior.ScaleDown == nil
			},
		},
		"a fallback that holds": {
			changes: []replacement{add(`"fallback": {"failureThreshold": 2, "replicas": 3, "behavior": "currentReplicas"}, `, inSpec)},
			check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
				return s.Fallback.Replicas == nil && *s.Fallback.AfterSeconds == 60
			},
			warnings: []string{"spec.fallback.failureThreshold: 2 failures are counted as 60 s"},
		},
		"a fallback that may scale in": {
			changes: []replacement{add(`"pollingInterval": 10, "fallback": {"failureThreshold": 2, "replicas": 3}, `, inSpec)},
			check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
				return *s.Fallback.Replicas == 3 && *s.Fallback.AfterSeconds == 20
			},
			warnings: []string{"spec.pollingInterval: left out", "spec.fallback.failureThreshold: 2 failures are counted as 20 s", "spec.fallback.behavior: static may scale in"},
		},
		"a cooldown as long as the window": {
			changes: []replacement{{fromOne, toZero}, {cpuTrigger, ""}, add(`"cooldownPeriod": 60, "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}}}}, `, inSpec)},
			check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
				return *s.MinReplicas == 0 && *s.Behavior.ScaleDown.StabilizationWindowSeconds == 60
			},
			warnings: nil,
		},
		"a cooldown without effect": {
			changes:  []replacement{add(`"cooldownPeriod": 60, `, inSpec)},
			check:    func(s v1alpha1.WorkloadAutoscalerSpec) bool { return s.Behavior == nil },
			warnings: []string{"spec.cooldownPeriod: left out"},
		},
		"an activation threshold without effect": {
			changes: []replacement{add(`"activationThreshold": "7", `, inProm)},
			check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
				return s.Metrics[0].Prometheus.ActivationThreshold == nil
			},
			warnings: []string{"spec.triggers[0].metadata.activationThreshold: left out"},
		},
		"a server by its name": {
			changes: []replacement{{"http://prometheus.monitoring:9090", "https://thanos.example.com"}},
			check:   func(s v1alpha1.WorkloadAutoscalerSpec) bool { return s.Metrics[0].Prometheus.ServerName == "long-term" },
		},
		"a threshold in thousandths": {
			changes: []replacement{{`"threshold": "5"`, `"threshold": "1.2345e1"`}},
			check: func(s v1alpha1.WorkloadAutoscalerSpec) bool {
				return s.Metrics[0].Prometheus.Target.AverageValue.String() == "12345m"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			wa, warnings, errs := convert.FromScaledObject([]byte(edited(t, c.changes)), options())
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			if !c.check(wa.Spec) {
				t.Errorf("not as expected: %+v", wa.Spec)
			}
			var others []string
			for _, w := range warnings {
				if w.String() != queryOnly {
					others = append(others, w.String())
				}
			}
			if len(others) != len(c.warnings) || len(others) != len(warnings)-1 {
				t.Fatalf("warnings %q, want that of the query and %q", warnings, c.warnings)
			}
			for i, want := range c.warnings {
				if !strings.HasPrefix(others[i], want) {
					t.Errorf("warning %q, want %q", others[i], want)
				}
			}
		})
	}
}
