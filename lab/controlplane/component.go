package controlplane

import "fmt"

// component is something that runs until its context ends, or fails before.
type component struct {
	done chan struct{}
	err  error // set before done is closed
}

// startComponent runs a component whose errors bear its name.
func startComponent(name string, run func() error) *component {
	c := &component{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		if err := run(); err != nil {
			c.err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	return c
}

// wait returns when the component has ended, with its error.
func (c *component) wait() error {
	<-c.done
	return c.err
}
