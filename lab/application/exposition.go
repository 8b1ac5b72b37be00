package application

import (
	"strconv"
	"time"
)

// ContentType is the media type of AppendMetrics.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Labels stand on each of a pod's metrics. A scraper that sets labels of the same names must honour these.
type Labels struct {
	Namespace, Pod, App string
	// At is when the counters had these values, to the millisecond. The zero time leaves it to the scraper, whose clock is
	// right only as far as a step is short beside the range of a rate.
	At time.Time
}

// AppendMetrics appends one pod's metrics to buf in Prometheus' text format and returns it; give it the last scrape's buffer,
// cut to length 0, and it allocates nothing. Counts have up to six decimals, since a request in the lab comes in parts: a counter
// is a float to Prometheus, and whole numbers would make rates over the lab's short windows jump.
func AppendMetrics(buf []byte, labels Labels, pod PodState) []byte {
	var stack [256]byte
	common := appendLabels(stack[:0], labels)
	var stamp [24]byte
	end := appendEnd(stamp[:0], labels.At)

	buf = append(buf, "# HELP http_requests_total Requests answered, by status code.\n# TYPE http_requests_total counter\n"...)
	buf = appendRequests(appendName(buf, "http_requests_total", common, "code", "200"), pod.Served, end)
	buf = appendRequests(appendName(buf, "http_requests_total", common, "code", "503"), pod.Lost, end)

	buf = append(buf, "# HELP http_requests_in_flight Requests received and not yet answered.\n# TYPE http_requests_in_flight gauge\n"...)
	buf = appendValue(appendName(buf, "http_requests_in_flight", common, "", ""), pod.InFlight, end)

	buf = append(buf, "# HELP http_request_duration_seconds Latency of the requests answered with 200.\n"+
		"# TYPE http_request_duration_seconds histogram\n"...)
	for i, bound := range LatencyBounds() {
		var digits [24]byte
		le := strconv.AppendFloat(digits[:0], bound, 'g', -1, 64)
		buf = appendRequests(appendName(buf, "http_request_duration_seconds_bucket", common, "le", le), pod.Latency.Buckets[i], end)
	}
	buf = appendRequests(appendName(buf, "http_request_duration_seconds_bucket", common, "le", "+Inf"), pod.Served, end)
	buf = appendValue(appendName(buf, "http_request_duration_seconds_sum", common, "", ""), pod.Latency.SumSeconds, end)
	buf = appendRequests(appendName(buf, "http_request_duration_seconds_count", common, "", ""), pod.Served, end)

	buf = append(buf, "# HELP process_cpu_seconds_total CPU time used, in seconds.\n# TYPE process_cpu_seconds_total counter\n"...)
	return appendValue(appendName(buf, "process_cpu_seconds_total", common, "", ""), pod.CPUSeconds, end)
}

// appendLabels writes the labels that all metrics share, without braces.
func appendLabels(buf []byte, labels Labels) []byte {
	buf = appendEscaped(append(buf, `namespace="`...), labels.Namespace)
	buf = appendEscaped(append(buf, `",pod="`...), labels.Pod)
	buf = appendEscaped(append(buf, `",app="`...), labels.App)
	return append(buf, '"')
}

func appendEscaped(buf []byte, value string) []byte {
	for i := range len(value) {
		switch c := value[i]; c {
		case '\\', '"':
			buf = append(buf, '\\', c)
		case '\n':
			buf = append(buf, '\\', 'n')
		default:
			buf = append(buf, c)
		}
	}
	return buf
}

// appendName writes a metric's name and labels, with one more label unless its name is empty.
func appendName[V string | []byte](buf []byte, metric string, common []byte, label string, value V) []byte {
	buf = append(append(buf, metric...), '{')
	buf = append(buf, common...)
	if label != "" {
		buf = append(append(append(buf, ','), label...), `="`...)
		buf = append(append(buf, value...), '"')
	}
	return append(buf, "} "...)
}

// appendEnd writes what follows a value: the timestamp, if there is one, and the end of the line.
func appendEnd(buf []byte, at time.Time) []byte {
	if !at.IsZero() {
		buf = strconv.AppendInt(append(buf, ' '), at.UnixMilli(), 10)
	}
	return append(buf, '\n')
}

func appendValue(buf []byte, value float64, end []byte) []byte {
	return append(strconv.AppendFloat(buf, value, 'g', -1, 64), end...)
}

// appendRequests writes a count that is 0 or more, exactly.
func appendRequests(buf []byte, count Requests, end []byte) []byte {
	buf = strconv.AppendInt(buf, int64(count/Request), 10)
	if rest := int64(count % Request); rest > 0 {
		dot := len(buf)
		buf = strconv.AppendInt(buf, int64(Request)+rest, 10)
		buf[dot] = '.' // in place of the leading 1, which kept the zeros
		for buf[len(buf)-1] == '0' {
			buf = buf[:len(buf)-1]
		}
	}
	return append(buf, end...)
}
