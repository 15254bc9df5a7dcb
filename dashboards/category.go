package dashboards

import (
	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// category is how a category of components looks in the charts.
type category struct {
	Class string // of the style sheet
	Label string
	Hint  string
}

// categories are in the order in which bars are stacked.
func categories() []category {
	return []category{
		costkeys.CategoryWrites:   {"put", "S3 writes", "a PUT for every object of records, shared by the topics in it"},
		costkeys.CategoryReads:    {"get", "S3 reads", "GETs made to serve consumers"},
		costkeys.CategoryStorage:  {"store", "S3 storage", "bytes of records, for the time they are kept; of deleted ones, until their objects are gone"},
		costkeys.CategoryLog:      {"log", "Log between zones", "small writes and commit entries that etcd copies to other zones"},
		costkeys.CategoryClients:  {"client", "Clients between zones", "producers and consumers that talked to a broker of another zone"},
		costkeys.CategoryPlatform: {"upkeep", "Platform upkeep", "archives, checkpoints and listings that keep the service recoverable, and what they take in the bucket"},
	}
}

// categorySplit is money by category.
type categorySplit [costkeys.CategoryCount]costmodel.NanoUSD

func (s *categorySplit) addLine(line *costmodel.Line) {
	if info, ok := line.Component.Info(); ok && info.Category != costkeys.CategoryFree {
		s[info.Category] += line.NanoUSD
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
