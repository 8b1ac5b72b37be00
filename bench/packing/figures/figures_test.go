package figures_test

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/figures"
)

func byName(a, b []string) int { return cmp.Compare(a[0], b[0]) }

func TestOnlyWhatWasMeasuredAnewChanges(t *testing.T) {
	name := filepath.Join(t.TempDir(), "results", "r.csv")
	header := []string{"figure", "value"}
	f, err := figures.Read(name, header)
	if err != nil {
		t.Fatal(err)
	}
	f.Comments["p1"] = "monday: early"
	f.Comments["p2"] = "tuesday"
	f.Replace(nothing, [][]string{{"p2.b", "2"}, {"p1.a", "1"}, {"p1.gone", "0"}})
	if err := f.Write(name, byName); err != nil {
		t.Fatal(err)
	}
	if f, err = figures.Read(name, header); err != nil {
		t.Fatal(err)
	}
	f.Comments["p1"] = "friday"
	f.Replace(func(line []string) bool { return strings.HasPrefix(line[0], "p1.") }, [][]string{{"p1.a", "3"}})
	if err := f.Write(name, byName); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := "# p1: friday\n# p2: tuesday\nfigure,value\np1.a,3\np2.b,2\n"
	if diff := gocmp.Diff(want, string(got)); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

// nothing finds nothing stale.
func nothing([]string) bool { return false }

func TestAnotherHeaderIsRefused(t *testing.T) {
	name := filepath.Join(t.TempDir(), "r.csv")
	if err := os.WriteFile(name, []byte("# p1: x\na,b\n1,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := figures.Read(name, []string{"figure", "value"})
	if err == nil || !strings.Contains(err.Error(), "r.csv: the header must be figure,value") {
		t.Errorf("error is %v", err)
	}
}
