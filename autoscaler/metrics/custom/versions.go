package custom

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	customclient "k8s.io/metrics/pkg/client/custom_metrics"
)

const (
	// VersionTTL is how long the API's preferred version is believed.
	VersionTTL = 10 * time.Minute
	// AbsentTTL is how long it is believed that there is no such API.
	AbsentTTL = time.Minute
)

// Versions asks what it is given for the API's preferred version now and then, not
// once for each request while there is no such API, as the one of the client
// library does.
func Versions(of customclient.AvailableAPIsGetter, now func() time.Time) customclient.AvailableAPIsGetter {
	return &versions{of: of, now: now}
}

type versions struct {
	of  customclient.AvailableAPIsGetter
	now func() time.Time

	mu      sync.Mutex
	until   time.Time
	version schema.GroupVersion
	err     error
}

// PreferredVersion implements customclient.AvailableAPIsGetter.
func (v *versions) PreferredVersion() (schema.GroupVersion, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := v.now(); !now.Before(v.until) {
		v.of.Invalidate()
		v.version, v.err = v.of.PreferredVersion()
		v.until = now.Add(VersionTTL)
		if v.err != nil {
			v.until = now.Add(AbsentTTL)
		}
	}
	return v.version, v.err
}

// Invalidate implements customclient.AvailableAPIsGetter.
func (v *versions) Invalidate() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.until = time.Time{}
}
