package main

import (
	"context"
	"net/url"

	"github.com/zonewise/zonewise/internal/cli"
)

type costOptions struct {
	server             serverOption
	window, by, format string
}

func costCommand() cli.Command {
	return cli.Command{
		Name:  "cost",
		Short: "Print what topics cost, from a running broker",
		Long: `
Every row has a quantity that the service measured itself, a price from the
dated price book, and money: the rows of a report add up to its total, and the
total to the meters. Rows in __underscores__ are what cannot be laid at a
topic's door, such as control traffic. A deleted topic is shown as NAME (deleted)
as long as it has rows.

The ledger keeps minutes for two hours and hours for seven days.`,
		Examples: []string{
			"zonewise cost",
			"zonewise cost --window 24h --by topic,component",
			"zonewise cost --by zone --format csv > zones.csv",
		},
		New: func(s *cli.Set) func(context.Context, cli.Env) error {
			o := &costOptions{}
			s.String(&o.window, "window", "1h", "LENGTH", "up to now: 15m, 1h, 24h, 7d")
			s.String(&o.by, "by", "topic", "DIMENSIONS", "what rows are grouped by: topic, zone, component, principal, group, or several with commas")
			s.String(&o.format, "format", "table", "FORMAT", "table, json or csv")
			o.server.declareServer(s, localServer)
			return func(ctx context.Context, env cli.Env) error { return runCost(ctx, o, env) }
		},
	}
}

func runCost(ctx context.Context, o *costOptions, env cli.Env) error {
	switch o.format {
	case "table", "json", "csv":
	default:
		return cli.Usagef("--format %q: want table, json or csv", o.format)
	}
	// The broker renders all three: one place where cells that a spreadsheet
	// would run are escaped.
	q := url.Values{"window": {o.window}, "by": {o.by}, "format": {o.format}}
	body, err := o.server.getPath(ctx, "/api/v1/cost?"+q.Encode())
	if err != nil {
		return err
	}
	_, err = env.Stdout.Write(body)
	return err
}
