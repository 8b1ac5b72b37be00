// Package convert turns HorizontalPodAutoscalers and KEDA ScaledObjects into
// WorkloadAutoscalers that do the same. What cannot be kept is refused, by the
// path of its field and with the reason, never left out in silence; what is kept
// with a small difference is said in a warning.
//
// It is not for objects in a cluster: it reads and writes text.
package convert

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Options say what an object to convert does not.
type Options struct {
	// PodSelection of the result. The HorizontalPodAutoscaler counts all pods that
	// match the selector of the workload. The default, Owner, counts those that the
	// workload owns, so that completed pods and pods of others never distort the
	// number; Selector counts as the HorizontalPodAutoscaler does.
	PodSelection v1alpha1.PodSelection
	// Servers are the names of Prometheus servers in the operator's configuration,
	// by the URL that triggers of a ScaledObject have in serverAddress.
	Servers map[string]string
}

// Warning is a difference of the result that its user should know of.
type Warning struct {
	// Field is the path of the field in the object that was converted.
	Field string
	// Message says what is different.
	Message string
}

// String says field and message.
func (w Warning) String() string { return w.Field + ": " + w.Message }

// report gathers what is refused and what is warned of.
type report struct {
	errs     field.ErrorList
	warnings []Warning
}

func (r *report) refuse(path *field.Path, value any, why string) {
	r.errs = append(r.errs, field.Invalid(path, value, why))
}

func (r *report) warn(path *field.Path, format string, args ...any) {
	r.warnings = append(r.warnings, Warning{path.String(), fmt.Sprintf(format, args...)})
}

// finish returns the result, or why there is none: what was refused or, if
// nothing was, what is wrong with the result. prefix is put before the paths of
// the result where they differ from those of the object that was converted.
func (r *report) finish(wa *v1alpha1.WorkloadAutoscaler, prefix string) (*v1alpha1.WorkloadAutoscaler, []Warning, field.ErrorList) {
	if len(r.errs) == 0 {
		complete := wa.DeepCopy()
		v1alpha1.SetDefaults(complete)
		for _, err := range v1alpha1.Validate(complete) {
			err.Field = prefix + err.Field
			r.errs = append(r.errs, err)
		}
	}
	if len(r.errs) > 0 {
		return nil, r.warnings, r.errs
	}
	return wa, r.warnings, nil
}

// newObject returns an object with the metadata of m that its author wrote, but
// for the annotations in drop.
func newObject(m metav1.ObjectMeta, o Options, r *report, drop ...string) *v1alpha1.WorkloadAutoscaler {
	path := field.NewPath("metadata")
	if m.Name == "" {
		r.errs = append(r.errs, field.Required(path.Child("name"), "the result is found by it"))
	}
	if len(m.Finalizers) > 0 {
		r.warn(path.Child("finalizers"), "left out: they belong to whoever waits for the end of the object that was converted")
	}
	annotations := maps.Clone(m.Annotations)
	for _, name := range append(drop, "kubectl.kubernetes.io/last-applied-configuration") {
		delete(annotations, name)
	}
	if len(annotations) == 0 {
		annotations = nil
	}
	wa := &v1alpha1.WorkloadAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion().String(), Kind: "WorkloadAutoscaler"},
		ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: maps.Clone(m.Labels), Annotations: annotations},
	}
	if o.PodSelection != v1alpha1.DefaultPodSelection {
		wa.Spec.PodSelection = o.PodSelection
	}
	return wa
}

// serverNamed finds the name of the server at a URL. A slash at the end does not
// count.
func (o Options) serverNamed(url string) (name string, known bool) {
	for known, name := range o.Servers {
		if strings.TrimRight(known, "/") == strings.TrimRight(url, "/") {
			return name, true
		}
	}
	return "", false
}

// serverURLs are the URLs of the servers, for a person.
func (o Options) serverURLs() string {
	if len(o.Servers) == 0 {
		return "none is given"
	}
	return strings.Join(slices.Sorted(maps.Keys(o.Servers)), ", ")
}
