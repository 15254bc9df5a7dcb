package dashboards

import (
	"bytes"
	"fmt"
	"html/template"
	"net/http"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// pageData is everything the template shows; all text is ready to print.
type pageData struct {
	Style      string
	Cluster    clusterView
	Windows    []windowLink
	Window     string // 1h
	WindowLong string // the last hour
	From, To   string
	AsOf       string
	Revision   int64
	Empty      bool // nothing is booked in the window
	Since      string

	Total      amount
	Headline   string
	Rate       string // 30 days at this rate, "" if unknown
	Written    string
	Read       string
	PerGiB     string
	Who        []topCost
	Why        *costChange
	Classic    *kafkaComparison
	Categories []categoryLine

	Time       chart
	Topics     topicTable
	Components componentTable
	Storage    storageTable
	Matrix     matrix
	UpperBound string // what unknown zones may add, "" if nothing
	GapSeconds string // read-side time lost, "" if none
	Book       bookView
}

type windowLink struct {
	Name    string
	Label   string
	Current bool
}

type topCost struct {
	Name, Money, Percent string
	Bar                  []rect
}

type categoryLine struct {
	category
	Money   string
	Percent string
}

type bookView struct {
	ID, Published, Source, Note, Region string
}

// windowLinks are the windows that the page links to.
func windowLinks() []windowLink {
	return []windowLink{
		{Name: "15m", Label: "15 minutes"}, {Name: "1h", Label: "hour"}, {Name: "6h", Label: "6 hours"},
		{Name: "24h", Label: "24 hours"}, {Name: "7d", Label: "7 days"},
	}
}

// servePage answers GET /.
func (h *handler) servePage(w http.ResponseWriter, r *http.Request) {
	length, err := parseWindow(valueOr(r.URL.Query(), "window", DefaultWindow))
	if err != nil {
		writeError(w, http.StatusBadRequest, err)
		return
	}
	c, err := h.priceWindow(r.Context(), length, true)
	if err != nil {
		h.answerError(w, err)
		return
	}
	cluster := h.source.Cluster(r.Context())
	data, err := h.pageData(c, &cluster)
	if err != nil {
		h.answerError(w, err)
		return
	}
	var body bytes.Buffer
	if err := h.page.Execute(&body, data); err != nil {
		h.answerError(w, fmt.Errorf("render page: %w", err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body.Bytes()) // the reader is gone
}

// pageData works a priced window out for the template.
func (h *handler) pageData(c *pricedWindow, cluster *Cluster) (*pageData, error) {
	s := c.statement
	written := s.Written()
	d := &pageData{
		Style: h.style, Cluster: viewCluster(cluster), Window: windowName(c.length), WindowLong: "the last " + windowName(c.length),
		From: formatTime(s.Window.FromMS), To: formatTime(min(s.Window.ToMS, int64(c.now))), AsOf: formatTime(int64(c.now)), Revision: s.AsOfRevision,
		Empty: c.usageFrom == 0, Total: exactAmount(s.Total), Headline: formatShort(s.Total), Rate: c.monthlyRate(),
		Written: costkeys.UnitBytes.Human(written), Read: costkeys.UnitBytes.Human(s.Of(costkeys.ComponentBytesOut)),
		Why: explainChange(c), Time: timeChart(s), Topics: newTopicTable(c), Components: newComponentTable(s), Storage: newStorageTable(c), Matrix: zoneMatrix(s, cluster),
		Book: bookView{h.book.ID(), h.book.PublishedAt, h.book.SourceURL, h.book.Note, h.book.Provider + " " + h.book.Region},
	}
	for _, link := range windowLinks() {
		link.Current = link.Name == d.Window
		if link.Current {
			d.WindowLong = "the last " + link.Label
		}
		d.Windows = append(d.Windows, link)
	}
	if int64(c.usageFrom) > s.Window.FromMS {
		d.Since = formatTime(int64(c.usageFrom))
	}
	if perGiB, ok := s.PerGiBWritten(); ok {
		d.PerGiB = formatShort(perGiB)
	}
	if s.UpperBound > 0 {
		d.UpperBound = formatShort(s.UpperBound)
	}
	if s.GapsMS > 0 {
		d.GapSeconds = fmt.Sprintf("%d.%03d s", s.GapsMS/1000, s.GapsMS%1000)
	}
	d.Who, d.Categories = d.Topics.costliestTopics(s.Total), categoryLines(s)
	var err error
	d.Classic, err = compareClassic(h.book, s)
	return d, err
}

// monthlyRate is what 30 days like the part of the window with usage would
// cost.
func (c *pricedWindow) monthlyRate() string {
	const month = 30 * 24 * hourMs
	covered := c.now - c.usageFrom
	if c.usageFrom == 0 || covered < minuteMs {
		return ""
	}
	return formatShort(costmodel.NanoUSD(mulDiv(int64(c.statement.Total), int64(month), int64(covered))))
}

// categoryLines is the legend of every chart, with its sums.
func categoryLines(s *costmodel.Statement) []categoryLine {
	var sums categorySplit
	for i := range s.Lines {
		sums.addLine(&s.Lines[i])
	}
	var out []categoryLine
	for i, c := range categories() {
		out = append(out, categoryLine{c, formatShort(sums[i]), formatPercent(sums[i], s.Total)})
	}
	return out
}

// kafkaComparison compares with the traffic between zones of a tuned classic Kafka.
type kafkaComparison struct {
	Cost    string
	Ours    string
	Formula string
}

// compareClassic prices the same writes on three replicas in three zones whose
// consumers read from the nearest one. It is nil where nothing was written.
func compareClassic(book *costmodel.Book, s *costmodel.Statement) (*kafkaComparison, error) {
	written := s.Written()
	if written.IsZero() || written.Hi != 0 {
		return nil, nil
	}
	pair, unit, err := book.TransferPair()
	if err != nil {
		return nil, err
	}
	kafka := costmodel.ClassicKafka{BytesPerSecond: written.Lo, Seconds: 1, Zones: 3, Replicas: 3, FollowerFetch: true}
	cost, err := kafka.Cost(pair, unit)
	if err != nil {
		return nil, err
	}
	return &kafkaComparison{
		Cost: formatShort(cost), Ours: formatShort(s.Total - storageMoney(s)),
		Formula: fmt.Sprintf("%s written × (2/3 + 2) × %s per %s", costkeys.UnitBytes.Human(written), pair.Dollars(2),
			costkeys.UnitBytes.Human(costkeys.Units(unit))),
	}, nil
}

// templateFuncs are the few functions that the template calls.
func templateFuncs() template.FuncMap {
	return template.FuncMap{
		"plural": func(n int, one string) string {
			if n == 1 {
				return "1 " + one
			}
			return fmt.Sprintf("%d %ss", n, one)
		},
	}
}
