package baseline

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/plimsoll-k8s/plimsoll/bench/packing/openb"
)

func one(c openb.Class) []openb.Share { return []openb.Share{{Class: c, Of: 1}} }

func TestWhatAClassCannotUseIsFragmented(t *testing.T) {
	node := room{cpuMilli: 4000, free: []int64{1000, 300, 0}, model: "T4"}
	for name, c := range map[string]struct {
		class openb.Class
		want  float64
	}{
		"a share fits: GPUs too small for it":                {openb.Class{CPUMilli: 1000, GPUs: 1, GPUMilli: 400}, 300},
		"a share that fits everywhere":                       {openb.Class{CPUMilli: 1000, GPUs: 1, GPUMilli: 300}, 0},
		"CPU only: everything":                               {openb.Class{CPUMilli: 1000}, 1300},
		"too little CPU: everything":                         {openb.Class{CPUMilli: 5000, GPUs: 1, GPUMilli: 300}, 1300},
		"too few GPUs: everything":                           {openb.Class{CPUMilli: 1000, GPUs: 2, GPUMilli: 1000}, 1300},
		"another model: everything":                          {openb.Class{GPUs: 1, GPUMilli: 1000, Models: "P100|V100M16"}, 1300},
		"this model among others: GPUs too small":            {openb.Class{GPUs: 1, GPUMilli: 1000, Models: "P100|T4"}, 300},
		"a name that only begins with this model is another": {openb.Class{GPUs: 1, GPUMilli: 1000, Models: "T40"}, 1300},
	} {
		t.Run(name, func(t *testing.T) {
			if got := node.fragments(one(c.class)); got != c.want {
				t.Errorf("%g thousandths are fragmented, want %g", got, c.want)
			}
		})
	}
}

func TestDescentTakesTheGPUThatFragmentsLeast(t *testing.T) {
	node := room{cpuMilli: 8000, free: []int64{1000, 700, 500}}
	typical := []openb.Share{
		{Class: openb.Class{GPUs: 1, GPUMilli: 1000}, Of: 0.5},
		{Class: openb.Class{GPUs: 1, GPUMilli: 500}, Of: 0.5},
	}
	score, gpu := node.descent(openb.Class{CPUMilli: 1000, GPUs: 1, GPUMilli: 500}, typical)
	if gpu != 2 {
		t.Errorf("GPU %d is taken, want 2, which it fills", gpu)
	}
	if score <= 50 {
		t.Errorf("score is %d, want above 50: less is fragmented after", score)
	}
}

func TestWholeGPUsAreTheFirstFreeOnes(t *testing.T) {
	left := room{cpuMilli: 8000, free: []int64{400, 1000, 1000, 1000}}.place(openb.Class{CPUMilli: 1000, GPUs: 2, GPUMilli: 1000})
	if want := []int64{400, 0, 0, 1000}; !slices.Equal(left.free, want) || left.cpuMilli != 7000 {
		t.Errorf("left are %v and %d of CPU, want %v and 7000", left.free, left.cpuMilli, want)
	}
}

func TestScoresAreWholePoints(t *testing.T) {
	for decrease, want := range map[float64]int64{0: 50, -0.001: 49, 1000: 73, -1000: 26, 1e6: 100, -1e6: 0} {
		if got := steepness(decrease); got != want {
			t.Errorf("a decrease of %g scores %d, want %d", decrease, got, want)
		}
	}
}

func TestPaperBestFit(t *testing.T) {
	for name, c := range map[string]struct {
		node  room
		class openb.Class
		want  int64
	}{
		"the largest node, untouched": {room{cpuMilli: 128000, free: slices.Repeat([]int64{1000}, 8)}, openb.Class{}, 0},
		"nothing left":                {room{cpuMilli: 1000, free: []int64{500}}, openb.Class{CPUMilli: 1000, GPUs: 1, GPUMilli: 500}, 100},
		"half of CPU left":            {room{cpuMilli: 64000, free: nil}, openb.Class{}, 75},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.node.bestFit(c.class); got != c.want {
				t.Errorf("score is %d, want %d", got, c.want)
			}
		})
	}
}

// What is fragmented is between nothing and all that is free, and the classes'
// parts add up.
func TestFragmentsAreOfWhatIsFree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		node := room{
			cpuMilli: rapid.Int64Range(0, 1e5).Draw(t, "cpu"),
			free:     rapid.SliceOfN(rapid.Int64Range(0, 1000), 0, 8).Draw(t, "free"),
		}
		var all, parts float64
		for _, free := range node.free {
			all += float64(free)
		}
		var typical []openb.Share
		for range rapid.IntRange(1, 5).Draw(t, "classes") {
			c := openb.Class{CPUMilli: rapid.Int64Range(0, 1e5).Draw(t, "asks"), GPUs: rapid.IntRange(0, 8).Draw(t, "GPUs")}
			if c.GPUs > 0 {
				c.GPUMilli = openb.WholeGPU
			}
			typical = append(typical, openb.Share{Class: c})
		}
		for i := range typical {
			typical[i].Of = 1 / float64(len(typical))
			parts += node.fragments(one(typical[i].Class)) / float64(len(typical))
		}
		got := node.fragments(typical)
		if got < 0 || got > all*(1+1e-9) || math.Abs(got-parts) > 1e-6 {
			t.Fatalf("%g of %g are fragmented, the classes' parts are %g", got, all, parts)
		}
	})
}
