package resource

import (
	"testing"
	"time"
)

func TestCheaper(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	known := func(samples int) cluster { return cluster{learned: now.Add(-relearn + 1), samples: samples} }
	for name, c := range map[string]struct {
		cluster     cluster
		lists, pods int
		want        bool
	}{
		"a few lists are not worth it":                  {known(10), 8, 10, false},
		"nothing is known":                              {cluster{}, 9, 10, true},
		"everybody asks":                                {known(50000), 50, 50000, true},
		"one asks for more metrics than there are pods": {known(1000), 9, 3000, true},
		"the surplus is just worth eight requests":      {known(4010), 9, 10, true},
		"the surplus is not worth eight requests":       {known(4011), 9, 10, false},
		"it was refused":                                {cluster{learned: now.Add(-relearn + 1), refused: true}, 1000, 10, false},
		"it was refused long ago":                       {cluster{learned: now.Add(-relearn), refused: true}, 9, 10, true},
		"the cluster was large long ago":                {cluster{learned: now.Add(-relearn), samples: 1e6}, 9, 10, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.cluster.cheaper(now, c.lists, c.pods); got != c.want {
				t.Errorf("got %t", got)
			}
		})
	}
}
