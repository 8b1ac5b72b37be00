package convert

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// Convert reads HorizontalPodAutoscalers (autoscaling/v1 and v2), ScaledObjects
// (keda.sh/v1alpha1) and lists of them, in YAML or JSON, from r and writes the
// WorkloadAutoscalers in YAML to w, in their order. Warnings go to warnings, a
// line each. Objects that belong to others are refused, for their owners would
// write them again. If anything is refused nothing is written to w, and the error
// has a line for each field.
func Convert(r io.Reader, w, warnings io.Writer, o Options) error {
	c := converter{options: o, warnings: warnings}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(r))
	for n := 1; ; n++ {
		text, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
		raw, err := yaml.YAMLToJSONStrict(text)
		switch {
		case err != nil:
			c.problems = append(c.problems, fmt.Errorf("document %d: %w", n, err))
		case string(raw) != "null": // comments alone
			c.convert(raw, fmt.Sprintf("document %d", n))
		}
	}
	if len(c.problems) == 0 && c.converted == 0 {
		return errors.New("there is nothing to convert: no HorizontalPodAutoscaler and no ScaledObject")
	}
	if len(c.problems) > 0 {
		return errors.Join(c.problems...)
	}
	_, err := w.Write(c.out.Bytes())
	return err
}

// converter keeps what comes of a text.
type converter struct {
	options   Options
	warnings  io.Writer
	out       bytes.Buffer
	converted int
	problems  []error
}

// header is what all objects have.
type header struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        struct {
		Name            string                  `json:"name"`
		Namespace       string                  `json:"namespace"`
		OwnerReferences []metav1.OwnerReference `json:"ownerReferences"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// convert converts one object, or those in a list. place says where it was read.
func (c *converter) convert(raw []byte, place string) {
	var h header
	if err := json.Unmarshal(raw, &h); err != nil {
		c.problems = append(c.problems, fmt.Errorf("%s: not an object of Kubernetes: %w", place, err))
		return
	}
	if h.Kind == "List" || h.Kind == "HorizontalPodAutoscalerList" || h.Kind == "ScaledObjectList" {
		for i, item := range h.Items {
			c.convert(item, fmt.Sprintf("%s, items[%d]", place, i))
		}
		return
	}
	place = fmt.Sprintf("%s, %s %s", place, h.Kind, nameOf(h))
	wa, warnings, errs, err := c.object(raw, h)
	errs = append(owned(h), errs...)
	for _, warning := range warnings {
		fmt.Fprintf(c.warnings, "warning: %s: %s\n", place, warning)
	}
	if err != nil {
		c.problems = append(c.problems, fmt.Errorf("%s: %w", place, err))
	}
	for _, e := range errs {
		c.problems = append(c.problems, fmt.Errorf("%s: %w", place, e))
	}
	if len(errs) == 0 && wa != nil {
		c.write(wa)
	}
}

// owned refuses an object that belongs to another, which would write it again and
// scale beside the result.
func owned(h header) field.ErrorList {
	var errs field.ErrorList
	for i, owner := range h.Metadata.OwnerReferences {
		path := field.NewPath("metadata", "ownerReferences").Index(i)
		errs = append(errs, field.Invalid(path, owner.Kind+" "+owner.Name, "the object belongs to another, which would write it again: convert that one, or remove the reference"))
	}
	return errs
}

func nameOf(h header) string {
	if h.Metadata.Namespace == "" {
		return h.Metadata.Name
	}
	return h.Metadata.Namespace + "/" + h.Metadata.Name
}

func (c *converter) object(raw []byte, h header) (*v1alpha1.WorkloadAutoscaler, []Warning, field.ErrorList, error) {
	switch h.APIVersion + " " + h.Kind {
	case "autoscaling/v2 HorizontalPodAutoscaler":
		var hpa autoscalingv2.HorizontalPodAutoscaler
		if errs := decodeStrictly(raw, &hpa); len(errs) > 0 {
			return nil, nil, errs, nil
		}
		wa, warnings, errs := FromHPA(&hpa, c.options)
		return wa, warnings, errs, nil
	case "autoscaling/v1 HorizontalPodAutoscaler":
		var hpa autoscalingv1.HorizontalPodAutoscaler
		if errs := decodeStrictly(raw, &hpa); len(errs) > 0 {
			return nil, nil, errs, nil
		}
		wa, warnings, errs := FromHPAv1(&hpa, c.options)
		return wa, warnings, errs, nil
	case "keda.sh/v1alpha1 ScaledObject":
		wa, warnings, errs := FromScaledObject(raw, c.options)
		return wa, warnings, errs, nil
	}
	return nil, nil, nil, fmt.Errorf("apiVersion %q, kind %q: must be HorizontalPodAutoscaler of autoscaling/v2 or autoscaling/v1, or ScaledObject of keda.sh/v1alpha1", h.APIVersion, h.Kind)
}

// write adds the object, without status.
func (c *converter) write(wa *v1alpha1.WorkloadAutoscaler) {
	object, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wa)
	if err == nil {
		delete(object, "status")
		var text []byte
		if text, err = yaml.Marshal(object); err == nil {
			if c.converted > 0 {
				c.out.WriteString("---\n")
			}
			c.out.Write(text)
			c.converted++
			return
		}
	}
	c.problems = append(c.problems, fmt.Errorf("write WorkloadAutoscaler %s: %w", wa.Name, err))
}
