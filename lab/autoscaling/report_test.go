package main

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"

	"github.com/plimsoll-k8s/plimsoll/lab/autoscaling/requests"
)

func TestTheFileKeepsWhatWasNotMeasuredAnew(t *testing.T) {
	out := filepath.Join(t.TempDir(), "r.csv")
	o := options{out: out, periods: 4}
	both := []result{
		{n: 5000, controller: "hpa", lateP50: 1, lateP99: 21.5, apiRequests: 15000, queries: 2500, evaluations: 4100, cores: 0.9, residentMB: 700, peakMB: 800},
		{n: 5000, controller: "plimsoll", lateP50: 0.5, lateP99: 2.25, apiRequests: 200, queries: 3, evaluations: 5000, cores: 0.1234, residentMB: 300, peakMB: 380},
	}
	if err := report(o, []string{"-n", "5000"}, both, nil, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	both[1].n = 100
	if err := report(o, []string{"-n", "100"}, both[1:], []figure{{"decision.ns", 1234.6, "ns", "lower"}}, &strings.Builder{}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		if before, _, comment := strings.Cut(line, ": "); comment {
			line = before // no date, no machine
		}
		got = append(got, strings.TrimSpace(line))
	}
	want := []string{
		"# decision", "# scale.100.plimsoll", "# scale.5000.hpa", "# scale.5000.plimsoll",
		"figure,value,unit,target,better",
		"decision.ns,1235,ns,5000,lower",
		"scale.100.plimsoll.api_requests,200.0,1/period,,lower",
		"scale.100.plimsoll.cores,0.1234,cores,,lower",
		"scale.100.plimsoll.evaluations,5000,1/period,,higher",
		"scale.100.plimsoll.period_p50_s,0.5000,s,,lower",
		"scale.100.plimsoll.period_p99_s,2.250,s,,lower",
		"scale.100.plimsoll.queries,3.000,1/period,,lower",
		"scale.100.plimsoll.rss_mb,300.0,MB,,lower",
		"scale.100.plimsoll.rss_peak_mb,380.0,MB,,lower",
		"scale.5000.hpa.api_requests,15000,1/period,,lower",
		"scale.5000.hpa.cores,0.9000,cores,,lower",
		"scale.5000.hpa.evaluations,4100,1/period,,higher",
		"scale.5000.hpa.period_p50_s,1.000,s,,lower",
		"scale.5000.hpa.period_p99_s,21.50,s,,lower",
		"scale.5000.hpa.queries,2500,1/period,,lower",
		"scale.5000.hpa.rss_mb,700.0,MB,,lower",
		"scale.5000.hpa.rss_peak_mb,800.0,MB,,lower",
		"scale.5000.plimsoll.api_requests,200.0,1/period,,lower",
		"scale.5000.plimsoll.cores,0.1234,cores,1,lower",
		"scale.5000.plimsoll.evaluations,5000,1/period,,higher",
		"scale.5000.plimsoll.period_p50_s,0.5000,s,,lower",
		"scale.5000.plimsoll.period_p99_s,2.250,s,10,lower",
		"scale.5000.plimsoll.queries,3.000,1/period,,lower",
		"scale.5000.plimsoll.rss_mb,300.0,MB,400,lower",
		"scale.5000.plimsoll.rss_peak_mb,380.0,MB,,lower",
		"scale.5000.requests_ratio,86.21,times,5,higher",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("file (-want +got):\n%s", diff)
	}
}

func histogram(count uint64, buckets ...float64) *dto.Histogram {
	h := &dto.Histogram{SampleCount: &count}
	for i := 0; i < len(buckets); i += 2 {
		cumulative := uint64(buckets[i+1])
		h.Bucket = append(h.Bucket, &dto.Bucket{UpperBound: &buckets[i], CumulativeCount: &cumulative})
	}
	return h
}

func TestQuantilesOfWhatWasObservedBetweenTwoReadings(t *testing.T) {
	inf := math.Inf(1)
	for name, tc := range map[string]struct {
		q             float64
		before, after *dto.Histogram
		want          float64
	}{
		"linear within a bucket":            {0.5, histogram(0, 1, 0, 2, 0, inf, 0), histogram(100, 1, 0, 2, 100, inf, 100), 1.5},
		"what was before does not count":    {0.5, histogram(100, 1, 100, 2, 100, inf, 100), histogram(200, 1, 100, 2, 200, inf, 200), 1.5},
		"in the first bucket":               {0.25, histogram(0, 1, 0, inf, 0), histogram(100, 1, 100, inf, 100), 0.25},
		"beyond the last bucket":            {0.99, histogram(0, 1, 0, inf, 0), histogram(100, 1, 98, inf, 100), inf},
		"the last finite bucket":            {0.5, histogram(0, 1, 0, inf, 0), histogram(4, 1, 4, inf, 4), 0.5},
		"nothing was observed":              {0.5, histogram(7, 1, 7), histogram(7, 1, 7), math.NaN()},
		"the buckets need not end with inf": {0.99, histogram(0, 1, 0), histogram(100, 1, 50), inf},
	} {
		t.Run(name, func(t *testing.T) {
			if got := quantile(tc.q, tc.before, tc.after); !cmp.Equal(got, tc.want, cmpopts.EquateNaNs()) {
				t.Errorf("%v, want %v", got, tc.want)
			}
		})
	}
}

func TestWhatHappenedBetweenTwoReadings(t *testing.T) {
	begin := time.Unix(1000, 0)
	before := reading{at: begin, queries: 40, child: usage{cpu: 2 * time.Second}, parent: usage{cpu: 5 * time.Second}, machine: 100 * time.Second}
	after := reading{
		at: begin.Add(40 * time.Second), queries: 60,
		child: usage{cpu: 12 * time.Second, peakResidents: 4e8}, parent: usage{cpu: 65 * time.Second},
		machine: 180 * time.Second,
		asked:   requests.Stats{Counts: map[string]int{"GET a": 80, "WATCH a": 1}, Late: []float64{3, 1, 2, 9}},
	}
	got := compare(before, after, 10*time.Second)
	want := result{
		apiRequests: 20, queries: 5, evaluations: 1, lateP50: 2, lateP99: 9,
		cores: 0.25, serverCores: 1.5, foreignCores: 0.25, peakMB: 400, asked: after.asked,
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
}

func TestParseUsage(t *testing.T) {
	const stat = "4242 (a (strange) name) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 9 0 100 1 2\n"
	got, err := parseUsage(stat, "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n")
	want := usage{cpu: 3 * time.Second, residentBytes: 1 << 20, peakResidents: 2 << 20}
	if err != nil || got != want {
		t.Errorf("usage %+v, error %v, want %+v", got, err, want)
	}
	if _, err := parseUsage("4242 (x) S 1", ""); err == nil {
		t.Error("a line that is too short is read")
	}
}

func TestParseMachineCPU(t *testing.T) {
	got, err := parseMachineCPU("cpu  100 50 25 9999 8888 5 10 10 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n")
	if want := 2 * time.Second; err != nil || got != want {
		t.Errorf("%v, error %v, want %v without idle and waiting time", got, err, want)
	}
	if _, err := parseMachineCPU("cpu 1 2"); err == nil {
		t.Error("a line that is too short is read")
	}
}

func TestBadFlags(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"a number that is none":       {[]string{"-n", "5,x"}, `-n: "x": must be numbers from 1 to 50000 with commas`},
		"too many autoscalers":        {[]string{"-n", "50001"}, `-n: "50001": must be numbers from 1 to 50000 with commas`},
		"numbers that fall":           {[]string{"-n", "5,4"}, `-n: "5,4": must ascend`},
		"a controller there is not":   {[]string{"-controllers", "keda"}, `-controllers: "keda": must be one of plimsoll, hpa, hpa-50-workers, hpa-20-qps`},
		"no period":                   {[]string{"-periods", "0"}, "-periods: 0: must be from 1 to 1000"},
		"a period too short":          {[]string{"-period", "500ms"}, "-period: 500ms: must be from 1s to 10m0s"},
		"an argument":                 {[]string{"now"}, `"now": all arguments are flags`},
		"two things wrong, two lines": {[]string{"-periods", "0", "-warm-up", "0"}, "-periods: 0: must be from 1 to 1000\n-warm-up: 0: must be from 1 to 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseFlags(tc.args, &strings.Builder{})
			if err == nil || err.Error() != tc.want {
				t.Errorf("error %v\nwant  %s", err, tc.want)
			}
		})
	}
}
