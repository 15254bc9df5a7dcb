package dashboards

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/zonewise/zonewise/costmodel"
	"github.com/zonewise/zonewise/internal/costkeys"
)

// shownTopics bounds the page's rows by topic; the others are one row, with
// their sum, and all of them are in the CSV.
const shownTopics = 40

// topicTable is cost by topic. Its rows sum to the total.
type topicTable struct {
	Rows       []topicRow
	HasChange  bool
	Total      amount
	Categories []category
}

type topicRow struct {
	Name     string
	ID       string
	About    string // what a reserved row is
	Reserved bool
	Money    amount
	Percent  string
	Written  string
	PerGiB   string
	Change   string
	Bar      []rect
	Cells    []amount // by category
	money    costmodel.NanoUSD
}

// topicSum is one topic's money and bytes.
type topicSum struct {
	id, name string
	parts    categorySplit
	before   costmodel.NanoUSD
	written  costkeys.Quantity
}

func aboutReserved(row costkeys.Row) string {
	switch row {
	case costkeys.RowPlatform:
		return "archives, checkpoints, their storage and listings: work for the service as a whole"
	case costkeys.RowControl:
		return "log entries and requests that carry no records"
	case costkeys.RowOther:
		return "topics past the ledger's limit of distinct rows"
	case costkeys.RowUnallocated:
		return "charged, but explained by nobody's usage"
	}
	return ""
}

// newTopicTable sums a window by topic: dearest first, reserved rows always there
// and last.
func newTopicTable(c *pricedWindow) topicTable {
	sums := topicSums(c)
	t := topicTable{HasChange: c.before != nil, Total: exactAmount(c.statement.Total), Categories: categories()}
	var most costmodel.NanoUSD
	for i := range sums {
		most = max(most, sums[i].parts.total())
	}
	var rest topicSum
	var folded int
	for i := range sums {
		if reserved := costkeys.RowOf(sums[i].name) != 0; !reserved && i >= shownTopics {
			rest.addTopic(&sums[i])
			folded++
			continue
		} else if reserved && folded > 0 {
			rest.name = fmt.Sprintf("%d more topics, all in the CSV", folded)
			t.Rows = append(t.Rows, rest.toRow(c, most))
			folded = 0
		}
		t.Rows = append(t.Rows, sums[i].toRow(c, most))
	}
	return t
}

// topicSums returns the sum of every topic and reserved row, in the order in
// which they are shown.
func topicSums(c *pricedWindow) []topicSum {
	index := map[string]*topicSum{}
	for _, row := range costkeys.Rows() {
		name := row.String()
		index[name] = &topicSum{id: name, name: name}
	}
	for i := range c.statement.Lines {
		line := &c.statement.Lines[i]
		sum := index[line.TopicID]
		if sum == nil {
			sum = &topicSum{id: line.TopicID, name: line.Topic}
			index[line.TopicID] = sum
		}
		sum.parts.addLine(line)
		if line.Component == costkeys.ComponentBytesIn {
			sum.written = sum.written.Add(line.Quantity) // cannot wrap: part of a meter that Bill summed
		}
	}
	if c.before != nil {
		for i := range c.before.Lines {
			line := &c.before.Lines[i]
			sum := index[line.TopicID]
			if sum == nil { // it cost something before and nothing now
				sum = &topicSum{id: line.TopicID, name: line.Topic}
				index[line.TopicID] = sum
			}
			sum.before += line.NanoUSD
		}
	}
	out := make([]topicSum, 0, len(index))
	for _, sum := range index {
		out = append(out, *sum)
	}
	slices.SortFunc(out, func(a, b topicSum) int {
		return cmp.Or(cmp.Compare(costkeys.RowOf(a.name), costkeys.RowOf(b.name)), cmp.Compare(b.parts.total(), a.parts.total()), cmp.Compare(a.name, b.name), cmp.Compare(a.id, b.id))
	})
	return out
}

// addTopic adds another topic to a row of many.
func (t *topicSum) addTopic(o *topicSum) {
	for i, m := range o.parts {
		t.parts[i] += m
	}
	t.before += o.before
	t.written = t.written.Add(o.written) // cannot wrap: part of a meter that Bill summed
}

// toRow prints a topic's sums; bars are as long as their share of the dearest.
func (t *topicSum) toRow(c *pricedWindow, most costmodel.NanoUSD) topicRow {
	money := t.parts.total()
	reserved := costkeys.RowOf(t.name)
	row := topicRow{
		Name: costmodel.Printable(t.name), ID: t.id, About: aboutReserved(reserved), Reserved: reserved != 0,
		Money: exactAmount(money), Percent: formatPercent(money, c.statement.Total), Written: costkeys.UnitBytes.Human(t.written),
		Bar: t.parts.drawBar(most), money: money,
	}
	if t.written.IsZero() {
		row.Written = ""
	} else {
		row.PerGiB = formatShort(costmodel.PerGiB(money, t.written))
	}
	if c.before != nil {
		row.Change = formatChange(money - t.before)
	}
	for _, m := range t.parts {
		row.Cells = append(row.Cells, exactAmount(m))
	}
	return row
}

// costliestTopics returns the dearest rows for the first view.
func (t *topicTable) costliestTopics(total costmodel.NanoUSD) []topCost {
	rows := slices.Clone(t.Rows)
	slices.SortStableFunc(rows, func(a, b topicRow) int { return cmp.Compare(b.money, a.money) })
	var out []topCost
	for _, r := range rows[:min(4, len(rows))] {
		if r.money > 0 {
			out = append(out, topCost{r.Name, formatShort(r.money), formatPercent(r.money, total), r.Bar})
		}
	}
	return out
}

// componentTable is cost by component: quantity x price = money, row by row.
type componentTable struct {
	Charged []componentRow
	Free    []componentRow
	Total   amount
}

type componentRow struct {
	Class    string // of its category
	Label    string
	Name     string
	Quantity string
	Raw      string // exact, in the ledger's unit
	Price    string
	Money    amount
	Percent  string
	Bar      []rect
}

// newComponentTable sums a statement by component and price.
func newComponentTable(s *costmodel.Statement) componentTable {
	type key struct {
		component costkeys.Component
		price     string
	}
	quantities, money := map[key]costkeys.Quantity{}, map[key]costmodel.NanoUSD{}
	prices := map[costkeys.Component][]string{}
	for i := range s.Lines {
		line := &s.Lines[i]
		k := key{line.Component, line.Price}
		if _, known := quantities[k]; !known {
			prices[line.Component] = append(prices[line.Component], line.Price)
		}
		quantities[k] = quantities[k].Add(line.Quantity) // cannot wrap: part of a meter that Bill summed
		money[k] += line.NanoUSD
	}
	var most costmodel.NanoUSD
	for _, m := range money {
		most = max(most, m)
	}
	t := componentTable{Total: exactAmount(s.Total)}
	for _, info := range costkeys.Components() {
		slices.Sort(prices[info.Component])
		for _, price := range prices[info.Component] {
			k := key{info.Component, price}
			row := componentRow{
				Label: info.Label, Name: info.Name, Quantity: info.Unit.Human(quantities[k]),
				Raw: quantities[k].String() + " " + string(info.Unit), Price: price, Money: exactAmount(money[k]), Percent: formatPercent(money[k], s.Total),
			}
			if info.Category == costkeys.CategoryFree {
				t.Free = append(t.Free, row)
				continue
			}
			var parts categorySplit
			parts[info.Category] = money[k]
			row.Class, row.Bar = categories()[info.Category].Class, parts.drawBar(most)
			t.Charged = append(t.Charged, row)
		}
	}
	return t
}
