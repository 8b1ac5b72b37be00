package marginalcost

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/plimsoll-k8s/plimsoll/pkg/decisions"
	"github.com/plimsoll-k8s/plimsoll/pkg/pluginargs"
	"github.com/plimsoll-k8s/plimsoll/pkg/shapes"
)

// Args configures the plugin. Zero is a value of its own: start from DefaultArgs.
type Args struct {
	// Prices are what the terms of the cost count for.
	Prices Prices `json:"prices"`
	// Mix is what the cluster's pods ask for, in place of what is learned from
	// them. Empty: learned.
	Mix []shapes.Pin `json:"mix,omitempty"`
	// RecentDecisions is how many of the latest decisions are kept in memory, 0
	// to 65536, default 1024. Of several profiles in one scheduler the largest
	// number applies.
	RecentDecisions int `json:"recentDecisions"`
}

// Prices says what one unit of each term costs, in shares of a node, 0 to
// MaxPrice. 0 leaves the term out. At least one is above 0.
type Prices struct {
	// Opening is the price of putting an empty node in use. Default 1: an empty
	// node is worth a node.
	Opening float64 `json:"opening"`
	// Stranding is the price of a node's worth of capacity that the cluster's pods
	// cannot use any more. Default 1.
	Stranding float64 `json:"stranding"`
	// Lifetime is the price of keeping a node for 6 h for the sake of one pod.
	// Default 1.
	Lifetime float64 `json:"lifetime"`
}

// MaxPrice is the highest price of a term, in shares of a node.
const MaxPrice = 10

// DefaultArgs returns what applies where nothing is configured.
func DefaultArgs() Args {
	return Args{
		Prices:          Prices{Opening: 1, Stranding: 1, Lifetime: 1},
		RecentDecisions: decisions.DefaultCapacity,
	}
}

func readArgs(obj runtime.Object) (Args, error) {
	args, err := pluginargs.Decode(obj, DefaultArgs())
	if err != nil {
		return Args{}, fmt.Errorf("configure %s: %w", Name, err)
	}
	if err := args.validate(field.NewPath("args")).ToAggregate(); err != nil {
		return Args{}, fmt.Errorf("configure %s: %w", Name, err)
	}
	return args, nil
}

func (a Args) validate(path *field.Path) field.ErrorList {
	errs := a.Prices.validate(path.Child("prices"))
	if len(a.Mix) > 0 {
		_, wrong := shapes.Pinned(a.Mix, path.Child("mix"))
		errs = append(errs, wrong...)
	}
	if a.RecentDecisions < 0 || a.RecentDecisions > decisions.MaxCapacity {
		errs = append(errs, field.Invalid(path.Child("recentDecisions"), a.RecentDecisions,
			fmt.Sprintf("must be from 0 to %d decisions", decisions.MaxCapacity)))
	}
	return errs
}

func (p Prices) validate(path *field.Path) field.ErrorList {
	var errs field.ErrorList
	check := func(name string, price float64) {
		if !(price >= 0 && price <= MaxPrice) { // also when it is not a number
			errs = append(errs, field.Invalid(path.Child(name), price,
				fmt.Sprintf("must be from 0 to %d shares of a node", MaxPrice)))
		}
	}
	check("opening", p.Opening)
	check("stranding", p.Stranding)
	check("lifetime", p.Lifetime)
	if p.Opening == 0 && p.Stranding == 0 && p.Lifetime == 0 {
		errs = append(errs, field.Invalid(path, p, "at least one price must be above 0, else every node costs the same"))
	}
	return errs
}
