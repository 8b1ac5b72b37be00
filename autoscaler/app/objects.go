package app

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/controller"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/mirror"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/rivals"
	"github.com/plimsoll-k8s/plimsoll/pkg/apis/autoscaling/v1alpha1"
)

// resource is how the API server calls our objects.
const resource = "workloadautoscalers"

// objects are our objects, as the API server has them.
type objects struct {
	client rest.Interface
	codec  runtime.ParameterCodec
	mirror *mirror.Mirror[*v1alpha1.WorkloadAutoscaler]
}

var (
	_ controller.Objects      = (*objects)(nil)
	_ controller.StatusWriter = (*objects)(nil)
)

func newObjects(client rest.Interface, codec runtime.ParameterCodec) *objects {
	return &objects{client: client, codec: codec}
}

// follow makes the mirror, which keeps the claims up to date and tells of specs
// that change.
func (o *objects) follow(claims *rivals.Index, changed func(types.NamespacedName)) {
	o.mirror = mirror.New(convertObject, func(c mirror.Change[*v1alpha1.WorkloadAutoscaler]) {
		if c.Old != nil {
			if key, claim, claimed := controller.ClaimOf(*c.Old); claimed {
				claims.Remove(key, claim)
			}
		}
		if c.New == nil {
			return
		}
		if key, claim, claimed := controller.ClaimOf(*c.New); claimed {
			claims.Add(key, claim)
		}
		if c.Old == nil || (*c.Old).UID != (*c.New).UID || (*c.Old).Generation != (*c.New).Generation {
			changed(c.Key)
		}
	})
}

func convertObject(object runtime.Object) (*v1alpha1.WorkloadAutoscaler, error) {
	wa, ours := object.(*v1alpha1.WorkloadAutoscaler)
	if !ours {
		return nil, fmt.Errorf("not a %s: %T", controller.Kind, object)
	}
	wa.ManagedFields = nil
	delete(wa.Annotations, "kubectl.kubernetes.io/last-applied-configuration")
	return wa, nil
}

// source lists and watches the objects of a namespace, of all if it is empty.
func (o *objects) source(namespace string) cache.ListerWatcher {
	return &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list := &v1alpha1.WorkloadAutoscalerList{}
			return list, o.client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).VersionedParams(&options, o.codec).Do(ctx).Into(list)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.Watch = true
			return o.client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).VersionedParams(&options, o.codec).Watch(ctx)
		},
	}
}

// Keys implements controller.Objects.
func (o *objects) Keys() []types.NamespacedName { return o.mirror.Keys() }

// Get implements controller.Objects.
func (o *objects) Get(key types.NamespacedName) (*v1alpha1.WorkloadAutoscaler, bool) {
	return o.mirror.Get(key)
}

// WriteStatus implements controller.StatusWriter.
func (o *objects) WriteStatus(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) (string, error) {
	version, err := o.putStatus(ctx, wa)
	if !apierrors.IsConflict(err) {
		return version, err
	}
	var latest v1alpha1.WorkloadAutoscaler
	if err := o.client.Get().Namespace(wa.Namespace).Resource(resource).Name(wa.Name).Do(ctx).Into(&latest); err != nil {
		return "", err
	}
	if latest.UID != wa.UID {
		return "", apierrors.NewNotFound(schema.GroupResource{Group: v1alpha1.GroupName, Resource: resource}, wa.Name)
	}
	latest.Status = wa.Status
	return o.putStatus(ctx, &latest)
}

func (o *objects) putStatus(ctx context.Context, wa *v1alpha1.WorkloadAutoscaler) (string, error) {
	var written v1alpha1.WorkloadAutoscaler
	err := o.client.Put().Namespace(wa.Namespace).Resource(resource).Name(wa.Name).SubResource("status").Body(wa).Do(ctx).Into(&written)
	return written.ResourceVersion, err
}
