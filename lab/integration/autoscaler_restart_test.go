package integration

import (
	"testing"
	"time"
)

// The windows and rates that a restart falls into, wall time.
const (
	heldFor    = 15 * time.Second // the stabilization window of scaling in
	ratePeriod = 12 * time.Second // two replicas more in this time
)

// testRestart stops ours and starts it again, and then has another take the lead, while a workload waits for the end of a
// stabilization window and another for that of a rate's period. Both ends stay where they were: nothing steps down early, nothing goes
// up early, and nothing begins anew.
func testRestart(t *testing.T, c *scalerLab) {
	const namespace = "restart"
	c.namespace(t, namespace)
	c.levels.set(namespace, "held", 58)
	c.levels.set(namespace, "rated", 5)
	c.deployment(t, namespace, "held", 1)
	c.deployment(t, namespace, "rated", 1)
	c.create(t, byLevel(namespace, "held", `
behavior:
  scaleUp: {policies: [{type: Pods, value: 100, periodSeconds: 1}]}
  scaleDown: {stabilizationWindowSeconds: 15}`))
	c.create(t, byLevel(namespace, "rated", `
behavior:
  scaleUp:
    policies:
    - {type: Pods, value: 2, periodSeconds: 12}`))
	c.eventuallyReplicas(t, namespace, "held", 6)
	time.Sleep(4 * scalerPeriod()) // the number is wanted for a while

	begin := time.Now()
	curves := make(chan map[string]curve, 1)
	go func() {
		curves <- c.record(t, namespace, heldFor+ratePeriod, func() {
			c.levels.set(namespace, "held", 15)
			c.levels.set(namespace, "rated", 200)
		})
	}()
	since := func() time.Duration { return time.Since(begin).Round(100 * time.Millisecond) }
	time.Sleep(3 * time.Second)
	c.ours.stop(t)
	stopped := since()
	time.Sleep(time.Second)
	c.ours = c.startOurs(t, scalerAccount, nil)
	started := since()
	time.Sleep(2 * time.Second)
	standby := c.startOurs(t, scalerAccount, nil) // a second one, which waits for the lease
	time.Sleep(2 * time.Second)
	c.ours.stop(t)
	c.ours = standby
	handed := since()
	seen := <-curves
	t.Logf("stopped at %v, started at %v, handed over at %v\nheld  %v\nrated %v", stopped, started, handed, seen["held"], seen["rated"])
	if handed > ratePeriod-2*time.Second {
		t.Fatalf("it took until %v: the periods end too soon after, and this proves nothing", handed)
	}

	const slack = 3 * time.Second // a period, a scrape, the requests, and a machine that is busy
	held := seen["held"]
	if len(held) != 2 || held[0].replicas != 6 || held[1].replicas != 2 {
		t.Fatalf("held: %v, want one step from 6 to 2", held)
	}
	if at := held[1].at; at < heldFor-2*scalerPeriod() || at > heldFor+slack {
		t.Errorf("held: the step down came after %v, want it after the window of %v, in which the restart fell", at, heldFor)
	}
	rated := seen["rated"]
	if len(rated) < 3 || rated[0].replicas != 1 || rated[1].replicas != 3 || rated[2].replicas != 5 {
		t.Fatalf("rated: %v, want steps from 1 to 3 and to 5", rated)
	}
	if between := rated[2].at - rated[1].at; between < ratePeriod-scalerPeriod() || between > ratePeriod+slack {
		t.Errorf("rated: %v between two steps, want the period of %v, in which the restart fell", between, ratePeriod)
	}
}
