package dashboards

import "github.com/zonewise/zonewise/costmodel"

// category is a colour of the charts: components that a reader thinks of as
// one thing.
type category struct {
	Class string // of the style sheet
	Label string
	Hint  string
}

// categories are in the order in which bars are stacked.
func categories() []category {
	return []category{
		{"put", "S3 writes", "a PUT for every object of records, shared by the topics in it"},
		{"get", "S3 reads", "GETs made to serve consumers"},
		{"store", "S3 storage", "bytes kept, for the time they are kept"},
		{"log", "Log between zones", "small writes and commit entries that etcd copies to other zones"},
		{"client", "Clients between zones", "producers and consumers that talked to a broker of another zone"},
		{"upkeep", "Platform upkeep", "archives, checkpoints and listings that keep the service recoverable"},
	}
}

// categoryOf returns the index of a component's category, or -1 for what is
// counted but not charged.
func categoryOf(c costmodel.Component) int {
	switch c {
	case "s3_put", "put_hedge":
		return 0
	case "s3_get":
		return 1
	case "storage":
		return 2
	case "inline", "etcd", "peer":
		return 3
	case "produce", "produce_resp", "fetch", "fetch_resp", "group", "control":
		return 4
	case "platform_put", "platform_get", "platform_list", "s3_delete":
		return 5
	}
	return -1
}

// categorySplit is money by category.
type categorySplit [6]costmodel.NanoUSD

func (s *categorySplit) addLine(line *costmodel.Line) {
	if i := categoryOf(line.Component); i >= 0 {
		s[i] += line.NanoUSD
	}
}

func (s *categorySplit) total() costmodel.NanoUSD {
	var sum costmodel.NanoUSD
	for _, m := range s {
		sum += m
	}
	return sum
}

// rect is one coloured piece of a bar, in the units of its drawing.
type rect struct {
	Class, Title        string
	X, Y, Width, Height int64
}

// barUnits is the length of a full bar.
const barUnits = 1000

// drawBar draws a split as a stacked horizontal bar, full length for whole.
func (s *categorySplit) drawBar(whole costmodel.NanoUSD) []rect {
	var out []rect
	var before costmodel.NanoUSD
	for i, c := range categories() {
		from := mulDiv(int64(before), barUnits, int64(whole))
		before += s[i]
		if to := mulDiv(int64(before), barUnits, int64(whole)); to > from {
			out = append(out, rect{Class: c.Class, Title: c.Label + ": " + formatShort(s[i]), X: from, Width: to - from, Height: 10})
		}
	}
	return out
}
