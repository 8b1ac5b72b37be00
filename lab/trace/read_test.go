package trace

import (
	"bytes"
	"compress/gzip"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestReadAccepts(t *testing.T) {
	june := time.Date(1998, time.June, 10, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name  string
		file  string
		start time.Time
		step  time.Duration
		rates []float64
	}{
		{
			name: "requests a minute, as the World Cup file has them", start: june, step: time.Minute, rates: []float64{1, 2},
			file: "minute_utc,requests\n1998-06-10 12:00:00,60\n1998-06-10 12:01:00,120\n",
		},
		{
			name: "RFC 3339 and rates", start: june, step: time.Second, rates: []float64{0.5, 0},
			file: "time,rps\n1998-06-10T12:00:00Z,0.5\n1998-06-10T12:00:01Z,0\n",
		},
		{
			name: "another time zone", start: june, step: time.Hour, rates: []float64{7, 8},
			file: "time,requests_per_second\n1998-06-10T14:00:00+02:00,7\n1998-06-10T15:00:00+02:00,8\n",
		},
		{
			name: "offsets in minutes that begin at 5", start: time.Time{}.Add(5 * time.Minute), step: 5 * time.Minute, rates: []float64{1, 2},
			file: "minute,count\n5,300\n10,600\n",
		},
		{
			name: "offsets in rounded seconds", step: 333 * time.Millisecond, rates: []float64{1, 2, 3, 4},
			file: "offset_seconds,rps\n0,1\n0.333,2\n0.667,3\n1,4\n",
		},
		{
			name: "a byte order mark, carriage returns, spaces, blank lines, quotes and capitals", step: time.Hour, rates: []float64{1, 2},
			file: "\ufeffHour , RPS\r\n0, 1\r\n\r\n\"1\",\"2\"\r\n",
		},
	} {
		for _, packed := range []bool{false, true} {
			t.Run(tc.name, func(t *testing.T) {
				file := []byte(tc.file)
				if packed {
					file = zip(t, file)
				}
				got, err := Read("load.csv", bytes.NewReader(file))
				if err != nil {
					t.Fatal(err)
				}
				if !got.start.Equal(tc.start) || got.step != tc.step || got.name != "load.csv" {
					t.Errorf("%s starts %v, step %v; want load.csv, %v, %v", got.name, got.start, got.step, tc.start, tc.step)
				}
				if diff := cmp.Diff(tc.rates, got.rates); diff != "" {
					t.Errorf("rates (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestReadRejects(t *testing.T) {
	const head = "minute_utc,requests\n1998-06-10 12:00:00,60\n1998-06-10 12:01:00,120\n"
	for _, tc := range []struct{ name, file, want string }{
		{"an empty file", "", `load.csv: the file is empty: a header with two columns is needed`},
		{"a header alone", "time,rps\n", `load.csv: rows: 0; at least 2 are needed, they set the step`},
		{"one row", "minute,rps\n0,1\n", `load.csv: rows: 1; at least 2 are needed, they set the step`},
		{"no header", "0,1\n1,2\n", `load.csv:1: column "value": "1": a header with two columns is needed, the time and one of requests, count, rps, requests_per_second`},
		{"an unknown unit of load", "minute,cpu_percent\n0,1\n", `load.csv:1: column "value": "cpu_percent": a header`},
		{"one column", "requests\n1\n", `load.csv:1: "requests": a header with two columns`},
		{"three columns", "minute,requests,busy\n0,1,2\n", `load.csv:1: "minute,requests,busy": a header with two columns`},
		{"a column without a name", ",requests\n0,1\n", `load.csv:1: column "time": a header`},
		{"a row with one cell too many", head + "1998-06-10 12:02:00,1,2\n", `load.csv:4: "1998-06-10 12:02:00,1,2": 3 columns; allowed are two, minute_utc and requests`},
		{"a negative load", head + "1998-06-10 12:02:00,-3\n", `load.csv:4: column "requests": "-3": not a number that is 0 or more`},
		{"NaN", head + "1998-06-10 12:02:00,NaN\n", `load.csv:4: column "requests": "NaN": not a number that is 0 or more`},
		{"infinity", head + "1998-06-10 12:02:00,inf\n", `load.csv:4: column "requests": "inf": not a number`},
		{"a word", head + "1998-06-10 12:02:00,many\n", `load.csv:4: column "requests": "many": not a number`},
		{"a missing load", head + "1998-06-10 12:02:00,\n", `load.csv:4: column "requests": not a number`},
		{"a load above the limit", head + "1998-06-10 12:02:00,6e9\n", `load.csv:4: column "requests": "6e9": 1e+08 requests per second; allowed is 0 to 1e+07`},
		{"a first load above the limit", "minute,requests\n0,6e9\n1,1\n", `value 0: 1e+08 requests per second: allowed is 0 to 1e+07`},
		{"a time that is none", head + "yesterday,1\n", `load.csv:4: column "minute_utc": "yesterday": not a time: 2006-01-02T15:04:05Z, 2006-01-02 15:04:05 or a number`},
		{"a number without a unit", "time,rps\n0,1\n1,1\n", `load.csv:2: column "time": "0": a number, and the column's name holds no unit`},
		{"a negative offset", "seconds,rps\n-1,1\n", `load.csv:2: column "seconds": "-1": allowed is 0 to 3.1536e+09`},
		{"an offset that is not a number", "seconds,rps\nNaN,1\n", `load.csv:2: column "seconds": "NaN": not a time`},
		{"the same time twice", head + "1998-06-10 12:01:00,1\n", `load.csv:4: column "minute_utc": "1998-06-10 12:01:00": not after the row before it`},
		{"time that runs back", head + "1998-06-10 11:00:00,1\n", `not after the row before it`},
		{"a gap", head + "1998-06-10 12:04:00,1\n", `load.csv:4: column "minute_utc": "1998-06-10 12:04:00": 3m0s after the row before it; the step is 1m0s, and a step without requests is a row with 0`},
		{"a row too soon", head + "1998-06-10 12:01:30,1\n", `30s after the row before it; the step is 1m0s`},
		{"a first step above a day", "time,rps\n1998-06-10 12:00:00,1\n1998-06-12 12:00:00,1\n", `load.csv:3: column "time": "1998-06-12 12:00:00": 48h0m0s after the row before it; allowed is 1ms to 24h0m0s`},
		{"a quote left open", head + "\"1998-06-10 12:02:00,1\n", `load.csv:4: extraneous or missing " in quoted-field`},
		{"a long wrong value, shortened", head + "1998-06-10 12:02:00," + strings.Repeat("x", 1000), `"` + strings.Repeat("x", 40) + `...": not a number`},
		{"a damaged gzip header", "\x1f\x8bxx", `load.csv: read gzip: `},
		{"a binary file", "\x7fELF\x02\x01\x01\x00", `load.csv:1: "\x7fELF\x02\x01\x01\x00": a header`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Read("load.csv", strings.NewReader(tc.file))
			var wrong *Error
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestReadFilling(t *testing.T) {
	const counts = "minute,requests\n10,60\n11,120\n14,60\n15,60\n17,60\n"
	got, gaps, err := ReadFilling("load.csv", strings.NewReader(counts))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]float64{1, 2, 0, 0, 1, 1, 0, 1}, got.rates); diff != "" {
		t.Errorf("rates (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]Gap{{From: 2 * time.Minute, Steps: 2}, {From: 6 * time.Minute, Steps: 1}}, gaps); diff != "" {
		t.Errorf("gaps (-want +got):\n%s", diff)
	}
	for _, tc := range []struct{ name, file, want string }{
		{"rates have no filling", "minute,rps\n10,60\n11,120\n14,60\n", `load.csv:4: column "minute": "14": 3m0s after`},
		{"a row between steps", "minute,requests\n10,60\n11,120\n12.5,60\n", `load.csv:4: column "minute": "12.5": 1m30s after`},
		{"a gap longer than a trace", "seconds,requests\n0,1\n0.001,1\n4000,1\n", `load.csv:4: column "seconds": "4000": past the 4000000 steps`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _, err := ReadFilling("load.csv", strings.NewReader(tc.file))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v\nwant %s", err, tc.want)
			}
		})
	}
}

func TestReadRejectsATruncatedGzip(t *testing.T) {
	whole := zip(t, []byte("minute,requests\n"+strings.Repeat("0,1\n", 1000)))
	_, err := Read("load.csv.gz", bytes.NewReader(whole[:len(whole)-8]))
	if err == nil {
		t.Fatal("no error")
	}
}

func TestReadRejectsAFileAboveTheLimit(t *testing.T) {
	const file = "minute,rps\n0,1\n1,1\n2,1\n"
	if _, _, err := read("load.csv", strings.NewReader(file), false, int64(len(file))); err != nil {
		t.Errorf("a file at the limit: %v", err)
	}
	_, _, err := read("load.csv", strings.NewReader(file), false, int64(len(file))-1)
	if want := "load.csv: larger than the 22 bytes allowed"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestLoadReadsWhatIsOnDisk(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "load.csv.gz")
	if err := os.WriteFile(path, zip(t, []byte("minute,rps\n0,1\n1,2\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(path)
	if err != nil || !slices.Equal(got.rates, []float64{1, 2}) || got.Name() != "load.csv.gz" {
		t.Errorf("got %v %v, error %v", got.Name(), got.rates, err)
	}
	if _, err := Load(filepath.Join(dir, "absent.csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: error %v, want one that is os.ErrNotExist", err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a directory: no error")
	}
}

func zip(t testing.TB, plain []byte) []byte {
	t.Helper()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed.Bytes()
}

// FuzzRead checks that any file gives either a trace within the limits or an *Error, and never a panic.
func FuzzRead(f *testing.F) {
	f.Add([]byte("minute_utc,requests\n1998-06-10 12:00:00,60\n1998-06-10 12:01:00,120\n"))
	f.Add([]byte("seconds,rps\n0,1\n0.5,2\n"))
	f.Add([]byte("hour,count\n3.1e5,1\n8e5,2\n"))
	f.Add([]byte("time,rps\n0001-01-01T00:00:00Z,1\n9999-12-31T23:59:59Z,2\n"))
	f.Add([]byte("\ufeff\"s\",rps\n\n0,1e7\n1e-3,1e8\n"))
	f.Add(zip(f, []byte("minute,rps\n0,1\n1,2\n")))
	f.Fuzz(func(t *testing.T, file []byte) {
		checkRead(t, file, false)
		checkRead(t, file, true)
	})
}

func checkRead(t *testing.T, file []byte, fill bool) {
	t.Helper()
	got, gaps, err := read("fuzz.csv", bytes.NewReader(file), fill, 1<<16)
	if err != nil {
		var wrong *Error
		if !errors.As(err, &wrong) || wrong.Allowed == "" {
			t.Fatalf("error %v of type %T says nothing", err, err)
		}
		return
	}
	if got.Steps() < 2 || got.step < MinStep || got.step > MaxStep || got.Duration() > MaxDuration {
		t.Fatalf("%d steps of %v", got.Steps(), got.step)
	}
	for i, rate := range got.rates {
		if !isRate(rate) {
			t.Fatalf("value %d is %v", i, rate)
		}
	}
	if len(gaps) > 0 && !fill {
		t.Fatalf("gaps %v in a file read strictly", gaps)
	}
	for _, gap := range gaps {
		for i := range gap.Steps {
			if at := int(gap.From/got.step) + i; got.rates[at] != 0 {
				t.Fatalf("value %d is %v inside the gap %v", at, got.rates[at], gap)
			}
		}
	}
}
