package quiet

import (
	"fmt"
	"os"
)

// keptBytes is how much of the components' logs a failed run shows.
const keptBytes = 16_000

// Tests runs a test binary (m is a *testing.M) with the components' logs kept aside, shows the last
// of them if it fails, and returns its exit code.
func Tests(m interface{ Run() int }) int {
	log, err := os.CreateTemp("", "plimsoll-lab-test-*.log")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.Remove(log.Name())
	Redirect(log)
	code := m.Run()
	if code != 0 {
		if text, err := os.ReadFile(log.Name()); err == nil {
			fmt.Fprintf(os.Stderr, "--- the components' last log lines\n%s", text[max(0, len(text)-keptBytes):])
		}
	}
	return code
}
