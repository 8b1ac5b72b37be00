package custom_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/metrics/pkg/apis/custom_metrics/v1beta2"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/custom"
)

// discovered has a version once there is an API.
type discovered struct {
	present bool
	asked   int
}

// PreferredVersion implements customclient.AvailableAPIsGetter.
func (d *discovered) PreferredVersion() (schema.GroupVersion, error) {
	d.asked++
	if !d.present {
		return schema.GroupVersion{}, errors.New("no such API")
	}
	return v1beta2.SchemeGroupVersion, nil
}

// Invalidate implements customclient.AvailableAPIsGetter.
func (*discovered) Invalidate() {}

func TestVersionsAreAskedForNowAndThen(t *testing.T) {
	clock, d := now, &discovered{}
	versions := custom.Versions(d, func() time.Time { return clock })
	type step struct {
		after   time.Duration
		asked   int
		present bool
	}
	var got []step
	for _, s := range []struct {
		after   time.Duration
		install bool
	}{
		{0, false}, {0, false}, {custom.AbsentTTL - 1, true}, {1, true}, {custom.VersionTTL - 1, true}, {1, true},
	} {
		clock, d.present = clock.Add(s.after), s.install
		version, err := versions.PreferredVersion()
		if (err == nil) != (version == v1beta2.SchemeGroupVersion) {
			t.Errorf("got %v, %v", version, err)
		}
		got = append(got, step{s.after, d.asked, err == nil})
	}
	want := []step{{0, 1, false}, {0, 1, false}, {custom.AbsentTTL - 1, 1, false}, {1, 2, true}, {custom.VersionTTL - 1, 2, true}, {1, 3, true}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(step{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	versions.Invalidate()
	if _, err := versions.PreferredVersion(); err != nil || d.asked != 4 {
		t.Errorf("after Invalidate: asked %d times, %v", d.asked, err)
	}
}
