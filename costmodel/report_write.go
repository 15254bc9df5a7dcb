package costmodel

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
)

// jsonRow is a row as the API gives it: numbers that may pass 2^53 are decimal
// strings.
type jsonRow struct {
	Topic      string `json:"topic"`
	TopicID    string `json:"topic_id"`
	Component  string `json:"component"`
	SrcZone    string `json:"src_zone"`
	DstZone    string `json:"dst_zone"`
	Principal  string `json:"principal,omitempty"`
	Group      string `json:"group,omitempty"`
	Quantity   string `json:"quantity"`
	Unit       string `json:"unit"`
	Price      string `json:"price"`
	NanoUSD    string `json:"nano_usd"`
	UpperBound string `json:"upper_bound_nano_usd,omitempty"`
}

type jsonMeter struct {
	Meter     string `json:"meter"`
	UsageType string `json:"usage_type,omitempty"`
	SrcZone   string `json:"src_zone,omitempty"`
	DstZone   string `json:"dst_zone,omitempty"`
	Quantity  string `json:"quantity"`
	Unit      string `json:"unit"`
	Price     string `json:"price"`
	NanoUSD   string `json:"nano_usd"`
}

type jsonReport struct {
	Window       Window      `json:"window"`
	AsOfRevision int64       `json:"as_of_revision"`
	PriceBook    string      `json:"price_book"`
	PublishedAt  string      `json:"price_book_published_at"`
	SourceURL    string      `json:"price_book_source_url"`
	Currency     string      `json:"currency"`
	By           []Dimension `json:"by"`
	Rows         []jsonRow   `json:"rows"`
	Meters       []jsonMeter `json:"meters"`
	Total        string      `json:"total_nano_usd"`
	UpperBound   string      `json:"unknown_zone_upper_bound_nano_usd"`
	GapsMS       int64       `json:"gaps_ms"`
}

// MarshalJSON writes the report as GET /api/v1/cost gives it.
func (r Report) MarshalJSON() ([]byte, error) {
	out := jsonReport{
		Window: r.Window, AsOfRevision: r.AsOfRevision, PriceBook: r.PriceBook, PublishedAt: r.Published,
		SourceURL: r.SourceURL, Currency: r.Currency, By: r.By, Rows: []jsonRow{}, Meters: []jsonMeter{},
		Total: formatNano(r.Total), UpperBound: formatNano(r.UpperBound), GapsMS: r.GapsMS,
	}
	for _, row := range r.Rows {
		j := jsonRow{
			Topic: row.Topic, TopicID: row.TopicID, Component: row.Component.String(), SrcZone: row.Src, DstZone: row.Dst,
			Principal: row.Principal, Group: row.Group, Quantity: row.Quantity.String(), Unit: string(row.Unit),
			Price: row.Price, NanoUSD: formatNano(row.NanoUSD),
		}
		if row.UpperBound != 0 {
			j.UpperBound = formatNano(row.UpperBound)
		}
		out.Rows = append(out.Rows, j)
	}
	for _, m := range r.Meters {
		out.Meters = append(out.Meters, jsonMeter{
			string(m.Meter), m.UsageType, m.Src, m.Dst, m.Quantity.String(), string(m.Unit), m.Price, formatNano(m.NanoUSD),
		})
	}
	return json.Marshal(out)
}

func formatNano(m NanoUSD) string { return strconv.FormatInt(int64(m), 10) }

// WriteCSV writes a header row, the rows, and a last row with the sum. Cells
// that a spreadsheet would run as a formula are escaped.
func (r Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := []string{
		"from_ms", "to_ms", "topic", "topic_id", "component", "src_zone", "dst_zone", "principal", "group",
		"quantity", "unit", "price", "nano_usd", "usd", "upper_bound_nano_usd", "price_book",
	}
	from, to := strconv.FormatInt(r.Window.FromMS, 10), strconv.FormatInt(r.Window.ToMS, 10)
	rows := [][]string{header}
	for _, row := range r.Rows {
		rows = append(rows, []string{
			from, to, row.Topic, row.TopicID, row.Component.String(), row.Src, row.Dst, row.Principal, row.Group,
			row.Quantity.String(), string(row.Unit), row.Price, formatNano(row.NanoUSD), row.NanoUSD.String(), formatNano(row.UpperBound), r.PriceBook,
		})
	}
	rows = append(rows, []string{
		from, to, "TOTAL", "", "", "", "", "", "", "", "", "", formatNano(r.Total), r.Total.String(), formatNano(r.UpperBound), r.PriceBook,
	})
	for _, row := range rows {
		for i := range row {
			row[i] = SafeCell(row[i])
		}
		if err := out.Write(row); err != nil {
			return fmt.Errorf("write csv: %w", err)
		}
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write csv: %w", err)
	}
	return nil
}

// SafeCell puts an apostrophe before text that a spreadsheet would take for a
// formula or a command: it begins with = + - @, a tab or a line end, also after
// spaces. No number of ours is negative, so none is changed.
func SafeCell(text string) string {
	trimmed := strings.TrimLeft(text, " ")
	if trimmed != "" && strings.ContainsRune("=+-@\t\r\n", rune(trimmed[0])) {
		return "'" + text
	}
	return text
}

// WriteTable writes the report for a terminal, with a line of sums and what the
// numbers rest on.
func (r Report) WriteTable(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	var head []string
	for _, d := range r.By {
		head = append(head, strings.ToUpper(string(d)))
	}
	fmt.Fprintln(t, strings.Join(append(head, "QUANTITY", "PRICE", "USD"), "\t"))
	for _, row := range r.Rows {
		var cells []string
		for _, d := range r.By {
			cells = append(cells, Printable(row.Label(d)))
		}
		fmt.Fprintln(t, strings.Join(append(cells, row.Unit.Human(row.Quantity), row.Price, row.NanoUSD.String()), "\t"))
	}
	blanks := slices.Repeat([]string{""}, max(0, len(r.By)-1))
	fmt.Fprintln(t, strings.Join(append(append([]string{"TOTAL"}, blanks...), "", "", r.Total.String()), "\t"))
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	_, err := fmt.Fprintf(w, "\nas of revision %d, prices %s (%s), read-side gaps %d ms, unknown zones would add at most %s USD\n",
		r.AsOfRevision, r.PriceBook, r.SourceURL, r.GapsMS, r.UpperBound)
	if err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// Label returns a row's value of a dimension for people.
func (row Row) Label(d Dimension) string {
	switch d {
	case ByTopic:
		return row.Topic
	case ByComponent:
		return row.Component.String()
	case ByPrincipal:
		return orDash(row.Principal)
	case ByGroup:
		return orDash(row.Group)
	case ByZone:
		switch {
		case row.Src == "" && row.Dst == "":
			return "-"
		case row.Src == row.Dst:
			return row.Src
		}
		return orUnknown(row.Src) + " > " + orUnknown(row.Dst)
	}
	return ""
}

func orUnknown(zone string) string {
	if zone == "" {
		return "?"
	}
	return zone
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// Printable returns text with everything quoted as in Go that could control a
// terminal or is invisible.
func Printable(text string) string {
	for _, c := range text {
		if !unicode.IsPrint(c) || c == unicode.ReplacementChar {
			quoted := strconv.QuoteToGraphic(text)
			return quoted[1 : len(quoted)-1]
		}
	}
	return text
}
