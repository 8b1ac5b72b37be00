// Package inflight makes many calls, a few at a time, and stops waiting for them
// when its context ends. It serves clients that take no context: what such a
// client hangs on is left behind, and counts as in flight until it returns, so
// that there are never more than a few of them.
package inflight

import (
	"context"
	"fmt"
)

// Calls bounds how many calls are in flight. It may be used by several
// goroutines at once.
type Calls struct {
	slots chan struct{}
}

// New returns calls of which at most n, 1 or more, are in flight.
func New(n int) *Calls { return &Calls{slots: make(chan struct{}, n)} }

// Do makes the calls 0 to n-1, in this order, and gives what each returns to done
// as soon as it does. When ctx ends, the calls that have not returned are done
// with an error that says so, and their results are dropped. It returns when done
// was called for each, exactly once. done is called by one goroutine; call by
// several.
func Do[V any](ctx context.Context, c *Calls, n int, call func(i int) (V, error), done func(i int, v V, err error)) {
	type result struct {
		i   int
		v   V
		err error
	}
	results := make(chan result, n) // so that a call left behind never blocks
	started, finished := 0, make([]bool, n)
	finish := func(r result) {
		finished[r.i] = true
		done(r.i, r.v, r.err)
	}
	for open := n; open > 0; {
		free := c.slots
		if started == n {
			free = nil
		}
		select {
		case <-ctx.Done():
			for ; len(results) > 0; open-- {
				finish(<-results)
			}
			for i := range finished {
				if !finished[i] {
					finish(result{i: i, err: ended(ctx, i < started)})
				}
			}
			return
		case free <- struct{}{}:
			i := started
			started++
			go func() {
				v, err := call(i)
				<-c.slots
				results <- result{i, v, err}
			}()
		case r := <-results:
			finish(r)
			open--
		}
	}
}

func ended(ctx context.Context, started bool) error {
	if started {
		return fmt.Errorf("no answer in time: %w", context.Cause(ctx))
	}
	return fmt.Errorf("not asked in time, as earlier requests took too long: %w", context.Cause(ctx))
}

// Groups puts the numbers from 0 to n-1 that have the same key together, in the
// order in which the keys first appear.
func Groups[K comparable](n int, key func(i int) K) [][]int {
	groups, place := [][]int(nil), make(map[K]int, n)
	for i := range n {
		k := key(i)
		at, found := place[k]
		if !found {
			at = len(groups)
			place[k] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}
