package soak

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// The plot's measures, in pixels.
const (
	panelWidth, panelHeight = 360, 120
	panelGap                = 46
	plotColumns             = 2
	plotMargin              = 12
)

// PlotSeries draws each series in a panel of its own, from 0 up, as an SVG.
func PlotSeries(title string, all []Series) string {
	rows := (len(all) + plotColumns - 1) / plotColumns
	width := plotColumns*(panelWidth+plotMargin) + plotMargin
	height := rows*(panelHeight+panelGap) + panelGap
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text x="%d" y="18" font-size="14">%s</text>`+"\n", plotMargin, html.EscapeString(title))
	for i, s := range all {
		plotPanel(&b, s, plotMargin+i%plotColumns*(panelWidth+plotMargin), panelGap+i/plotColumns*(panelHeight+panelGap))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func plotPanel(b *strings.Builder, s Series, left, top int) {
	var most float64
	var end time.Duration
	for _, p := range s.Points {
		most, end = max(most, p.Value), max(end, p.At)
	}
	fmt.Fprintf(b, `<text x="%d" y="%d">%s: 0 to %s in %s</text>`+"\n", left, top-4, html.EscapeString(s.Name), formatValue(most, s.Bytes), end.Round(time.Second))
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#bbb"/>`+"\n", left, top, panelWidth, panelHeight)
	fmt.Fprintf(b, `<line x1="%d" y1="%d" x2="%d" y2="%d" stroke="#ddd"/>`+"\n", left+panelWidth/2, top, left+panelWidth/2, top+panelHeight)
	if most == 0 || end == 0 {
		return
	}
	b.WriteString(`<polyline fill="none" stroke="#1565c0" points="`)
	for _, p := range s.Points {
		fmt.Fprintf(b, "%.1f,%.1f ", float64(left)+panelWidth*p.At.Seconds()/end.Seconds(), float64(top)+panelHeight*(1-p.Value/most))
	}
	b.WriteString("\"/>\n")
}

func formatValue(v float64, bytes bool) string {
	switch {
	case !bytes:
		return fmt.Sprintf("%.0f", v)
	case v >= 1<<20:
		return fmt.Sprintf("%.1f MiB", v/(1<<20))
	}
	return fmt.Sprintf("%.1f KiB", v/(1<<10))
}
