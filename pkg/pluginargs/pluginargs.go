// Package pluginargs reads a scheduler plugin's arguments strictly onto its
// defaults, so that a misspelt field stops the scheduler instead of being
// ignored.
package pluginargs

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Decode returns defaults overwritten by what obj sets. kube-scheduler hands a
// factory nil when no arguments are configured (the answer is defaults) and a
// *runtime.Unknown with JSON or YAML otherwise. A field that T does not have, a
// field given twice or of the wrong type is an error with its path. Names are
// case sensitive. Ranges are T's own to check.
//
// T should hold no maps or slices in its defaults: decoding would add to them.
func Decode[T any](obj runtime.Object, defaults T) (T, error) {
	if obj == nil {
		return defaults, nil
	}
	unknown, ok := obj.(*runtime.Unknown)
	if !ok {
		return defaults, fmt.Errorf("want args of type *runtime.Unknown, got %T", obj)
	}
	data, err := jsonOf(unknown)
	if err != nil || len(data) == 0 {
		return defaults, err
	}
	args := defaults
	strict, err := json.UnmarshalStrict(data, &args)
	if err := errors.Join(append(strict, err)...); err != nil {
		return defaults, fmt.Errorf("args: %w", err)
	}
	return args, nil
}

func jsonOf(unknown *runtime.Unknown) ([]byte, error) {
	switch unknown.ContentType {
	case runtime.ContentTypeJSON, "":
		return unknown.Raw, nil
	case runtime.ContentTypeYAML:
		data, err := yaml.YAMLToJSONStrict(unknown.Raw)
		if err != nil {
			return nil, fmt.Errorf("args: %w", err)
		}
		return data, nil
	default:
		return nil, fmt.Errorf("args have content type %q, want %q or %q",
			unknown.ContentType, runtime.ContentTypeJSON, runtime.ContentTypeYAML)
	}
}
