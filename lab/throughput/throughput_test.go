package throughput

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFigures(t *testing.T) {
	run := func(profile string, rate, hinted float64) Run {
		return Run{Setting: "score=all", Profile: profile, PodsPerSecond: rate, HintedShare: hinted}
	}
	for _, tc := range []struct {
		name string
		runs []Run
		want []float64 // rates of default and ours, hints of default and ours, ratio: median, least, largest
	}{
		{
			"one run of each", []Run{run(Default, 100, 0), run(Plimsoll, 150, 0.9)},
			[]float64{100, 150, 0, 0.9, 1.5, 1.5, 1.5},
		},
		{
			"runs in turns are paired in their order, whichever came first",
			[]Run{run(Default, 100, 0), run(Plimsoll, 200, 0.5), run(Plimsoll, 90, 0.7), run(Default, 30, 0), run(Default, 200, 0), run(Plimsoll, 200, 0.6)},
			[]float64{100, 200, 0, 0.6, 2, 1, 3},
		},
		{
			"of two pairs the ratio is the mean",
			[]Run{run(Default, 100, 0), run(Plimsoll, 100, 0), run(Default, 100, 0), run(Plimsoll, 200, 0)},
			[]float64{100, 150, 0, 0, 1.5, 1, 2},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			figures, err := Figures(tc.runs)
			if err != nil {
				t.Fatal(err)
			}
			var got []float64
			for _, f := range figures {
				got = append(got, f.Value)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("figures (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFiguresRejects(t *testing.T) {
	for _, tc := range []struct {
		name string
		runs []Run
		want string
	}{
		{
			"a run without its counterpart", []Run{{Setting: "s", Profile: Plimsoll, PodsPerSecond: 1}},
			"runs of s: 1 of plimsoll and 0 of default: want as many of one as of the other, at least 1",
		},
		{
			"a run that scheduled nothing", []Run{{Setting: "s", Profile: Plimsoll, PodsPerSecond: 1}, {Setting: "s", Profile: Default}},
			"runs of s: 1 and 0 pods/s: want more than 0",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := Figures(tc.runs); err == nil || err.Error() != tc.want {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

func TestWriteCSV(t *testing.T) {
	var out strings.Builder
	err := WriteCSV(&out, "2026-11-24; a machine; a command", []Figure{
		{Name: "throughput.s.ratio", Value: 1.23456, Unit: "times", Target: "1.0", Better: "higher"},
		{Name: "throughput.s.default.pods_per_second", Value: 12345.6, Unit: "pods/s", Better: "higher"},
		{Name: "throughput.s.default.hinted", Value: 0, Unit: "share"},
		{Name: "throughput.s.plimsoll.hinted", Value: 0.98765, Unit: "share"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `# 2026-11-24; a machine; a command
figure,value,unit,target,better
throughput.s.ratio,1.235,times,1.0,higher
throughput.s.default.pods_per_second,12346,pods/s,,higher
throughput.s.default.hinted,0,share,,
throughput.s.plimsoll.hinted,0.9877,share,,
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}
