package prometheus

import (
	"fmt"
	"sync"
	"time"
)

// How a circuit breaks.
const (
	// failuresToOpen is how many failures in a row open it.
	failuresToOpen = 5
	// firstPause and longestPause are how long it stays open: twice as long each
	// time that the server has not recovered.
	firstPause   = 5 * time.Second
	longestPause = 60 * time.Second
)

// breaker leaves a server alone that does not answer. It tells the time by the
// moments it is given.
type breaker struct {
	mu        sync.Mutex
	failures  int       // in a row
	successes uint64    // ever
	until     time.Time // open until then; zero if closed
	pause     time.Duration
	probing   bool
	lastError string
}

// admission is what a breaker allows.
type admission int

const (
	admitted admission = iota
	probe              // one query, to see whether the server answers again
	refused
)

// admit says what may be asked at the time now. After a probe, settle has to be
// called.
func (b *breaker) admit(now time.Time) admission {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.until.IsZero():
		return admitted
	case b.probing || now.Before(b.until):
		return refused
	}
	b.probing = true
	return probe
}

// isOpen reports whether nothing may be asked, and why.
func (b *breaker) isOpen(now time.Time) (message string, open bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.until.IsZero() || b.probing && !now.Before(b.until) {
		return "", false
	}
	return b.message(), true
}

func (b *breaker) message() string {
	return fmt.Sprintf("not asked until %s, after %d failures in a row, the last: %s", b.until.UTC().Format(time.TimeOnly), b.failures, b.lastError)
}

// begin is called before a query; settle wants its answer.
func (b *breaker) begin() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.successes
}

// settle tells how a query ended that began then. A failure counts only if the
// server answered no other query meanwhile: that one query takes too long says
// nothing about the server.
func (b *breaker) settle(now time.Time, began uint64, r reply) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasProbe := b.probing
	b.probing = false
	switch {
	case r.undecided:
	case !r.down:
		b.successes++
		b.failures, b.until, b.pause = 0, time.Time{}, 0
	case b.successes == began:
		b.failures++
		b.lastError = r.err.Error()
		if b.failures >= failuresToOpen && (b.until.IsZero() || wasProbe) {
			b.pause = min(max(2*b.pause, firstPause), longestPause)
			b.until = now.Add(b.pause)
		}
	}
}
