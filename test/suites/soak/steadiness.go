package soak

import (
	"fmt"
	"math"
	"time"
)

// Point is one value of a series.
type Point struct {
	At    time.Duration // since the run began
	Value float64
}

// Series is a quantity that must not grow.
type Series struct {
	Name  string
	Bytes bool // else a number of things
	// Grows says that it may: it is shown, and not judged.
	Grows  bool
	Points []Point
}

// Bounds of a steady quantity, per ten minutes.
const (
	slopeTime     = 10 * time.Minute
	steadyPercent = 2.0
	steadyBytes   = 1 << 20
	// shortestJudged is the shortest half of a run by which it is judged: in less, a
	// period of archives, checkpoints and collections of the heap looks like growth.
	shortestJudged = 10 * time.Minute
)

// Verdict is what the last half of a run says about a series.
type Verdict struct {
	Name    string  `json:"name"`
	Mean    float64 `json:"mean"`
	Slope   float64 `json:"slope_per_10_minutes"`
	Error   float64 `json:"slope_standard_error"`
	Percent float64 `json:"slope_percent_of_mean"`
	Least   float64 `json:"least"`
	Most    float64 `json:"most"`
	Points  int     `json:"points"`
	Judged  bool    `json:"judged"`
	Steady  bool    `json:"steady"`
}

// String returns the verdict in a line.
func (v Verdict) String() string {
	word := "steady"
	switch {
	case !v.Judged:
		word = "not judged"
	case !v.Steady:
		word = "GROWS"
	}
	return fmt.Sprintf("%s: mean %.0f (%.0f to %.0f), slope per 10 minutes %+.0f (%+.2f %%, standard error %.0f): %s",
		v.Name, v.Mean, v.Least, v.Most, v.Slope, v.Percent, v.Error, word)
}

// JudgeSeries fits a line to the last half of a series by least squares. It is steady
// if it grows by less than 2 % of its mean, or less than 1 MiB, in ten minutes. A
// quantity that shrinks is steady.
func JudgeSeries(s Series) Verdict {
	v := Verdict{Name: s.Name}
	if len(s.Points) == 0 {
		return v
	}
	first, last := s.Points[0].At, s.Points[len(s.Points)-1].At
	half := s.Points[:0:0]
	for _, p := range s.Points {
		if p.At >= first+(last-first)/2 {
			half = append(half, p)
		}
	}
	slope, stderr, mean := fitLine(half)
	v.Mean, v.Slope, v.Error, v.Points = mean, slope*slopeTime.Seconds(), stderr*slopeTime.Seconds(), len(half)
	v.Least, v.Most = math.Inf(1), math.Inf(-1)
	for _, p := range half {
		v.Least, v.Most = min(v.Least, p.Value), max(v.Most, p.Value)
	}
	if mean != 0 {
		v.Percent = 100 * v.Slope / mean
	}
	v.Judged = !s.Grows && len(half) >= 10 && half[len(half)-1].At-half[0].At >= shortestJudged
	v.Steady = v.Percent < steadyPercent || s.Bytes && v.Slope < steadyBytes
	return v
}

// fitLine returns the slope per second of the line with the least squares, its standard
// error, and the mean of the values.
func fitLine(points []Point) (slope, stderr, mean float64) {
	n := float64(len(points))
	var middle float64
	for _, p := range points {
		middle += p.At.Seconds() / n
		mean += p.Value / n
	}
	var xx, xy float64
	for _, p := range points {
		x := p.At.Seconds() - middle
		xx += x * x
		xy += x * (p.Value - mean)
	}
	if xx == 0 || n < 3 {
		return 0, 0, mean
	}
	slope = xy / xx
	var rest float64
	for _, p := range points {
		d := p.Value - mean - slope*(p.At.Seconds()-middle)
		rest += d * d
	}
	return slope, math.Sqrt(rest / (n - 2) / xx), mean
}
