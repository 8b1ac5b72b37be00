package resource

import (
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/failure"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/inflight"
	"github.com/plimsoll-k8s/plimsoll/autoscaler/metrics/source"
)

const (
	// fewLists is how many lists are made without asking whether one over all
	// namespaces would be cheaper.
	fewLists = 8
	// samplesPerRequest is how many samples cost as much as a request of its own.
	samplesPerRequest = 500
	// relearn is how long what is known of the cluster is believed.
	relearn = 10 * time.Minute
)

// scope is what one list is about.
type scope struct {
	// namespace is empty for all.
	namespace string
	// selector is empty for all pods.
	selector string
}

// list is one request and the queries that its answer answers.
type list struct {
	scope
	queries []int
	// pods is how many pods the queries are about; a pod counts once for each.
	pods int
}

// plan makes one list of each namespace, of the pods that the selector selects if
// all workloads there have the same, and tells which queries need none.
func plan(queries []source.Query) (lists []list, podless []int) {
	asked := make([]int, 0, len(queries))
	for i := range queries {
		if len(queries[i].Pods) == 0 {
			podless = append(podless, i)
			continue
		}
		asked = append(asked, i)
	}
	groups := inflight.Groups(len(asked), func(i int) string { return queries[asked[i]].Namespace })
	lists = make([]list, len(groups))
	for g, group := range groups {
		first := &queries[asked[group[0]]]
		l := list{scope: scope{namespace: first.Namespace, selector: selector(first)}}
		for _, i := range group {
			q := &queries[asked[i]]
			l.queries = append(l.queries, asked[i])
			l.pods += len(q.Pods)
			if l.selector != "" && selector(q) != l.selector {
				l.selector = ""
			}
		}
		lists[g] = l
	}
	return lists, podless
}

func selector(q *source.Query) string {
	if q.Selector == nil {
		return ""
	}
	return q.Selector.String()
}

// merge makes one list over all namespaces.
func merge(lists []list) list {
	var all list
	for _, l := range lists {
		all.queries = append(all.queries, l.queries...)
		all.pods += l.pods
	}
	return all
}

// cluster is what is known of lists over all namespaces, the zero value if
// nothing is.
type cluster struct {
	// learned is when.
	learned time.Time
	// refused says that they are not allowed, or not served.
	refused bool
	// samples is how many there are.
	samples int
}

// cheaper reports whether one list over all namespaces is cheaper than the given
// lists, each of one namespace: whether the samples that nobody asked for are
// fewer than what the requests saved are worth. What is not known is tried.
func (c cluster) cheaper(now time.Time, lists, pods int) bool {
	switch {
	case lists <= fewLists:
		return false
	case c.learned.IsZero() || now.Sub(c.learned) >= relearn:
		return true
	case c.refused:
		return false
	}
	return c.samples-pods <= (lists-1)*samplesPerRequest
}

// refused reports whether an error says that a list over all namespaces may not
// be made, though others may: not that there is no such API.
func refused(err error) bool {
	return apierrors.IsForbidden(err) || apierrors.IsMethodNotSupported(err) ||
		apierrors.IsNotFound(err) && !failure.Absent(err)
}
