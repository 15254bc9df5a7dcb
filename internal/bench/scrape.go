package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// The counters that are read from brokers, summed over their labels.
const (
	metricS3    = "zonewise_s3_requests_total"
	metricCross = "zonewise_cross_zone_bytes_total"
	metricCPU   = "process_cpu_seconds_total"
	metricStart = "process_start_time_seconds"
)

// Brokers is what brokers did during a run, per GiB of records. A counter that
// they do not have is nil.
type Brokers struct {
	S3RequestsPerGiB     *float64 `json:"s3_requests_per_gib"`
	CrossZoneBytesPerGiB *float64 `json:"cross_zone_bytes_per_gib"`
	CPUSecondsPerGiB     *float64 `json:"cpu_seconds_per_gib"`
}

// counters are sums over brokers, of those that any of them has.
type counters map[string]float64

// scrapeServers reads /metrics of each broker. Brokers of one process (zonewise
// dev) are each read, and their processor time is counted once.
func (c *Config) scrapeServers(ctx context.Context) (counters, error) {
	if len(c.Servers) == 0 {
		return nil, nil
	}
	sum, processes := counters{}, map[string]bool{}
	for _, u := range c.Servers {
		body, err := c.FetchPath(ctx, u, "/metrics")
		if err != nil {
			return nil, err
		}
		one, err := parseMetrics(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("read the metrics of %s: %w", u, err)
		}
		host := u
		if i := strings.Index(u, "://"); i >= 0 {
			host, _, _ = strings.Cut(u[i+3:], "/")
		}
		process := fmt.Sprintf("%s %v", host, one[metricStart])
		for name, v := range one {
			if name == metricStart || name == metricCPU && processes[process] {
				continue
			}
			sum[name] += v
		}
		processes[process] = true
	}
	return sum, nil
}

// parseMetrics sums the counters of interest over their labels, from the text
// format of Prometheus.
func parseMetrics(r io.Reader) (counters, error) {
	out := counters{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := lines.Text()
		name := line
		if i := strings.IndexAny(line, "{ "); i >= 0 {
			name = line[:i]
		}
		switch name {
		case metricS3, metricCross, metricCPU, metricStart:
		default:
			continue
		}
		v, err := strconv.ParseFloat(line[strings.LastIndexByte(line, ' ')+1:], 64)
		if err != nil {
			return nil, fmt.Errorf("read metric %q: %w", line, err)
		}
		out[name] += v
	}
	return out, lines.Err()
}

// perGiBSince is the difference, per GiB of that number of bytes.
func (c counters) perGiBSince(before counters, bytes int64) *Brokers {
	if c == nil || bytes == 0 {
		return nil
	}
	per := func(name string) *float64 {
		now, ok := c[name]
		if !ok {
			return nil
		}
		v := (now - before[name]) / (float64(bytes) / (1 << 30))
		return &v
	}
	return &Brokers{per(metricS3), per(metricCross), per(metricCPU)}
}
